/** One backup's writing: what of it is in the repository already. Held in memory only; after a restart it is done again, and what is there
 *  already is not stored twice. */

import type { StepContext } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import { formatBytes } from '#kernel/units.ts';
import { connectNbd, type NbdConnection } from '#platform/nbd/index.ts';
import { type GivingWay, MOST_AT_ONCE } from './giving-way.ts';
import { findMissed, type MissedChanges } from './missed-changes.ts';
import type { Pace } from './pace.ts';
import type { PlannedDisk } from './plan.ts';
import { ALLOCATION, readDisk } from './read-disk.ts';

import type { DiskWriter, Repository, RepositoryWriter } from './store/index.ts';

/** Where the disks of a VM are read from. */
export interface DiskDoor {
  readonly socketPath: string;
  readonly exportName: string;
  /** Name of the context that tells what changed; null = none is asked for. */
  readonly dirtyContext: string | null;
  close(): Promise<void>;
}

export interface ReadResult {
  readonly planned: PlannedDisk;
  /** As it was done after all. */
  readonly mode: 'incremental' | 'full' | 'unchanged';
  readonly reason: string | null;
  readonly readBytes: number;
  /** What its change tracking missed; null also when that cannot be told. */
  readonly missed: MissedChanges | null;
  readonly written: Awaited<ReturnType<DiskWriter['finish']>>;
}

export interface Session {
  readonly writer: RepositoryWriter;
  /** Looks at what belongs to the VM beside its disks, once: after a failure, also of storing it, all of it again. */
  describe(look: () => Promise<Description>): Promise<void>;
  /** Nothing of the description is on its way any more, however it went. */
  settle(): Promise<void>;
  /** By name, the ids of what `describe` found, which is stored meanwhile. @throws what hindered it */
  described(): Promise<{ readonly blobs: Record<string, string>; readonly warnings: readonly string[] }>;
  /** Reads what is not read yet. */
  readDisks(
    disks: readonly PlannedDisk[],
    open: OpenDoor,
    context: StepContext,
    way: GivingWay,
  ): Promise<readonly ReadResult[]>;
}

export interface Description {
  readonly blobs: Readonly<Record<string, Buffer>>;
  /** What a person should know, in words. */
  readonly warnings: readonly string[];
}

/** @throws backup_interrupted when the disks cannot be reached any more */
export type OpenDoor = (disk: PlannedDisk) => Promise<DiskDoor | null>;

export interface Sessions {
  of(operationId: string, repository: Repository): Promise<Session>;
  close(operationId: string): Promise<void>;
  closeAll(): Promise<void>;
}

export function createSessions(pace: Pace, sleep: Clock['sleep'], host: string): Sessions {
  const open = new Map<string, Promise<Session>>();

  const begin = async (repository: Repository): Promise<Session> => {
    const writer = await repository.writer({ host });
    const done = new Map<string, ReadResult>();
    let description: ReturnType<typeof store> | null = null;
    /** Also of descriptions that failed. */
    let underway: Promise<unknown> = Promise.resolve();
    let hasFailed = false;
    const store = async (look: () => Promise<Description>) => {
      const { blobs, warnings } = await look();
      const writes = Object.entries(blobs).map(async ([name, bytes]) => [name, await writer.blob(bytes)] as const);
      underway = Promise.allSettled([underway, ...writes]);
      const stored = Promise.all(writes);
      // Whoever needs them hears of it; until then it is nobody's.
      stored.catch(() => {
        hasFailed = true;
      });
      return { stored, warnings };
    };
    return {
      writer,
      async describe(look) {
        if (hasFailed) description = null;
        hasFailed = false;
        description ??= store(look);
        try {
          await description;
        } catch (error) {
          hasFailed = true;
          throw error;
        }
      },
      async settle() {
        // Whoever asked for the description has heard of its failure.
        await description?.catch(() => undefined);
        await underway;
      },
      async described() {
        if (description === null) throw new Error('what belongs to the VM was not stored');
        const { stored, warnings } = await description;
        return { blobs: Object.fromEntries(await stored), warnings };
      },
      async readDisks(disks, openDoor, context, way) {
        const totalBytes = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        let beforeBytes = 0;
        for (const disk of disks) {
          const before = beforeBytes;
          const progress = (atBytes: number, readBytes: number) =>
            context.progress({
              ratio: totalBytes === 0 ? 1 : Math.min(1, (before + atBytes) / totalBytes),
              note: `${disk.target}: ${formatBytes(readBytes)} read${isNarrow(way) ? ', giving way to the guest' : ''}`,
            });
          if (!done.has(disk.target))
            done.set(
              disk.target,
              await readOne(disk, { writer, repository, openDoor, pace, way, sleep, context, progress }),
            );
          beforeBytes += disk.sizeBytes;
        }
        return disks.flatMap(({ target }) => done.get(target) ?? []);
      },
    };
  };

  const close = async (operationId: string) => {
    const session = open.get(operationId);
    open.delete(operationId);
    // One that could not be opened has nothing to close.
    const opened = await session?.catch(() => null);
    await opened?.settle();
    await opened?.writer.close();
  };

  return {
    async of(operationId, repository) {
      const known = open.get(operationId);
      if (known) return known;
      const session = begin(repository);
      open.set(operationId, session);
      try {
        return await session;
      } catch (error) {
        open.delete(operationId);
        throw error;
      }
    },
    close,
    async closeAll() {
      await Promise.allSettled([...open.keys()].map(close));
    },
  };
}

const isNarrow = ({ breadth }: GivingWay) => breadth.atOnce < MOST_AT_ONCE;

interface Reading {
  readonly writer: RepositoryWriter;
  readonly repository: Repository;
  readonly openDoor: OpenDoor;
  readonly pace: Pace;
  readonly way: GivingWay;
  readonly sleep: Clock['sleep'];
  readonly context: StepContext;
  progress(atBytes: number, readBytes: number): void;
}

/** After the disk was read as a whole though QEMU told what changed. */
async function missedBy(
  connection: NbdConnection,
  { dirtyContext }: DiskDoor,
  { target, sizeBytes, parentPointId }: PlannedDisk,
  { writer, repository }: Reading,
): Promise<MissedChanges | null> {
  if (dirtyContext === null || parentPointId === null) return null;
  try {
    const missed = await findMissed({
      sizeBytes,
      chunkSizeBytes: repository.chunkSizeBytes,
      changed: writer.changedChunks(target, { pointId: parentPointId, target }),
      dirty: (offsetBytes, lengthBytes) => connection.extents(dirtyContext, { offsetBytes, lengthBytes }),
    });
    return missed && { target, pointId: parentPointId, ...missed };
  } catch (error) {
    // Damaged or gone meanwhile: the backup itself does not need it.
    if (error instanceof AppError && ['point_damaged', 'point_not_found', 'point_parent_unfit'].includes(error.code))
      return null;
    throw error;
  }
}

async function readOne(planned: PlannedDisk, reading: Reading): Promise<ReadResult> {
  const { writer, repository, openDoor, pace, way, sleep, context, progress } = reading;
  const { target, sizeBytes, parentPointId } = planned;
  const door = await openDoor(planned);
  if (door === null) {
    // Without a parent what is not written would be zeros.
    if (parentPointId === null) throw new TypeError(`${target} has no restore point that it is as in`);
    const disk = await writer.disk({ target, sizeBytes, parent: { pointId: parentPointId, target } });
    return { planned, mode: 'unchanged', reason: null, readBytes: 0, missed: null, written: await disk.finish() };
  }
  let connection: NbdConnection | null = null;
  try {
    connection = await connectNbd(
      { socketPath: door.socketPath },
      {
        exportName: door.exportName,
        contexts: [ALLOCATION, ...(door.dirtyContext === null ? [] : [door.dirtyContext])],
        signal: context.signal,
      },
    );
    if (connection.sizeBytes !== sizeBytes)
      throw new AppError('backup_interrupted', {
        detail: `${target} has ${connection.sizeBytes} bytes, and had ${sizeBytes} when the backup was planned.`,
      });
    // QEMU serves the whole disk as it was at the moment, so what it does not tell the changes of is read as a whole.
    const isTold = door.dirtyContext !== null && connection.contexts.has(door.dirtyContext);
    const isIncremental = planned.mode === 'incremental' && isTold && parentPointId !== null;
    const disk = await writer.disk({
      target,
      sizeBytes,
      ...(isIncremental && parentPointId !== null ? { parent: { pointId: parentPointId, target } } : {}),
    });
    const { readBytes } = await readDisk({
      connection,
      writer: disk,
      chunkSizeBytes: repository.chunkSizeBytes,
      dirtyContext: isIncremental ? door.dirtyContext : null,
      pace,
      way,
      sleep,
      signal: context.signal,
      onProgress: progress,
    });
    const written = await disk.finish();
    return {
      planned,
      mode: isIncremental ? 'incremental' : 'full',
      reason: isIncremental ? null : (planned.reason ?? 'QEMU does not tell what changed'),
      readBytes,
      missed: isTold && !isIncremental ? await missedBy(connection, door, planned, reading) : null,
      written,
    };
  } catch (error) {
    context.signal.throwIfAborted();
    throw error instanceof AppError
      ? error
      : new AppError('backup_interrupted', {
          detail: `${target} could not be read: ${messageOf(error)}.`,
          cause: error,
        });
  } finally {
    await connection?.close();
    await door.close();
  }
}
