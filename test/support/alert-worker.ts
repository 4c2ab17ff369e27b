/** A process that evaluates alerts until it is killed: `alert-worker.ts DATABASE SEED TICK`. It begins at that tick of the world, prints each
 *  tick once it is on disk, and writes what it would send into the table `told`, in the transaction of the transition. A sender that reads
 *  that table can be put in the place of `announcer`. */

import { DatabaseSync } from 'node:sqlite';
import { createFakeMachine, startFakeDaemon } from '#features/alerts/fake-host.ts';
import type { Announcer } from '#features/alerts/notices.ts';
import { samplesAt, VM_NAMES, WORLD_RULES } from './alert-world.ts';

interface ToldTables {
  told: { fingerprint: string; episode: number; kind: string };
}

const TICK_MS = 10_000;
const [databaseFile = '', seedText = '1', tickText = '0'] = process.argv.slice(2);
const seed = Number(seedText);

const side = new DatabaseSync(databaseFile);
side.exec('CREATE TABLE IF NOT EXISTS told(fingerprint TEXT, episode INTEGER, kind TEXT)');
side.close();

const announcer: Announcer = {
  async announce(tx, { fingerprint, episode, kind }) {
    await tx.tables<ToldTables>().insertInto('told').values({ fingerprint, episode, kind }).execute();
  },
  announceEvent: async () => undefined,
  acknowledge: async () => undefined,
};

const machine = createFakeMachine(VM_NAMES);
// The host has run all the while, whoever watched it.
await machine.clock.advance((Number(tickText) - 1) * TICK_MS);
const daemon = await startFakeDaemon({ machine, database: databaseFile, rules: WORLD_RULES, announcer });
const ids = [...machine.vms.keys()];
for (let tick = Number(tickText); ; tick += 1) {
  await daemon.tick(samplesAt(seed, ids, tick));
  process.stdout.write(`${tick}\n`);
}
