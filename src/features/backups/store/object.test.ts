/** Objects: what packing leaves behind in memory. That they come back as they were is shown by the tests of repositories. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { giveBack } from './memory.ts';
import { idOf, packObject, unpackObject } from './object.ts';

const CHUNK_BYTES = 2 ** 20;

test('what cannot be compressed leaves no memory to the collector', () => {
  const raw = randomBytes(CHUNK_BYTES);
  const id = idOf('chunk', raw, null);
  const pack = () => packObject({ kind: 'chunk', raw, id, keys: null, level: 1 });
  const first = pack();
  assert.deepEqual(
    unpackObject({ kind: 'chunk', object: first, id, keys: null, isEncrypted: false, maxRawBytes: CHUNK_BYTES }),
    raw,
  );
  giveBack(first);
  // Few enough that nothing is collected meanwhile.
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 8; n += 1) giveBack(pack());
  const left = process.memoryUsage().arrayBuffers - before;
  assert.ok(left < CHUNK_BYTES, `${left} bytes are left of 8 objects`);
});
