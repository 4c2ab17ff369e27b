/** What judges and what sends are killed together (SIGKILL), at random, over and over, while things break and mend, and the receiver refuses
 *  15 % with 503 and takes 5 % without an answer. In the end everybody knows of each thing that fired and that it ended, of nothing that
 *  did not, and what came twice carries the same key. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isWrong, VM_NAMES, WORLD_RULES } from '../support/alert-world.ts';
import { type MessageReceiver, startMessageReceiver } from '../support/message-services.ts';
import { randomOf, workerLife } from '../support/worker-life.ts';

const WORKER = fileURLToPath(new URL('../support/alerting-worker.ts', import.meta.url));
const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const KILLS = isFull ? 300 : 10;
const TICK_MS = 10_000;
const WORLD_BEGAN_MS = Date.parse('2026-01-01T00:00:00Z');

const next = randomOf(seed);

interface Taken {
  readonly fingerprint: string;
  readonly episode: number;
  readonly kind: string;
}

/** By what was told: the keys under which it came, and how often. */
type Ledger = Map<string, { readonly keys: Set<string>; times: number }>;

const nameOf = ({ fingerprint, episode, kind }: Taken) => `${fingerprint} ${episode} ${kind}`;

function startReceiver(ledger: Ledger): Promise<MessageReceiver> {
  return startMessageReceiver(({ headers, text }, response) => {
    const roll = next();
    if (roll < 0.15) {
      response.writeHead(503).end();
      return;
    }
    const taken: readonly Taken[] = JSON.parse(text).alerts;
    for (const name of taken.map(nameOf)) {
      const entry = ledger.get(name) ?? { keys: new Set<string>(), times: 0 };
      entry.keys.add(String(headers['idempotency-key']));
      entry.times += 1;
      ledger.set(name, entry);
    }
    if (roll < 0.2) response.destroy();
    else response.end('ok');
  });
}

interface Transition extends Taken {
  readonly kind: 'firing' | 'resolved';
}

function transitionsOf(file: DatabaseSync): Transition[] {
  const rows = file
    .prepare(
      "SELECT alert_id, episode, kind, at_ms, rule_name, entity_name FROM alert_event WHERE kind IN ('firing', 'resolved') ORDER BY id",
    )
    .all();
  return rows.map((row) => {
    const rule = WORLD_RULES.find(({ name }) => name === row['rule_name']);
    const kind = row['kind'] === 'firing' ? 'firing' : 'resolved';
    const tick = (Number(row['at_ms']) - WORLD_BEGAN_MS) / TICK_MS;
    assert.ok(rule);
    const isBad = isWrong(seed, rule.name, VM_NAMES.indexOf(String(row['entity_name'])), tick);
    assert.equal(isBad, kind === 'firing', `seed ${seed}: ${kind} of ${rule.name} at tick ${tick} has a cause`);
    return { fingerprint: String(row['alert_id']), episode: Number(row['episode']), kind };
  });
}

test(`nothing is lost, invented or told under two keys by ${KILLS} kills of all of it`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-alerting-kill-'));
  const ledger: Ledger = new Map();
  const receiver = await startReceiver(ledger);
  const beganMs = Date.now();
  const argsAt = (tick: number) => [folder, receiver.origin, String(seed), String(tick), String(beganMs)];
  let evaluations = 0;
  let requestsBeforeKills = 0;
  try {
    let tick = 1;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const ticks = await workerLife(WORKER, argsAt(tick), 20 + next() * 500);
      evaluations += ticks.length;
      requestsBeforeKills = receiver.received.length;
      // The world goes on meanwhile: mostly a moment, sometimes long.
      tick = (ticks.at(-1) ?? tick) + 1 + (next() < 0.2 ? Math.floor(next() * 60) : 1);
    }
    await workerLife(WORKER, [...argsAt(tick), 'last'], null);

    const file = new DatabaseSync(join(folder, 'state.db'));
    const transitions = transitionsOf(file);
    const left = file.prepare("SELECT count(*) AS count FROM delivery WHERE state NOT IN ('sent', 'merged')").get();
    const integrity = file.prepare('PRAGMA integrity_check').get();
    file.close();
    assert.equal(integrity?.['integrity_check'], 'ok');
    assert.equal(left?.['count'], 0);

    const changed = new Set(transitions.map(nameOf));
    const isTold = (one: Transition) => ledger.has(nameOf(one)) || ledger.has(nameOf({ ...one, kind: 'was_firing' }));
    const lost = transitions.filter((one) => !isTold(one)).map(nameOf);
    // What came and went before it was delivered is told as one: it fired, and it is over.
    const causeOf = (name: string) => name.replace('was_firing', 'resolved');
    const invented = [...ledger.keys()].filter((name) => !changed.has(causeOf(name)));
    const underTwoKeys = [...ledger].filter(([, { keys }]) => keys.size > 1).map(([name]) => name);
    const repeats = [...ledger.values()].reduce((sum, { times }) => sum + times - 1, 0);
    console.log(
      `# count: seed ${seed}: ${KILLS} kills during ${evaluations} evaluations and ${requestsBeforeKills} of ${receiver.received.length} requests, ${transitions.length} transitions, ${lost.length} lost, ${invented.length} invented, ${repeats} came again, ${underTwoKeys.length} of them under another key`,
    );
    assert.deepEqual({ lost, invented, underTwoKeys }, { lost: [], invented: [], underTwoKeys: [] });
    assert.ok(transitions.length >= KILLS && requestsBeforeKills > KILLS);
  } finally {
    await receiver.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});
