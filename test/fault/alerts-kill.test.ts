/** The evaluation of alerts is killed at random moments, over and over, while things break and mend. Afterwards every transition that had to
 *  be made is there, none that had no cause, and for each of them exactly one message was written. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isWrong, VM_NAMES, WORLD_RULES, type WorldRule } from '../support/alert-world.ts';
import { randomOf, workerLife } from '../support/worker-life.ts';

const WORKER = fileURLToPath(new URL('../support/alert-worker.ts', import.meta.url));
const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const KILLS = isFull ? 300 : 12;
const TICK_MS = 10_000;
const WORLD_BEGAN_MS = Date.parse('2026-01-01T00:00:00Z');

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-alerts-kill-'));
});
after(() => rm(folder, { recursive: true, maxRetries: 20, retryDelay: 100 }));

const next = randomOf(seed);

interface Transition {
  readonly fingerprint: string;
  readonly episode: number;
  readonly kind: 'firing' | 'resolved';
  readonly tick: number;
  readonly rule: WorldRule;
  readonly vm: number;
}

function transitionsOf(file: DatabaseSync): Transition[] {
  const rows = file
    .prepare(
      "SELECT alert_id, episode, kind, at_ms, rule_name, entity_name FROM alert_event WHERE kind IN ('firing', 'resolved') ORDER BY id",
    )
    .all();
  return rows.map((row) => {
    const rule = WORLD_RULES.find(({ name }) => name === row['rule_name']);
    assert.ok(rule);
    return {
      fingerprint: String(row['alert_id']),
      episode: Number(row['episode']),
      kind: row['kind'] === 'firing' ? 'firing' : 'resolved',
      tick: (Number(row['at_ms']) - WORLD_BEGAN_MS) / TICK_MS,
      rule: rule.name,
      vm: VM_NAMES.indexOf(String(row['entity_name'])),
    };
  });
}

test(`nothing is lost and nothing invented by ${KILLS} kills of the evaluation`, async () => {
  const databaseFile = join(folder, 'state.db');
  const lives: number[][] = [];
  let tick = 1;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const ticks = await workerLife(WORKER, [databaseFile, String(seed), String(tick)], 20 + next() * 400);
    lives.push(ticks);
    // The world goes on meanwhile: mostly a moment, sometimes long.
    tick = (ticks.at(-1) ?? tick) + 1 + (next() < 0.2 ? Math.floor(next() * 60) : 1);
  }
  const file = new DatabaseSync(databaseFile);
  const transitions = transitionsOf(file);
  const told = file.prepare('SELECT fingerprint, episode, kind FROM told').all();
  assert.equal(file.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
  file.close();

  const key = (one: { fingerprint: unknown; episode: unknown; kind: unknown }) =>
    `${one.fingerprint} ${one.episode} ${one.kind}`;
  const messages = told.map((row) =>
    key({ fingerprint: row['fingerprint'], episode: row['episode'], kind: row['kind'] }),
  );
  assert.equal(new Set(messages).size, messages.length, 'no message was written twice');
  assert.deepEqual(messages.toSorted(), transitions.map(key).toSorted(), 'one message for each transition');

  for (const rule of WORLD_RULES)
    for (const vm of VM_NAMES.keys())
      assertOf(
        lives,
        rule.name,
        vm,
        transitions.filter((one) => one.rule === rule.name && one.vm === vm),
      );
  assert.ok(transitions.length >= KILLS);
  console.log(
    `# count: seed ${seed}: ${KILLS} kills during ${lives.flat().length} evaluations, ${transitions.length} transitions, 0 lost, 0 invented, one message each`,
  );
});

/** What fired had a cause, what had a cause fired. */
function assertOf(
  lives: readonly (readonly number[])[],
  rule: WorldRule,
  vm: number,
  transitions: readonly Transition[],
): void {
  const wrongAt = (tick: number) => isWrong(seed, rule, vm, tick);
  const about = `${rule} of vm${vm}, seed ${seed}`;
  const needed = rule === 'vm_down' ? 2 : 7;
  for (const [index, { kind, episode, tick }] of transitions.entries()) {
    assert.equal(kind, index % 2 === 0 ? 'firing' : 'resolved', `${about}: firing and resolved take turns`);
    assert.equal(episode, Math.floor(index / 2) + 1, `${about}: episodes grow by one`);
    if (kind === 'firing') assert.ok(wrongAt(tick), `${about}: fired at tick ${tick} without a cause`);
    // A minute of good ticks lies before an end.
    else for (let n = 0; n <= 6; n += 1) assert.ok(!wrongAt(tick - n), `${about}: ended at tick ${tick} too early`);
  }
  const isFiringAt = (tick: number) => transitions.filter((one) => one.tick <= tick).at(-1)?.kind === 'firing';
  for (const ticks of lives) {
    let wrong = 0;
    let well = 0;
    for (const tick of ticks) {
      wrong = wrongAt(tick) ? wrong + 1 : 0;
      well = wrongAt(tick) ? 0 : well + 1;
      if (wrong >= needed) assert.ok(isFiringAt(tick), `${about}: lost at tick ${tick}`);
      if (well >= 9) assert.ok(!isFiringAt(tick), `${about}: its end was lost at tick ${tick}`);
    }
  }
}
