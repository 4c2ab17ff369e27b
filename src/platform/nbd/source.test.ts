import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomDisk } from './random-disk.test-data.ts';
import { extentsOf } from './source.ts';

test('zeros that are told of are zeros, begin and end at blocks, and none that fill a block are left out', async () => {
  const range = fc.tuple(fc.nat(100_000), fc.integer({ min: 1, max: 100_000 }));
  await fc.assert(
    fc.asyncProperty(fc.nat(), range, fc.constantFrom(500, 9000, 40_000), async (seed, [start, length], longest) => {
      const disk = randomDisk(seed, 200_001, longest);
      const extents = await extentsOf(disk, start, length, 100_000);
      const told = Buffer.concat(extents.map(({ lengthBytes, isZero }) => Buffer.alloc(lengthBytes, isZero ? 1 : 0)));
      assert.equal(told.length, length);
      for (let at = 0; at < length; at += 1) if (told[at] === 1) assert.equal(disk.bytes[start + at], 0);
      for (const [index, extent] of extents.entries()) assert.notEqual(extent.isZero, extents[index + 1]?.isZero);
      for (let block = 0; block < 200_001; block += 4096) {
        const from = Math.max(block, start) - start;
        const to = Math.min(block + 4096, start + length) - start;
        if (from >= to) continue;
        const isZero = disk.bytes.subarray(start + from, start + to).every((byte) => byte === 0);
        assert.ok(told.subarray(from, to).every((flag) => flag === (isZero ? 1 : 0)));
      }
    }),
    { numRuns: 60 },
  );
});

test('a source that tells in parts, tells little, or tells nonsense', async () => {
  const told = (...lengths: readonly [number, boolean][]) => ({
    sizeBytes: 2 ** 20,
    read: async () => Buffer.alloc(0),
    extents: async () => lengths.map(([lengthBytes, isZero]) => ({ lengthBytes, isZero })),
  });
  const of = (source: ReturnType<typeof told>, maxCount = 100) => extentsOf(source, 0, 10_000, maxCount);
  const zeros = (lengthBytes: number) => ({ lengthBytes, isZero: true });
  const data = (lengthBytes: number) => ({ lengthBytes, isZero: false });
  assert.deepEqual(await of(told([100, true], [50, true], [20_000, true])), [zeros(10_000)]);
  assert.deepEqual(await of(told([5000, true], [1, false])), [zeros(4096), data(905)]);
  assert.deepEqual(await of(told([5000, true], [9000, false]), 1), [zeros(4096)]);
  assert.deepEqual(await of(told([100, true])), [data(100)]);
  assert.deepEqual(await of(told([0, true], [-5, true], [Number.NaN, false], [7, false])), [data(7)]);
  await assert.rejects(of(told()), /knows no state/);
  await assert.rejects(of(told([0, true])), /knows no state/);
});
