import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSessions } from './run-session.ts';
import { createRepository } from './store/index.ts';

test('when a part of the description could not be stored, all of it is looked at and stored again', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-run-session-'));
  t.after(() => rm(folder, { recursive: true }));
  const repository = await createRepository(join(folder, 'repo'), { compression: 'default', encryption: null });
  const sessions = createSessions({ take: async () => undefined }, async () => undefined, 'here');
  const session = await sessions.of('op-1', repository);
  t.after(() => sessions.closeAll());

  let looks = 0;
  // More than a document of a restore point may have.
  let nvram = Buffer.alloc(65 * 2 ** 20);
  const look = async () => {
    looks += 1;
    return { blobs: { domainXml: Buffer.from('<domain/>'), nvram }, warnings: [`look ${looks}`] };
  };
  await session.describe(look);
  await session.describe(look);
  assert.equal(looks, 1);
  await assert.rejects(session.described(), { code: 'too_large' });

  nvram = Buffer.from('variables');
  await session.describe(look);
  const { blobs, warnings } = await session.described();
  assert.equal(looks, 2);
  assert.deepEqual(Object.keys(blobs), ['domainXml', 'nvram']);
  assert.deepEqual(warnings, ['look 2']);
});
