import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { definitionOf } from '#contract/metric-catalogue.ts';
import { pack, unpack } from './block.ts';
import { type Column, decodeChunk, encodeChunk } from './chunk.ts';
import { averageDigits, rollUp } from './rollup.ts';
import { decodeRollups, encodeRollups } from './rollup-block.ts';
import { createTickEncoder, decodeTick, type TickValues } from './tick-row.ts';
import { ByteReader, ByteWriter, DamagedBytes } from './varints.ts';

const numRuns = process.env['HV_TEST_FULL'] === '1' ? 100_000 : 2_000;

/** Small numbers, extremes, counters that begin anew, and plain noise. */
const values = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: -100, max: 100 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2 ** 31 }) },
  { weight: 2, arbitrary: fc.maxSafeInteger() },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 63, 64, -64, 2 ** 31, -(2 ** 31)),
  },
);

const columnOf = (series: number, offsets: readonly number[], numbers: readonly number[]): Column => ({
  series,
  offsets: Int32Array.from(offsets),
  values: Float64Array.from(numbers),
});

const column = (series: number): fc.Arbitrary<Column> =>
  fc
    .tuple(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 359 }),
      fc.array(fc.tuple(fc.boolean(), values), { maxLength: 60 }),
    )
    .map(([step, first, drawn]) => {
      const kept = drawn
        .map(([isThere, value], n) => ({ offset: first + n * step, value, isThere: isThere || n % 7 === 0 }))
        .filter(({ isThere, offset }) => isThere && offset < 360);
      return columnOf(
        series,
        kept.map(({ offset }) => offset),
        kept.map(({ value }) => value),
      );
    });
const columns = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 40 }), { maxLength: 6 })
  .map((ids) => ids.sort((a, b) => a - b))
  .chain((ids) => fc.tuple(...ids.map(column)));

test('a chunk gives back what was put in, whatever it was', () => {
  fc.assert(
    fc.property(columns, (given) => {
      const expected = given.filter((each) => each.values.length > 0);
      assert.deepEqual(decodeChunk(encodeChunk(given)), expected);
      const wanted = new Set(expected.slice(1, 3).map(({ series }) => series));
      assert.deepEqual(
        decodeChunk(encodeChunk(given), wanted),
        expected.filter(({ series }) => wanted.has(series)),
      );
    }),
    { numRuns },
  );
});

test('a row of the log gives back its tick', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 20_000 }), values), { maxLength: 100 }), (pairs) => {
      const ids = Float64Array.from(pairs, ([id]) => id);
      const scaled = Float64Array.from(pairs, ([, value]) => value);
      const encode = createTickEncoder(new Uint8Array(3));
      const there = (given: TickValues) => decodeTick(encode(given).subarray(3));
      assert.deepEqual(there({ ids, scaled }), { ids, scaled });
      // The second time the ids are known.
      assert.deepEqual(there({ ids, scaled: scaled.toReversed() }), { ids, scaled: scaled.toReversed() });
      assert.deepEqual(there({ ids: ids.slice(1), scaled: scaled.slice(1) }), {
        ids: ids.slice(1),
        scaled: scaled.slice(1),
      });
    }),
    { numRuns },
  );
});

test('rollups give back lowest, mean and highest of each bucket, and the times of states', () => {
  const metrics = ['cpu_usage', 'nic_up', 'mem_used', 'vm_state'] as const;
  fc.assert(
    fc.property(fc.constantFrom(...metrics), column(7), (metric, drawn) => {
      const definition = definitionOf(metric);
      // As the intake lets through: states of the enum, and what has exact means.
      const limit = definition.values?.length ?? (averageDigits(definition) > 0 ? 1e12 : Number.MAX_SAFE_INTEGER);
      const given = {
        ...drawn,
        values: drawn.values.map((value) => ((limit < 100 ? Math.abs(value) : value) % limit) + 0),
      };
      const rolled = rollUp(given, definition, 30, 12);
      const digits = averageDigits(definition);
      assert.deepEqual(decodeRollups(encodeRollups({ length: 12, rollups: [rolled] }, digits), digits, null).rollups, [
        rolled,
      ]);
      for (const [n, bucket] of rolled.buckets.entries()) {
        const within = given.values.filter((_value, at) => Math.floor((given.offsets[at] ?? 0) / 30) === n);
        assert.equal(bucket?.count ?? 0, within.length);
        if (bucket === null) continue;
        assert.equal(bucket.min, Math.min(...within));
        assert.equal(bucket.max, Math.max(...within));
        if (bucket.states !== null)
          assert.equal(
            bucket.states.reduce((sum, [, count]) => sum + count, 0),
            within.length,
          );
      }
    }),
    { numRuns: Math.min(numRuns, 20_000) },
  );
});

test('numbers of any size take the bytes that they need and come back', () => {
  fc.assert(
    fc.property(fc.array(values), (numbers) => {
      const out = new ByteWriter();
      for (const number of numbers) {
        out.signed(number);
        out.unsigned(Math.abs(number));
      }
      const input = new ByteReader(out.take().slice());
      for (const number of numbers) {
        assert.equal(input.signed(), number + 0);
        assert.equal(input.unsigned(), Math.abs(number));
      }
      assert.ok(input.isAtEnd);

      // A run of them is the same bytes.
      const run = new ByteWriter();
      const single = new ByteWriter();
      run.signedRun(Float64Array.from(numbers), false);
      for (const number of numbers) single.signed(number);
      const bytes = run.take().slice();
      assert.deepEqual(bytes, single.take());
      assert.deepEqual(
        [...new ByteReader(bytes).signedRun(numbers.length, false)],
        numbers.map((number) => number + 0),
      );
    }),
    { numRuns },
  );
});

test('a block with any byte changed is refused, never read as something else', () => {
  const block = encodeChunk([columnOf(1, [0, 1, 2, 5], [1, 2, 3, 4]), columnOf(2, [0, 6], [-5, 1e12])]);
  for (let at = 0; at < block.length; at += 1) {
    for (const change of [1, 0x80, 0xff]) {
      const damaged = Uint8Array.from(block);
      damaged[at] = (damaged[at] ?? 0) ^ change;
      try {
        // Bits of zstd's frame that nobody reads may change; what comes out is then the same.
        assert.deepEqual(decodeChunk(damaged), decodeChunk(block));
      } catch (error) {
        assert.ok(error instanceof DamagedBytes, String(error));
      }
    }
  }
  assert.throws(() => decodeChunk(block.subarray(0, block.length - 3)), DamagedBytes);
});

test('bytes that fit their checksum and hold nonsense are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      for (const decode of [
        () => decodeChunk(pack(bytes, 1)),
        () => decodeTick(bytes),
        () => decodeRollups(pack(bytes, 1), 0, null),
      ]) {
        try {
          decode();
        } catch (error) {
          assert.ok(error instanceof DamagedBytes, String(error));
        }
      }
      assert.deepEqual(Uint8Array.from(unpack(pack(bytes, 3))), bytes);
    }),
    { numRuns: Math.min(numRuns, 5_000) },
  );
});
