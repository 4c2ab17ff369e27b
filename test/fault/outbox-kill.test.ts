/** The sending half of hyperd is killed (SIGKILL) at random moments, while the receiver refuses 15 % with 503 and takes 5 % without an
 *  answer. Nothing that was announced is lost, nothing is invented, and what comes twice carries the same key. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startMessageReceiver } from '#test/support/message-services.ts';
import { randomOf } from '#test/support/worker-life.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const KILLS = isFull ? 500 : 15;
/** Each channel takes 30 messages an hour; each alert is two. */
const CHANNELS = isFull ? 120 : 20;
const ALERTS = CHANNELS * 12;
const WORKER = new URL('../support/outbox-worker.ts', import.meta.url).pathname;

test('kills lose nothing, invent nothing, and repeat only under the same key', async () => {
  const next = randomOf(seed);
  const folder = await mkdtemp(join(tmpdir(), 'hv-outbox-kill-'));
  const taken = new Map<string, Set<string>>();
  let repeats = 0;
  /** Requests that came between a start and its kill. */
  let interrupted = 0;
  const receiver = await startMessageReceiver((request, response) => {
    const roll = next();
    if (roll < 0.15) {
      response.writeHead(503).end();
      return;
    }
    const key = String(request.headers['idempotency-key']);
    for (const { fingerprint, status } of JSON.parse(request.text).alerts) {
      const what = `${fingerprint} ${status} ${JSON.parse(request.text).alerts[0].kind}`;
      const keys = taken.get(what) ?? new Set<string>();
      if (keys.has(key)) repeats += 1;
      taken.set(what, keys.add(key));
    }
    if (roll < 0.2) response.destroy();
    else response.end('ok');
  });
  const begin = () => {
    const args = [WORKER, folder, receiver.origin, String(CHANNELS), String(ALERTS)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ready = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
    const exited = new Promise<number | string>((resolve) =>
      child.on('exit', (code, signal) => resolve(signal ?? code ?? -1)),
    );
    return { child, exited, ready };
  };
  let kills = 0;
  try {
    for (let n = 0; n < KILLS; n += 1) {
      const { child, exited, ready } = begin();
      await Promise.race([ready, exited]);
      // In the middle of its work, at times of much of it.
      const ended = await Promise.race([exited, sleep(next() * 1800, 'alive')]);
      if (ended === 0) break;
      assert.equal(ended, 'alive');
      child.kill('SIGKILL');
      await exited;
      kills += 1;
      interrupted = receiver.received.length;
    }
    assert.ok(kills > 0 && interrupted > 0, 'kills came in the middle of sending');
    assert.equal(await begin().exited, 0, 'the last one sends what is left');

    const db = new DatabaseSync(join(folder, 'state.db'));
    const announced = db
      .prepare('SELECT what FROM was_announced')
      .all()
      .map((row) => String(row['what']));
    const left = db.prepare("SELECT count(*) AS count FROM delivery WHERE state IN ('waiting', 'dead')").get();
    const integrity = db.prepare('PRAGMA integrity_check').get();
    db.close();
    assert.equal(integrity?.['integrity_check'], 'ok');
    assert.equal(left?.['count'], 0);
    assert.equal(announced.length, ALERTS * 2);
    const told = [...taken.keys()];
    for (const what of announced) {
      const [fingerprint = '', state = ''] = what.split(' ');
      // What was over before it was delivered is told as one: "was firing".
      const isTold =
        told.includes(`${fingerprint} ${state} ${state}`) || told.includes(`${fingerprint} resolved was_firing`);
      assert.ok(isTold, `lost: ${what}`);
    }
    for (const [what, keys] of taken) {
      assert.equal(keys.size, 1, `${what} came under ${keys.size} keys`);
      const [fingerprint = '', state = ''] = what.split(' ');
      assert.ok(announced.includes(`${fingerprint} ${state}`), `invented: ${what}`);
    }
    console.log(
      `# count: seed ${seed}: ${kills} kills of the sender among its first ${interrupted} of ${receiver.received.length} requests, ${announced.length} changes announced, 0 lost, 0 invented, ${repeats} came again with the same key`,
    );
  } finally {
    await receiver.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});
