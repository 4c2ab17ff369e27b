import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChunkRun, chunkRuns, type Extent } from './chunk-runs.ts';

const CHUNK = 16;

/** Extents of a list of flags, one for each byte, in pieces as a server likes to cut them. */
function asked(flags: readonly number[], cutEvery: number) {
  const questions: { offsetBytes: number; lengthBytes: number }[] = [];
  async function* ask(offsetBytes: number, lengthBytes: number): AsyncGenerator<Extent> {
    questions.push({ offsetBytes, lengthBytes });
    for (let at = offsetBytes; at < offsetBytes + lengthBytes; ) {
      let end = at + 1;
      while (end < offsetBytes + lengthBytes && flags[end] === flags[at] && end - at < cutEvery) end += 1;
      yield { offsetBytes: at, lengthBytes: end - at, flags: flags[at] ?? 0 };
      at = end;
    }
  }
  return { ask, questions };
}

const collect = async (runs: AsyncIterable<ChunkRun>): Promise<ChunkRun[]> => {
  const all: ChunkRun[] = [];
  for await (const run of runs) all.push(run);
  return all;
};

test('every changed chunk is in one run, zeros and data are told apart, and clean chunks are in none', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ length: fc.integer({ min: 1, max: 40 }), isDirty: fc.boolean(), isZero: fc.boolean() }), {
        minLength: 1,
        maxLength: 40,
      }),
      fc.integer({ min: 1, max: 50 }),
      fc.boolean(),
      fc.boolean(),
      async (parts, cutEvery, hasDirty, hasAllocation) => {
        const dirty = parts.flatMap(({ length, isDirty }) => Array.from({ length }, () => (isDirty ? 1 : 0)));
        const zero = parts.flatMap(({ length, isZero }) => Array.from({ length }, () => (isZero ? 3 : 0)));
        const sizeBytes = dirty.length;
        const runs = await collect(
          chunkRuns({
            sizeBytes,
            chunkSizeBytes: CHUNK,
            dirty: hasDirty ? asked(dirty, cutEvery).ask : null,
            allocation: hasAllocation ? asked(zero, cutEvery).ask : null,
          }),
        );
        const expected = Array.from({ length: Math.ceil(sizeBytes / CHUNK) }, (_, n) => {
          const bytes = Array.from({ length: Math.min(CHUNK, sizeBytes - n * CHUNK) }, (_each, m) => n * CHUNK + m);
          if (hasDirty && bytes.every((at) => dirty[at] === 0)) return 'clean';
          return hasAllocation && bytes.every((at) => zero[at] !== 0) ? 'zero' : 'data';
        });
        const found = expected.map(() => 'clean');
        let last = -1;
        for (const { first, count, isZero } of runs) {
          assert.ok(count > 0 && first > last, 'runs are in order and not empty');
          last = first + count - 1;
          for (let n = first; n < first + count; n += 1) found[n] = isZero ? 'zero' : 'data';
        }
        assert.deepEqual(found, expected);
      },
    ),
    { numRuns: 300 },
  );
});

test('what is clean is not asked for its allocation', async () => {
  const dirty = Array.from({ length: CHUNK * 100 }, (_, at) => (at >= CHUNK * 50 && at < CHUNK * 51 ? 1 : 0));
  const allocation = asked(
    dirty.map(() => 0),
    1000,
  );
  const runs = await collect(
    chunkRuns({
      sizeBytes: dirty.length,
      chunkSizeBytes: CHUNK,
      dirty: asked(dirty, 1000).ask,
      allocation: allocation.ask,
    }),
  );
  assert.deepEqual(runs, [{ first: 50, count: 1, isZero: false }]);
  assert.deepEqual(allocation.questions, [{ offsetBytes: CHUNK * 50, lengthBytes: CHUNK }]);
});

test('a long change is asked for in pieces of 4 GiB', async () => {
  const chunkSizeBytes = 2 ** 30;
  const sizeBytes = 10 * 2 ** 30 + 512;
  const questions: number[] = [];
  const runs = await collect(
    chunkRuns({
      sizeBytes,
      chunkSizeBytes,
      dirty: null,
      async *allocation(offsetBytes, lengthBytes) {
        questions.push(lengthBytes);
        yield { offsetBytes, lengthBytes, flags: 0 };
      },
    }),
  );
  assert.equal(
    runs.reduce((sum, { count }) => sum + count, 0),
    11,
  );
  assert.ok(questions.every((length) => length <= 2 ** 32));
});
