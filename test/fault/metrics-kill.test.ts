/** The history is killed at any moment while it takes ticks and writes hours: what it said was on disk is there once, and once only. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createReader } from '#features/metrics/query/read.ts';
import { createHistory } from '#features/metrics/store/history.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const KILLS = isFull ? 500 : 12;
const TICK_MS = 10_000;
const WORKER = new URL('../support/metrics-worker.ts', import.meta.url).pathname;
/** The full hour that the first worker begins with, in ticks since 1970. */
const BEGIN = Math.floor(Date.parse('2026-03-01T00:00:00Z') / TICK_MS);

let state = seed >>> 0;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

/** Runs a worker until it was killed; answers the last tick that it said was on disk. */
async function killedRun(path: string, first: number): Promise<number> {
  const worker = spawn(process.execPath, [WORKER, path, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  // Some hours of ticks are gone through in the time of one.
  const afterTicks = 1 + Math.floor(random() * 900);
  const delayMs = random() * 8;
  let text = '';
  let isDoomed = false;
  worker.stdout.setEncoding('utf8');
  worker.stdout.on('data', (data: string) => {
    text += data;
    if (isDoomed || text.split('\n').length <= afterTicks) return;
    isDoomed = true;
    setTimeout(() => worker.kill('SIGKILL'), delayMs);
  });
  const [, signal] = await once(worker, 'close');
  assert.equal(signal, 'SIGKILL');
  const said = text.split('\n').filter((line) => line !== '');
  return Number(said.at(-1));
}

test(`each of ${KILLS} kills loses at most the tick that was being written, and stores none twice`, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-metrics-kill-'));
  const path = join(dir, 'metrics.db');
  try {
    const promised: (readonly [from: number, to: number])[] = [];
    let first = BEGIN;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const last = await killedRun(path, first);
      promised.push([first + 1, last]);
      const file = new DatabaseSync(path);
      assert.equal(file.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
      file.close();
      // The clock goes on from there, sometimes after a rest.
      first = last + 1 + Math.floor(random() * 100);
    }
    const clock = new TestClock(new Date((first + 1) * TICK_MS));
    const history = createHistory({
      path,
      clock,
      log: silentLogger,
      limits: () => ({ rawDays: 365, fiveMinuteDays: 365, hourDays: 730, maxBytes: 2 ** 40 }),
      isGone: () => false,
      diskAnswers: async () => undefined,
    });
    await history.start();
    assert.deepEqual(history.troubles(), []);
    const read = createReader(history);
    const owners = [...history.book.owners()];
    assert.equal(owners.length, 30);
    let samples = 0;
    for (const owner of owners.slice(0, 3)) {
      const { series } = await read({
        metric: 'mem_used',
        owners: [owner],
        fromMs: BEGIN * TICK_MS,
        toMs: clock.now().getTime(),
      });
      const [line] = series;
      assert.ok(line);
      samples += line.atMs.length;
      for (const [n, at] of line.atMs.entries()) {
        assert.equal(line.avg[n], at / TICK_MS, 'each sample is at its own time');
        assert.ok(n === 0 || at > (line.atMs[n - 1] ?? 0), 'none is there twice');
      }
      const there = new Set(line.atMs.map((at) => at / TICK_MS));
      for (const [from, to] of promised)
        for (let tick = from; tick <= to; tick += 1) assert.ok(there.has(tick), `tick ${tick} is lost`);
      // What was being written when it died may be there or not.
      assert.ok(there.size <= promised.reduce((sum, [from, to]) => sum + to - from + 1, 0) + KILLS);
    }
    // The rollups say the same as the samples.
    const [hourly] = (
      await read({
        metric: 'mem_used',
        owners: owners.slice(0, 1),
        fromMs: BEGIN * TICK_MS,
        toMs: clock.now().getTime(),
        points: 1,
      })
    ).series;
    assert.ok(hourly && Math.max(...hourly.max.map((value) => value ?? 0)) >= (promised.at(-1)?.[1] ?? 0));
    history.close();
    console.log(
      `# count: seed ${seed}: ${KILLS} kills of a history while it was written, ${samples / 3} ticks on disk, none lost, none twice`,
    );
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});
