import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UploadTail } from './upload-tail.ts';

test('the tail is a true part of what was sent, and after it there are only zeros', () => {
  const part = fc.oneof(
    fc.record({ holeBytes: fc.integer({ min: 1, max: 10_000 }) }),
    fc.tuple(fc.integer({ min: 0, max: 9_000 }), fc.integer({ min: 0, max: 9_000 })).map(([data, zeros]) => {
      return Buffer.concat([Buffer.alloc(data, 'data'), Buffer.alloc(zeros)]);
    }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const tail = new UploadTail();
      const reused = Buffer.alloc(18_000);
      for (const item of parts) {
        if (!Buffer.isBuffer(item)) tail.add(item);
        else {
          item.copy(reused);
          tail.add(reused.subarray(0, item.length));
          reused.fill(9);
        }
      }
      const whole = Buffer.concat(parts.map((item) => (Buffer.isBuffer(item) ? item : Buffer.alloc(item.holeBytes))));
      const { last } = tail;
      if (last === null) {
        assert.ok(whole.every((byte) => byte === 0));
        return;
      }
      const end = last.atBytes + last.bytes.length;
      assert.ok(whole.subarray(last.atBytes, end).equals(last.bytes));
      assert.ok(last.bytes.some((byte) => byte !== 0));
      assert.ok(whole.subarray(end).every((byte) => byte === 0));
    }),
  );
});
