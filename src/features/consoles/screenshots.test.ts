import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { pngSize } from './picture.ts';
import { createScreenshots, FRESH_MS } from './screenshots.ts';

const ppm = (width: number, height: number, shade: number): Buffer =>
  Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), Buffer.alloc(width * height * 3, shade)]);

test('requests of five seconds share one capture, at any width', async () => {
  const clock = new TestClock();
  let captures = 0;
  const screenshots = createScreenshots({
    clock,
    capture: async () => {
      captures += 1;
      return ppm(64, 40, captures);
    },
  });
  const pictures = await Promise.all([null, 32, 32, 16, null, 640].map((width) => screenshots.get('vm-1', width)));
  assert.equal(captures, 1);
  assert.deepEqual(
    pictures.map(({ png }) => pngSize(png)?.width),
    [64, 32, 32, 16, 64, 64],
  );
  assert.equal(pictures[0]?.etag, pictures[4]?.etag);
  assert.notEqual(pictures[0]?.etag, pictures[1]?.etag);
  await clock.advance(FRESH_MS - 1);
  await screenshots.get('vm-1', null);
  assert.equal(captures, 1);
  await clock.advance(1);
  assert.notEqual((await screenshots.get('vm-1', null)).etag, pictures[0]?.etag);
  assert.equal(captures, 2);
});

test('an unchanged screen keeps its ETag', async () => {
  const clock = new TestClock();
  const screenshots = createScreenshots({ clock, capture: async () => ppm(8, 8, 1) });
  const before = await screenshots.get('vm-1', null);
  await clock.advance(FRESH_MS);
  assert.equal((await screenshots.get('vm-1', null)).etag, before.etag);
});

test('a failed capture is told to all who wait and not kept', async () => {
  let fails = true;
  const screenshots = createScreenshots({
    clock: new TestClock(),
    capture: async () => {
      if (fails) throw new Error('no');
      return ppm(8, 8, 1);
    },
  });
  const results = await Promise.allSettled([screenshots.get('vm-1', null), screenshots.get('vm-1', 16)]);
  assert.ok(results.every(({ status }) => status === 'rejected'));
  fails = false;
  assert.ok((await screenshots.get('vm-1', null)).png.length > 0);
});

test('at most four captures run at once, and a flood is refused instead of queued without end', async () => {
  let running = 0;
  let most = 0;
  const screenshots = createScreenshots({
    clock: new TestClock(),
    capture: async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return ppm(8, 8, 1);
    },
  });
  const results = await Promise.allSettled(
    Array.from({ length: 200 }, (_, index) => screenshots.get(`vm-${index}`, null)),
  );
  assert.equal(most, 4);
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 68);
});

test('what is no picture is an error of the host, not ours', async () => {
  const screenshots = createScreenshots({ clock: new TestClock(), capture: async () => Buffer.from('<html>') });
  await assert.rejects(screenshots.get('vm-1', null), { code: 'unavailable' });
});
