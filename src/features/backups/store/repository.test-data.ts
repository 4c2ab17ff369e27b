/** Repositories in folders of their own and what tests put into them. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CheckReport,
  createRepository,
  type DiskImage,
  type DiskWriter,
  type Manifest,
  type ManifestBody,
  newRecoveryKey,
  newRepositoryKey,
  type PointEntry,
  type PruneResult,
  type Repository,
  type RepositoryWriter,
  readRecoveryKey,
} from './index.ts';

export const VM = '00000000-0000-4000-8000-000000000001';
/** Small, so that a test has many chunks, and more than one page with few bytes. */
export const CHUNK = 4096;

export interface TestRepository extends AsyncDisposable {
  readonly folder: string;
  readonly key: Buffer | null;
  readonly recoveryKey: string | null;
  readonly repository: Repository;
}

export async function testRepository(isEncrypted: boolean, chunkSizeBytes = CHUNK): Promise<TestRepository> {
  const parent = await mkdtemp(join(tmpdir(), 'hv-store-'));
  const folder = join(parent, 'repository');
  const key = isEncrypted ? newRepositoryKey() : null;
  const recoveryKey = isEncrypted ? newRecoveryKey() : null;
  const encryption = key && recoveryKey ? { key, recoveryKey: readRecoveryKey(recoveryKey) } : null;
  const repository = await createRepository(folder, { compression: 'default', encryption, chunkSizeBytes });
  return {
    folder,
    key,
    recoveryKey,
    repository,
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  };
}

/** A body of which only the disks matter. */
export function bodyOf(
  disks: readonly { readonly target: string; readonly parent?: string | null }[],
  more: Partial<ManifestBody> = {},
): ManifestBody {
  const now = new Date().toISOString();
  return {
    vm: VM,
    project: 'default',
    host: 'host-1',
    op: 'op-1',
    startedAt: now,
    pointInTime: now,
    finishedAt: now,
    consistency: 'crash',
    frozenMs: null,
    checkpoint: null,
    disks: disks.map(({ target, parent = null }) => ({
      target,
      serial: null,
      format: 'raw',
      mode: parent === null ? 'full' : 'incremental',
      parent,
      reason: null,
    })),
    skipped: [],
    blobs: {},
    guest: null,
    tool: {},
    ...more,
  };
}

/** Chunks of a disk by number; null for zeros. */
export type Changes = ReadonlyMap<number, Buffer | null>;

/** One point with one disk `vda`. */
export async function backUp(
  repository: Repository,
  change: {
    readonly sizeBytes: number;
    readonly changes: Changes;
    readonly parent?: string | undefined;
    readonly vm?: string;
  },
): Promise<Manifest> {
  const writer = await repository.writer();
  try {
    return await writePoint(writer, change);
  } finally {
    await writer.close();
  }
}

export async function writePoint(
  writer: RepositoryWriter,
  {
    sizeBytes,
    changes,
    parent,
    vm = VM,
  }: {
    readonly sizeBytes: number;
    readonly changes: Changes;
    readonly parent?: string | undefined;
    readonly vm?: string;
  },
): Promise<Manifest> {
  const disk = await writer.disk({
    target: 'vda',
    sizeBytes,
    ...(parent === undefined ? {} : { parent: { pointId: parent, target: 'vda' } }),
  });
  await writeChanges(disk, changes);
  await disk.finish();
  return await writer.publish(bodyOf([{ target: 'vda', parent: parent ?? null }], { vm }));
}

export async function restore(repository: Repository, pointId: string, target = 'vda'): Promise<Buffer> {
  const image = await repository.openDisk(pointId, target);
  try {
    return await readWhole(image);
  } finally {
    await image.close();
  }
}

export async function writeChanges(disk: DiskWriter, changes: Changes): Promise<void> {
  for (const [chunk, data] of changes)
    if (data === null) await disk.zero(chunk, 1);
    else await disk.write(chunk, Buffer.from(data));
}

export const readWhole = (image: DiskImage): Promise<Buffer> => image.read(0, image.sizeBytes);

/** What a check found, in a form that reads well when a test fails. */
export const problemsOf = ({ problems }: CheckReport): string[] =>
  problems.map(({ kind, name, reason }) => `${kind} ${name.slice(0, 80)}: ${reason}`);

/** Deletes points and all that only they used, as if no time had to pass. */
export const pruneAtOnce = (repository: Repository, remove: readonly string[]): Promise<PruneResult> =>
  repository.prune({ points: { remove }, graceMs: 0 });

export const entriesOf = (repository: Repository): Promise<PointEntry[]> => Array.fromAsync(repository.points());
