import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exclusively } from './mutex.ts';

const HELD_MS = 1500;

test('nobody enters while another holds it, of this process or of another, however many wait', async (t) => {
  const locks = await mkdtemp(join(tmpdir(), 'hv-mutex-'));
  t.after(() => rm(locks, { recursive: true }));
  const script = `import { exclusively } from ${JSON.stringify(join(import.meta.dirname, 'mutex.ts'))};
    process.stdout.write('asks ');
    await exclusively(process.argv[1], async () => process.stdout.write('in'));`;
  const events: string[] = [];

  const holder = exclusively(locks, async () => {
    // What the holder has must survive that somebody else of its process asks, which opens and closes the file.
    const waiter = exclusively(locks, async () => void events.push('waiter'));
    const other = spawn(process.execPath, ['--input-type=module', '--eval', script, locks], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const over = once(other, 'exit');
    other.stdout.on('data', (text) => {
      if (String(text).includes('in')) events.push('other');
    });
    await once(other.stdout, 'data');
    await sleep(HELD_MS);
    events.push('holder');
    return { waiter, over };
  });
  const { waiter, over } = await holder;
  await waiter;
  assert.deepEqual(await over, [0, null]);
  assert.equal(events[0], 'holder', events.join(', '));
  assert.deepEqual([...events].sort(), ['holder', 'other', 'waiter']);
});

test('what fails inside lets the next one in', async (t) => {
  const locks = await mkdtemp(join(tmpdir(), 'hv-mutex-'));
  t.after(() => rm(locks, { recursive: true }));
  const failing = exclusively(locks, () => Promise.reject(new Error('no')));
  const next = exclusively(locks, async () => 'in');
  await assert.rejects(failing, /no/);
  assert.equal(await next, 'in');
});
