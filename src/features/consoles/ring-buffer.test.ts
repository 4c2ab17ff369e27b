import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createRingBuffer } from './ring-buffer.ts';

test('holds exactly the last bytes, whatever the portions', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20_000 }),
      fc.array(fc.nat(9000), { maxLength: 30 }),
      fc.nat(25_000),
      (capacity, sizes, wanted) => {
        const ring = createRingBuffer(capacity);
        let next = 0;
        const chunks = sizes.map((size) => Buffer.from(Array.from({ length: size }, () => next++ % 251)));
        for (const chunk of chunks) ring.push(chunk);
        const all = Buffer.concat(chunks);
        assert.deepEqual(ring.tail(), all.subarray(Math.max(0, all.length - capacity)));
        const newest = Math.min(wanted, capacity, all.length);
        assert.deepEqual(ring.tail(wanted), all.subarray(all.length - newest));
        assert.equal(ring.totalBytes, all.length);
      },
    ),
    { numRuns: 200 },
  );
});
