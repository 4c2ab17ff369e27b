/** The file systems that hyperd writes to, each by one folder of ours: how full it is, whether new work waits there, and the reserve in it. */

import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withDeadline } from '#kernel/async.ts';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { GIB } from '#kernel/units.ts';
import type { Database } from '#platform/db/database.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import { fileSystemOf } from '#platform/file-system.ts';
import { runChecked } from '#platform/process.ts';
import type { Filling, FullDisks } from './finders/full-disks.ts';
import type { HealingTables } from './migrations.ts';

const RESERVE_RATIO = 0.01;
const MAX_RESERVE_BYTES = 4 * GIB;
const RESERVE_NAME = '.reserve';
const LOOK_MS = 2_000;
const MAKE_MS = 60_000;

export interface Disks extends FullDisks {
  /** Holds again what was held before a restart. */
  load(): Promise<void>;
  hold(folder: string, isHeld: boolean): Promise<void>;
  /** Lets everything go on: the action was switched off. */
  liftAll(): Promise<void>;
  makeReserve(folder: string): Promise<void>;
  dropReserve(folder: string): Promise<void>;
}

interface Dependencies {
  readonly db: Database;
  readonly ledger: Pick<SpaceLedger, 'hold' | 'lift'>;
  /** Folders of ours that exist; the first on each file system stands for it. */
  readonly folders: readonly string[];
  readonly log: Logger;
}

export function createDisks({ db, ledger, folders, log }: Dependencies): Disks {
  const held = new Set<string>();
  const reserve = (folder: string) => join(folder, RESERVE_NAME);
  const requireOwn = (folder: string) => {
    if (!folders.includes(folder)) throw new TypeError(`${folder} is none of our folders`);
  };

  const exists = async (path: string): Promise<boolean> => {
    try {
      return (await stat(path)).isFile();
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return false;
      throw error;
    }
  };
  const holdInLedger = async (folder: string) =>
    ledger.hold((await stat(folder)).dev, `more than 90 % of the file system of ${folder} are in use`);

  const lookAt = async (folder: string): Promise<Filling & { readonly device: number }> => {
    const { device, sizeBytes, freeBytes, availableBytes } = await fileSystemOf(folder);
    const used = sizeBytes - freeBytes;
    return {
      folder,
      device,
      usedRatio: used + availableBytes === 0 ? 1 : used / (used + availableBytes),
      isHeld: held.has(folder),
      hasReserve: await exists(reserve(folder)),
    };
  };

  const disks: Disks = {
    async load() {
      for (const { folder } of await db.tables<HealingTables>().selectFrom('heal_hold').selectAll().execute()) {
        if (!folders.includes(folder)) continue;
        held.add(folder);
        await holdInLedger(folder);
      }
    },
    async look() {
      const fillings: Filling[] = [];
      const unknown = new Set<string>();
      const devices = new Set<number>();
      for (const folder of folders) {
        try {
          const { device, ...filling } = await withDeadline('a look at a file system', LOOK_MS, () => lookAt(folder));
          if (devices.has(device)) continue;
          devices.add(device);
          fillings.push(filling);
        } catch (error) {
          unknown.add(folder);
          log.debug({ folder, err: error }, `a file system does not tell how full it is: ${messageOf(error)}`);
        }
      }
      return { fillings, unknown };
    },
    async hold(folder, isHeld) {
      requireOwn(folder);
      const rows = db.tables<HealingTables>();
      if (isHeld) {
        await rows
          .insertInto('heal_hold')
          .values({ folder })
          .onConflict((on) => on.doNothing())
          .execute();
        held.add(folder);
        await holdInLedger(folder);
      } else {
        await rows.deleteFrom('heal_hold').where('folder', '=', folder).execute();
        held.delete(folder);
        ledger.lift((await stat(folder)).dev);
      }
    },
    async liftAll() {
      for (const folder of [...held]) await disks.hold(folder, false);
    },
    async makeReserve(folder) {
      requireOwn(folder);
      const path = reserve(folder);
      if (await exists(path)) return;
      const { sizeBytes } = await fileSystemOf(folder);
      const bytes = Math.min(MAX_RESERVE_BYTES, Math.floor(sizeBytes * RESERVE_RATIO));
      await mkdir(folder, { recursive: true });
      await rm(`${path}.part`, { force: true });
      await runChecked(['fallocate', '-l', String(bytes), `${path}.part`], { timeoutMs: MAKE_MS });
      await rename(`${path}.part`, path);
    },
    async dropReserve(folder) {
      requireOwn(folder);
      await rm(reserve(folder), { force: true });
    },
  };
  return disks;
}
