import assert from 'node:assert/strict';
import { lutimes, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type ExpiryDependencies, runTrashExpiry } from './expiry.ts';

const OLD = new Date('2025-12-01T00:00:00Z');

test('one entry that cannot be looked at or cleared away does not keep the others', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hv-expiry-'));
  const state = { scratch: join(root, 'scratch'), quarantine: join(root, 'quarantine') };
  const clock = new TestClock();
  const end = new AbortController();
  const begun: string[] = [];
  try {
    for (const folder of Object.values(state)) await mkdir(folder);
    const operationFolder = (n: number) => join(state.quarantine, `op-${String(n).padStart(26, '0')}`);
    await symlink(join(root, 'nothing'), operationFolder(1));
    await lutimes(operationFolder(1), OLD, OLD);
    await mkdir(operationFolder(2));
    await writeFile(join(operationFolder(2), 'disk'), '');
    await utimes(operationFolder(2), OLD, OLD);
    await mkdir(operationFolder(3));
    await symlink(join(root, 'nothing'), join(state.scratch, 'seed-abcdef'));
    await lutimes(join(state.scratch, 'seed-abcdef'), OLD, OLD);
    await utimes(operationFolder(3), clock.now(), clock.now());

    const row = (id: string) => ({ id, vmId: id, name: id, isTakenAway: false, purgeAt: OLD.toISOString() });
    const dependencies = {
      projects: { ofDomain: (name: string) => ({ project: 'default', name }) },
      operations: {
        start: async (_kind: unknown, { trashId }: { trashId: string }) => {
          begun.push(trashId);
          if (trashId === 'bad') throw new AppError('unavailable');
        },
      },
      kinds: {},
      trash: { list: () => [row('bad'), row('good')] },
      state,
      trashDays: 7,
      clock,
      calendar: { leap: () => null },
      log: silentLogger,
    };
    // Only what the expiry uses of these is there.
    const running = runTrashExpiry(dependencies as unknown as ExpiryDependencies, end.signal);
    for (let tries = 0; tries < 200 && (await readdir(state.quarantine)).length > 1; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 5));
    end.abort();
    await running;
    assert.deepEqual(begun, ['bad', 'good']);
    assert.deepEqual(await readdir(state.quarantine), [`op-${'3'.padStart(26, '0')}`]);
    assert.deepEqual(await readdir(state.scratch), []);
  } finally {
    await rm(root, { recursive: true });
  }
});
