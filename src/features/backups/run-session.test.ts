import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createSessions, type Sessions } from './run-session.ts';
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

test('what is still being stored when a part of it failed is waited for', async () => {
  const { promise: stored, resolve: store } = Promise.withResolvers<string>();
  let isClosed = false;
  const writer = {
    blob: async (bytes: Buffer) => (bytes.length === 0 ? Promise.reject(new Error('no room')) : stored),
    close: async () => {
      isClosed = true;
    },
  };
  const repository = { writer: async () => writer } as unknown as Parameters<Sessions['of']>[1];
  const sessions = createSessions({ take: async () => undefined }, async () => undefined, 'here');
  const session = await sessions.of('op-1', repository);
  const look = async () => ({ blobs: { tpm: Buffer.alloc(0), nvram: Buffer.alloc(1) }, warnings: [] });
  await session.describe(look);
  await assert.rejects(session.described(), /no room/);
  const closing = sessions.close('op-1');
  await turn();
  assert.ok(!isClosed, 'the writer is in use');
  store('id');
  await closing;
  assert.ok(isClosed);
});
