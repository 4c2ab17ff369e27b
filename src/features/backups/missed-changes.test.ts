import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Extent } from './chunk-runs.ts';
import { findMissed } from './missed-changes.ts';

const CHUNK = 1024;
const CHUNKS = 40;

async function missedOf(changed: ReadonlySet<number>, dirty: readonly (readonly [at: number, length: number])[]) {
  const extents: Extent[] = [];
  let at = 0;
  for (const [gap, length] of dirty) {
    extents.push(
      { offsetBytes: at, lengthBytes: gap, flags: 0 },
      { offsetBytes: at + gap, lengthBytes: length, flags: 1 },
    );
    at += gap + length;
  }
  return await findMissed({
    sizeBytes: CHUNKS * CHUNK,
    chunkSizeBytes: CHUNK,
    changed: (async function* () {
      yield* [...changed].toSorted((a, b) => a - b);
    })(),
    async *dirty() {
      yield* extents;
    },
  });
}

test('what changed without being told is missed, whatever else changed and was told', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(CHUNKS - 1)),
      fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 3000 })), { maxLength: 6 }),
      async (changed, dirty) => {
        const told = new Set<number>();
        let at = 0;
        for (const [gap, length] of dirty) {
          for (let byte = at + gap; byte < at + gap + length; byte += 1) told.add(Math.floor(byte / CHUNK));
          at += gap + length;
        }
        const missed = changed.filter((chunk) => !told.has(chunk)).toSorted((a, b) => a - b);
        const expected = missed[0] === undefined ? null : { count: missed.length, firstOffsetBytes: missed[0] * CHUNK };
        assert.deepEqual(await missedOf(new Set(changed), dirty), expected);
      },
    ),
  );
});
