/** Who works in a repository: one small file for each writer, export and upkeep, kept fresh by a heartbeat. It says since when, so that
 *  nothing newer is swept, and which restore points must stay. */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { asStoreError, namesIn } from './files.ts';
import type { Layout } from './layout.ts';
import { exclusively } from './mutex.ts';
import { isSurelyGone, ownProcessMark, processMarkSchema } from './process-mark.ts';

const HEARTBEAT_MS = 10_000;
/** Pins of some dozens of points. */
const LEASE_BYTES = 4096;
const SPARES = 4;
/** Tells the time of the file system. */
const NOW = 'now';
/** A lease without heartbeat for so long belongs to nobody. */
export const STALE_MS = 120_000;

/** `write` and `export` go on beside each other and beside one kind of upkeep; of `prune`, `check` and `repair` there is one at a time. */
export type LeaseWork = 'write' | 'export' | 'prune' | 'check' | 'repair';
const UPKEEP: readonly LeaseWork[] = ['prune', 'check', 'repair'];

const leaseSchema = z.object({
  token: z.string().regex(/^[0-9a-f]{16}$/),
  work: z.enum(['write', 'export', 'prune', 'check', 'repair']),
  host: z.string(),
  process: processMarkSchema,
  startedAtMs: z.number().describe('by the clock of the file system'),
  pins: z.array(z.string()).describe('restore points that must stay'),
});
export type LeaseFacts = z.infer<typeof leaseSchema>;

export interface Lease {
  readonly token: string;
  /** By the clock of the repository's file system, as the times of its files. */
  readonly startedAtMs: number;
  /** What to add to this process' clock to get that of the file system. */
  readonly skewMs: number;
  /** Keeps a point from being pruned until the lease ends. @param exists asked under the lock; false = point_not_found */
  pin(pointId: string, exists: () => Promise<boolean>): Promise<void>;
  /** To be called under the lock. @throws AppError backup_lease_lost when others took this process for dead */
  assertHeld(): Promise<void>;
  release(): Promise<void>;
}

/** @throws AppError repository_locked when upkeep is asked for and other upkeep runs */
export async function takeLease(layout: Layout, work: LeaseWork, host = hostname()): Promise<Lease> {
  const token = randomBytes(8).toString('hex');
  const path = join(layout.locks, `${token}.json`);
  let facts: LeaseFacts = { token, work, host, process: ownProcessMark(), startedAtMs: 0, pins: [] };
  let skewMs = 0;
  try {
    await exclusively(layout.locks, async () => {
      const others = await liveLeases(layout);
      const upkeep = UPKEEP.includes(work) && others.find((other) => UPKEEP.includes(other.work));
      if (upkeep) throw lockedBy(upkeep);
      await useSpare(layout, path);
      await write(path, facts);
      // Files of the next moments must not seem older than this: times of files are a few milliseconds late.
      const { mtimeMs } = await stat(path);
      skewMs = mtimeMs - Date.now();
      facts = { ...facts, startedAtMs: Math.floor(mtimeMs) - 1 };
      await write(path, facts);
    });
  } catch (error) {
    await rm(path, { force: true });
    throw asStoreError(error);
  }
  let isBeating = false;
  const timer = setInterval(async () => {
    // One that hangs holds a thread; a second would hold another one.
    if (isBeating) return;
    isBeating = true;
    await beat(path);
    isBeating = false;
  }, HEARTBEAT_MS);
  timer.unref();

  return {
    token,
    startedAtMs: facts.startedAtMs,
    skewMs,
    pin: (pointId, exists) =>
      exclusively(layout.locks, async () => {
        await assertHeld(path);
        if (!(await exists()))
          throw new AppError('point_not_found', { detail: `There is no restore point ${pointId}.` });
        if (facts.pins.includes(pointId)) return;
        facts = { ...facts, pins: [...facts.pins, pointId] };
        await write(path, facts);
      }),
    assertHeld: () => assertHeld(path),
    release: async () => {
      clearInterval(timer);
      await exclusively(layout.locks, () => putAway(layout, path));
    },
  };
}

/** All leases that somebody keeps; removes the others. To be called under the lock. */
export async function liveLeases(layout: Layout): Promise<LeaseFacts[]> {
  const live: LeaseFacts[] = [];
  const nowMs = await fileSystemNowMs(layout);
  for (const name of await namesIn(layout.locks)) {
    const [, token] = /^([0-9a-f]{16})\.json$/.exec(name) ?? [];
    if (token === undefined) continue;
    const path = join(layout.locks, name);
    const facts = await readLease(path, token);
    if (facts === 'gone') continue;
    const ageMs = nowMs - (await modifiedMs(path));
    // A torn one was being written when its process or the power ended: leases are written under the lock, which we have now.
    if (facts === null || ageMs > STALE_MS || isSurelyGone(facts.process)) await putAway(layout, path);
    else live.push(facts);
  }
  return live;
}

/** Null = nobody's: not written, or not as a whole. A spare still says who had it before, who may well live. */
async function readLease(path: string, token: string): Promise<LeaseFacts | null | 'gone'> {
  try {
    const read = leaseSchema.safeParse(JSON.parse(await readFile(path, 'utf8')));
    return read.success && read.data.token === token ? read.data : null;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return 'gone';
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function modifiedMs(path: string): Promise<number> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    // Released meanwhile: as old as can be.
    if (hasErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** What the file system would write on a new file now. */
async function fileSystemNowMs({ locks }: Layout): Promise<number> {
  const path = join(locks, NOW);
  const file = await open(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
    0o640,
  );
  await file.close();
  const { mtimeMs } = await stat(path);
  return mtimeMs;
}

/** Always of the same length and in place, so that it takes no room that a full file system does not have. Read under the lock only. */
async function write(path: string, facts: LeaseFacts): Promise<void> {
  const text = JSON.stringify(facts).padEnd(LEASE_BYTES);
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    await file.write(text, 0);
    // A spare may have held more pins.
    await file.truncate(text.length);
  } finally {
    await file.close();
  }
}

/** Files for leases that are there before they are needed: a repository whose file system is full can still be read and pruned. */
export async function makeSpares({ locks }: Pick<Layout, 'locks'>): Promise<void> {
  await writeFile(join(locks, NOW), '', { mode: 0o640 });
  await writeFile(join(locks, 'mutex.db'), '', { mode: 0o640 });
  for (let n = 0; n < SPARES; n += 1) await writeFile(spare(locks, n), ' '.repeat(LEASE_BYTES), { mode: 0o640 });
}

async function useSpare({ locks }: Layout, path: string): Promise<void> {
  for (let n = 0; n < SPARES; n += 1) {
    try {
      return await rename(spare(locks, n), path);
    } catch (error) {
      if (!hasErrno(error, 'ENOENT')) throw error;
    }
  }
  await writeFile(path, ' '.repeat(LEASE_BYTES), { flag: 'wx', mode: 0o640 });
}

/** Back to the spares, if one is missing. To be called under the lock. */
async function putAway({ locks }: Layout, path: string): Promise<void> {
  const there = new Set(await namesIn(locks));
  for (let n = 0; n < SPARES; n += 1) {
    if (there.has(basename(spare(locks, n))) || !there.has(basename(path))) continue;
    return await rename(path, spare(locks, n));
  }
  await rm(path, { force: true });
}

const spare = (locks: string, n: number) => join(locks, `spare-${n}`);

/** Writes the first byte again: the time on the file then comes from the file system. A lease that others removed is not made anew. */
async function beat(path: string): Promise<void> {
  try {
    const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      await file.write('{', 0);
    } finally {
      await file.close();
    }
  } catch {
    // Whoever needs the lease asks `assertHeld`, and a file system that is back in time makes this good at the next beat.
  }
}

async function assertHeld(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
    throw new AppError('backup_lease_lost', { cause: error });
  }
}

function lockedBy({ work, host, process, startedAtMs }: LeaseFacts): AppError {
  const since = new Date(startedAtMs).toISOString();
  return new AppError('repository_locked', {
    detail: `A ${work} of process ${process.pid} on ${host} has been running since ${since}.`,
    params: { work, host, pid: process.pid, since },
  });
}

/** Token of the process that a file below `tmp` belongs to; null for a file that is not named by us. */
export function tokenOf(path: string): string | null {
  return /^([0-9a-f]{16})-/.exec(basename(path))?.[1] ?? null;
}
