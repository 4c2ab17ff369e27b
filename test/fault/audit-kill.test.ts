/** hyperd is killed (SIGKILL) at random moments while many changes are recorded. After each restart the chain is whole, and each change has
 *  exactly one intent and one outcome: what is not known of it is said. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { hvOffline, hvOn } from '#test/support/hv.ts';

const ROUNDS = process.env['HV_TEST_FULL'] === '1' ? 30 : 8;
const CLIENTS = 20;

let folder: string;
let stateDir: string;
const mirrorFile = () => join(folder, 'mirror.jsonl');
const begin = () => startDaemon({ stateDir, waitFor: 'doors', config: { audit: { mirrorFile: mirrorFile() } } });

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-audit-kill-'));
  stateDir = join(folder, 'state');
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

/** Changes without end; resolves with how many were answered when the daemon is gone. */
async function hammer(daemon: TestDaemon): Promise<number> {
  let answered = 0;
  const client = async (n: number) => {
    for (;;) {
      try {
        if (n === 0) await daemon.admin('POST /preflight');
        else await daemon.admin('POST /auth/links', { body: {} });
        answered += 1;
      } catch (error) {
        // The daemon died, or an operation of the kind runs already; only the former ends this.
        if (!/ApiProblem/.test(String(error))) return;
        await sleep(5);
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(n)));
  return answered;
}

interface Pair {
  readonly subject: string;
  readonly intents: number;
  readonly outcomes: number;
  readonly unknown: number;
}

function pairs(): Pair[] {
  const database = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true });
  try {
    return database
      .prepare(
        `SELECT coalesce(operation_id, request_id) AS subject, sum(phase = 'intent') AS intents, sum(phase = 'outcome') AS outcomes,
           sum(outcome IS 'unknown') AS unknown FROM audit WHERE subject IS NOT NULL
         GROUP BY subject HAVING sum(phase = 'intent') > 0`,
      )
      .all()
      .map((row) => ({
        subject: String(row['subject']),
        intents: Number(row['intents']),
        outcomes: Number(row['outcomes']),
        unknown: Number(row['unknown']),
      }));
  } finally {
    database.close();
  }
}

test('killed while recording: the chain is whole, each change has one intent and one outcome, the mirror has all', async () => {
  let answered = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const daemon = await begin();
    const work = hammer(daemon);
    await sleep(150 + Math.random() * 700);
    await daemon.kill('SIGKILL');
    answered += await work;
    const file = join(stateDir, 'state.db');
    const { code, stdout } = await hvOffline(['audit', 'verify', '--file', file]);
    assert.equal(code, 0, `round ${round}: ${stdout}`);
  }

  const daemon = await begin();
  try {
    const end = performance.now() + 90_000;
    // Operations that were taken up end, and what was lost is looked for in the background.
    while (pairs().some(({ outcomes }) => outcomes !== 1) && performance.now() < end) await sleep(100);
    const changes = pairs();
    assert.deepEqual(
      changes.filter(({ intents, outcomes }) => intents !== 1 || outcomes !== 1),
      [],
    );
    assert.ok(changes.length >= answered, `${changes.length} changes recorded, ${answered} answered`);
    const unknown = changes.reduce((sum, pair) => sum + pair.unknown, 0);
    const { problems } = await daemon.admin('GET /system/overview');
    assert.equal(
      problems.some(({ id }) => id === 'audit.unanswered'),
      unknown > 0,
    );

    while ((await daemon.admin('GET /audit/status')).mirrors[0]?.behind !== 0 && performance.now() < end)
      await sleep(100);
    const whole = await hvOn(daemon, ['audit', 'verify', '--mirror', mirrorFile()]);
    assert.equal(whole.code, 0, whole.stdout + whole.stderr);
    const mirrored = await hvOffline(['audit', 'verify', '--file', mirrorFile()]);
    assert.equal(mirrored.code, 0, mirrored.stdout);
    console.log(
      `# count: ${ROUNDS} kills, ${answered} changes answered, ${changes.length} recorded, ${unknown} with an outcome that is not known`,
    );
  } finally {
    await daemon.close();
  }
});
