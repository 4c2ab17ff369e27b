import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Logger } from '#kernel/logger.ts';
import { TICKS_PER_HOUR } from './head-runs.ts';
import { createTickLog, type TickLog } from './tick-log.ts';

const FILE = 'f1';
const HOUR = 490_000;
const FIRST = HOUR * TICKS_PER_HOUR;

interface Place extends Disposable {
  readonly folder: string;
  readonly path: string;
  readonly warnings: string[];
  open(): TickLog;
}

function place(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'hv-tick-log-'));
  const warnings: string[] = [];
  const note = (_fields: object, message: string) => void warnings.push(message);
  const log: Logger = { debug: note, info: note, warn: note, error: note, child: () => log };
  return {
    folder,
    path: join(folder, `${FILE}-${HOUR}.ticks`),
    warnings,
    open: () => createTickLog(folder, FILE, log),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

const tickOf = (value: number) => ({
  ids: Float64Array.of(1, 2, 7),
  scaled: Float64Array.of(value, -1 - value, 2 ** 40),
});

function written(log: TickLog, count: number, first = 0): void {
  for (let n = first; n < first + count; n += 1) log.insert(FIRST + n, tickOf(n));
}

/** Ticks of the hour that are there, counted from its first, each of which is as it was written. */
function ticksIn(log: TickLog): number[] {
  return [...log.read(HOUR)].map(({ wallTick, values }) => {
    assert.deepEqual(values, tickOf(wallTick - FIRST));
    return wallTick - FIRST;
  });
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test('an hour that was cut off goes on behind its last whole tick', () => {
  using at = place();
  const log = at.open();
  written(log, 5);
  log.close();
  const whole = readFileSync(at.path);
  const recordBytes = whole.length / 5;
  for (let cut = 1; cut < recordBytes; cut += 1) {
    writeFileSync(at.path, whole.subarray(0, whole.length - cut));
    const again = at.open();
    assert.deepEqual(ticksIn(again), upTo(4), `cut off by ${cut}`);
    written(again, 2, 4);
    assert.deepEqual(ticksIn(again), upTo(6));
    again.close();
  }
  assert.deepEqual(at.warnings, []);
});

test('a byte that changes loses its own tick and no other, and is told of', () => {
  using at = place();
  const log = at.open();
  written(log, 6);
  log.close();
  const whole = readFileSync(at.path);
  const recordBytes = whole.length / 6;
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 6 * recordBytes - 1 }), fc.integer({ min: 1, max: 255 }), (where, change) => {
      const damaged = Buffer.from(whole);
      damaged[where] = (damaged[where] ?? 0) ^ change;
      writeFileSync(at.path, damaged);
      at.warnings.length = 0;
      const lost = Math.floor(where / recordBytes);
      assert.deepEqual(
        ticksIn(at.open()),
        upTo(6).filter((n) => n !== lost),
      );
      // The last one may look as if a crash had cut it off.
      const inRecord = where % recordBytes;
      const isLengthOfLast = lost === 5 && inRecord >= 4 && inRecord < 8;
      if (!isLengthOfLast) assert.equal(at.warnings.length, 1);
    }),
  );
});

test('an end that no crash leaves behind is told of, and cut off', () => {
  using at = place();
  const log = at.open();
  written(log, 6);
  log.close();
  const bytes = readFileSync(at.path);
  bytes.fill(0x5a, bytes.length / 2);
  writeFileSync(at.path, bytes);
  const again = at.open();
  assert.deepEqual(ticksIn(again), upTo(3));
  assert.equal(at.warnings.length, 1);
  written(again, 1, 3);
  assert.equal(statSync(at.path).size, (bytes.length / 6) * 4);
  again.close();
});

test('bytes of anybody are no ticks, and what follows them counts', () => {
  using at = place();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      rmSync(at.path, { force: true });
      appendFileSync(at.path, bytes);
      const log = at.open();
      assert.deepEqual(ticksIn(log), []);
      written(log, 3);
      assert.deepEqual(ticksIn(log), upTo(3));
      log.close();
    }),
  );
});

test('of two ticks with one time the first counts, and they come in the order of time', () => {
  using at = place();
  const log = at.open();
  for (const n of [3, 1, 2]) log.insert(FIRST + n, tickOf(n));
  log.insert(FIRST + 1, tickOf(99));
  assert.deepEqual(ticksIn(log), [1, 2, 3]);
  log.close();
});

test('each hour has a file that only its owner reads, and goes as a whole', () => {
  using at = place();
  const log = at.open();
  written(log, TICKS_PER_HOUR + 1);
  assert.deepEqual(log.hours(), [HOUR, HOUR + 1]);
  assert.equal(statSync(at.path).mode & 0o777, 0o600);
  log.remove(HOUR);
  assert.deepEqual(log.hours(), [HOUR + 1]);
  assert.deepEqual([...log.read(HOUR)], []);
  written(log, 1);
  assert.deepEqual(log.hours(), [HOUR, HOUR + 1]);
  log.close();
});

test('logs of another file are neither read nor kept, and what is no log stays', () => {
  using at = place();
  const log = at.open();
  written(log, 2);
  log.close();
  const [mine = ''] = readdirSync(at.folder);
  writeFileSync(join(at.folder, `other-${HOUR + 1}.ticks`), readFileSync(at.path));
  writeFileSync(join(at.folder, 'notes.txt'), 'of somebody else');
  const again = at.open();
  assert.deepEqual(again.hours(), [HOUR]);
  assert.deepEqual(readdirSync(at.folder).sort(), [mine, 'notes.txt'].sort());
});

test('a folder that is gone is made again', () => {
  using at = place();
  const log = at.open();
  written(log, 1);
  log.remove(HOUR);
  rmSync(at.folder, { recursive: true });
  assert.deepEqual(log.hours(), []);
  written(log, 2);
  assert.deepEqual(ticksIn(log), upTo(2));
  log.close();
});
