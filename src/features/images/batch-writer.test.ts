import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { createBatchWriter } from './batch-writer.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-batch-'));
});
after(() => rm(folder, { recursive: true }));

test('what is taken is what is in the file after a flush, whatever the portions', async () => {
  const path = join(folder, 'file');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(600_000), { maxLength: 12 }), fc.nat(100), async (sizes, begin) => {
      const handle = await open(path, 'w+');
      const writer = createBatchWriter(handle, begin);
      const chunks = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const [index, chunk] of chunks.entries()) {
        await writer.write(chunk);
        if (index % 5 === 4) await writer.flush();
      }
      await writer.flush();
      await handle.close();
      const all = Buffer.concat(chunks);
      assert.equal(writer.taken, begin + all.length);
      assert.equal(writer.written, writer.taken);
      assert.ok((await readFile(path)).subarray(begin).equals(all));
    }),
    { numRuns: 15 },
  );
});

test('a full disk is said so, and only what was written counts', async () => {
  const handle = await open('/dev/full', 'w');
  const writer = createBatchWriter(handle, 0);
  await writer.write(Buffer.alloc(10));
  await assert.rejects(writer.flush(), { code: 'no_space' });
  assert.deepEqual([writer.taken, writer.written], [10, 0]);
  await handle.close();
});
