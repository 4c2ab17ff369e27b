/** A machine that starts with a wrong date: what is kept for a time is not deleted on the word of that clock. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon } from '../support/daemon.ts';

const DAY_MS = 86_400_000;

test('after a leap of the date the trash is kept and the overview says why; without one it is emptied in time', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-leap-'));
  t.after(() => rm(folder, { recursive: true, maxRetries: 20, retryDelay: 100 }));
  const stateDir = join(folder, 'state');
  const at = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString();
  await (await startDaemon({ stateDir, waitFor: 'doors' })).stop();

  /** The machine last ran at that time; the next start finds today's date. */
  const lastRan = (time: string) => {
    const database = new DatabaseSync(join(stateDir, 'state.db'));
    database.prepare('UPDATE calendar SET seen_at = ?, doubt_left_ms = 0').run(time);
    database.close();
  };
  const database = new DatabaseSync(join(stateDir, 'state.db'));
  database
    .prepare(
      `INSERT INTO trash(id, vm_id, name, xml, files, has_tpm, autostart, managed, size_bytes, deleted_at, purge_at, deleted_by, ready)
       VALUES('trash-1', '11111111-2222-4333-8444-555555555555', 'old', ?, '[]', 0, 0, 1, 0, ?, ?, 'root', 1)`,
    )
    .run('<domain type="qemu"><name>old</name></domain>', at(-400), at(-393));
  database.close();

  lastRan(at(-400));
  const leapt = await startDaemon({ stateDir, waitFor: 'doors' });
  t.after(() => leapt.close());
  await sleep(1_000);
  assert.deepEqual(
    (await leapt.admin('GET /trash')).items.map(({ name }) => name),
    ['old'],
  );
  const problem = (await leapt.admin('GET /system/overview')).problems.find(({ id }) => id === 'clock.leapt');
  assert.match(problem?.title ?? '', /400 d/);
  await leapt.stop();

  // The clock may be as wrong as before.
  const again = await startDaemon({ stateDir, waitFor: 'doors' });
  t.after(() => again.close());
  await sleep(1_000);
  assert.equal((await again.admin('GET /trash')).items.length, 1);
  await again.stop();

  // A day of running later.
  lastRan(at(0));
  const usual = await startDaemon({ stateDir, waitFor: 'doors' });
  t.after(() => usual.close());
  const end = performance.now() + 10_000;
  while ((await usual.admin('GET /trash')).items.length > 0 && performance.now() < end) await sleep(100);
  assert.deepEqual((await usual.admin('GET /trash')).items, []);
  assert.equal(
    (await usual.admin('GET /system/overview')).problems.some(({ id }) => id === 'clock.leapt'),
    false,
  );
});
