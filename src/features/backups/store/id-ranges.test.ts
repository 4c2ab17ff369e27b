import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { type IdRange, idRanges, type ScanIds } from './id-ranges.ts';

const IDS = 5000;
const idOf = (n: number) => createHash('sha256').update(String(n)).digest();
const ALL = Array.from({ length: IDS }, (_, n) => idOf(n));
const EXPECTED = ALL.map((id) => id.toString('hex')).sort();

/** What was told, and how often the scan was asked for. */
async function tell(maxIds: number, isFull = false) {
  const folder = await mkdtemp(join(tmpdir(), 'hv-ids-'));
  let scans = 0;
  const scan: ScanIds = async (visit) => {
    scans += 1;
    // As a full file system answers when a block of scratch is written.
    if (isFull && scans === 1) throw new AppError('no_space');
    // Some more than once, as points share pages and chunks.
    for (const id of [...ALL, ...ALL.slice(100, 3000)]) visit(Buffer.concat([Buffer.alloc(32), id]), 32);
  };
  const found: string[] = [];
  const sizes: number[] = [];
  let next = 0;
  const look = ({ low, high, ids }: IdRange) => {
    assert.equal(low, next);
    next = high;
    sizes.push(ids.size);
    for (const id of ids) {
      assert.ok(id.readUInt16BE(0) >= low && id.readUInt16BE(0) < high);
      found.push(id.toString('hex'));
    }
  };
  try {
    for await (const range of idRanges({ maxIds, scratch: join(folder, 'scratch') }, scan)) {
      assert.deepEqual(await readdir(folder), [], 'scratch has no name');
      look(range);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  assert.equal(next, 0x10000);
  assert.deepEqual(found.sort(), EXPECTED);
  return { scans, ranges: sizes.length, largest: Math.max(...sizes) };
}

test('ids that fit are one range, more are sorted aside: they are scanned once', async () => {
  assert.deepEqual(await tell(IDS), { scans: 1, ranges: 1, largest: IDS });
  const many = await tell(1000);
  assert.deepEqual([many.scans, many.ranges], [1, 256]);
  assert.ok(many.largest < 60, `${many.largest} in a range`);
});

test('without room for scratch they are scanned for each range, and never more are held than is allowed', async () => {
  const { scans, ranges, largest } = await tell(1000, true);
  assert.equal(scans, ranges + 1);
  assert.ok(largest <= 1000 && ranges >= 5, `${ranges} ranges, the largest of ${largest}`);
});
