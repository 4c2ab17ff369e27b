import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { imageErrors } from '#contract/images.ts';
import type { Charge, StepContext } from '#features/operations/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { MIB } from '#kernel/units.ts';
import { createSpaceLedger } from '#platform/disk-space.ts';
import type { Fetcher } from '#platform/fetch/index.ts';
import { downloadStep } from './download-steps.ts';
import { createImageFiles } from './image-files.ts';
import { imageCharge } from './image-quota.ts';
import { createImageSpace } from './image-space.ts';

registerErrors(imageErrors);

/** A step over a sender that announces `totalBytes`, brings `broughtBytes` and then says no more. */
async function stageOf(t: TestContext, totalBytes: number, broughtBytes: number) {
  const root = await mkdtemp(join(tmpdir(), 'hv-download-'));
  t.after(() => rm(root, { recursive: true }));
  const files = createImageFiles({
    root,
    ca: root,
    images: root,
    disks: root,
    scratch: root,
    trash: root,
    quarantine: root,
  });
  const ledger = createSpaceLedger();
  const { promise: brought, resolve: onBrought } = Promise.withResolvers<void>();
  const fetcher: Pick<Fetcher, 'download'> = {
    async download({ sink, signal }) {
      await sink.begin({ offset: 0, totalBytes, validator: null, contentType: null, finalUrl: 'http://x/' });
      for (let bytes = 0; bytes < broughtBytes; bytes += MIB) await sink.write(Buffer.alloc(MIB));
      onBrought();
      return await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    },
  };
  const stopping = new AbortController();
  const charged: Charge[] = [];
  const memory = new Map<string, unknown>([['resolved', { url: 'http://x/', digests: [], level: 'none' }]]);
  const context: StepContext = {
    operationId: 'op-1',
    actor: 'root',
    signal: stopping.signal,
    log: silentLogger,
    progress: () => undefined,
    remember: async (key, value) => void memory.set(key, value),
    rememberAtEnd: (key, value) => void memory.set(key, value),
    charge: async (charges) => void charged.push(...charges),
    recall: (key) => memory.get(key),
  };
  const space = createImageSpace(ledger, files.folder);
  const step = downloadStep(
    { fetcher, files, space, clock: new TestClock(), maxBytes: totalBytes },
    imageCharge({ project: 'p', imageId: 'img-1' }),
  );
  return { room: await ledger.look(root), ledger, brought, stopping, charged, run: () => step.act(context) };
}

test('a download is promised what is still to come, until it ends, however it does', async (t) => {
  const { room, ledger, brought, stopping, charged, run } = await stageOf(t, 8 * MIB, 4 * MIB);
  const ended = run();
  await brought;
  assert.deepEqual(charged, [{ project: 'p', resource: 'images', objectId: 'img-1', amount: 8 * MIB }]);
  // The last piece is on its way to the disk.
  assert.ok(ledger.promisedBytes(room) >= 4 * MIB && ledger.promisedBytes(room) < 8 * MIB);
  stopping.abort(new AppError('cancelled'));
  await assert.rejects(ended, { code: 'cancelled' });
  assert.equal(ledger.promisedBytes(room), 0);
});

test('a download does not count on what others were promised', async (t) => {
  const { room, ledger, run } = await stageOf(t, 8 * MIB, 0);
  ledger.expect(room, 'others', room.freeBytes);
  await assert.rejects(run(), { code: 'no_space', status: 507 });
  assert.equal(ledger.promisedBytes(room), room.freeBytes);
});
