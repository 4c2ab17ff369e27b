/** Single files of restore points: what lies on their disks, folders, downloads. A file system of a guest is never read by the host: a
 *  throw-away appliance does it, one for each restore point, which ends when nobody asks any more.
 *  Checks the file systems of a restore point in the same way, for whoever proves it.
 *  No tables. Permissions: backup.files. Guide: docs/guides/backups.md */

import { mkdir, rm } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { backupFileErrors, type FilesystemCheck } from '#contract/backup-files.ts';
import { backups } from '#features/backups/index.ts';
import { health } from '#features/health/index.ts';
import { AppError } from '#kernel/errors.ts';
import { formatBytes, GIB, MIB } from '#kernel/units.ts';
import { APPLIANCE_OVERHEAD_MIB, applianceImage, startAppliance } from '#platform/appliance/index.ts';
import { defineFeature } from '#platform/feature.ts';
import type { NbdSource } from '#platform/nbd/index.ts';
import { checkVolumes } from './check.ts';
import { createReader } from './reader.ts';
import { createReaders } from './readers.ts';
import { createFileRoutes } from './routes.ts';

export interface BackupFilesApi {
  /** Checks the file systems on disks of a restore point.
   *  @param order.id of whoever asks; names the folder that it works in
   *  @throws file_reader_no_memory, file_reader_failed, unavailable when its parts cannot be had, the signal's reason */
  checkFilesystems(order: CheckOrder): Promise<readonly FilesystemCheck[]>;
}

export interface CheckOrder {
  readonly id: string;
  readonly disks: ReadonlyMap<string, NbdSource>;
  readonly signal: AbortSignal;
  onVolume(id: string): void;
}

const READER_MIB = 256;
/** Checkers hold tables of the whole file system. */
const CHECKER_MIB = 512;
/** Left for everything else on the host. */
const SPARE_MIB = 256;
const PORTS = 4;
/** However much is asked of it: it is made anew then. */
const LIFETIME_MS = 24 * 3_600_000;
const WAIT_MS = 5000;
/** All file systems of a restore point. */
const CHECK_MS = 15 * 60_000;

export const backupFiles = defineFeature<BackupFilesApi>({
  name: 'backup-files',
  needs: ['backups', 'health'],
  errors: backupFileErrors,
  setup({ config, log, use }) {
    const { catalogue, repositories } = use(backups);
    const { accel } = use(health);
    const root = join(config.state.root, 'reading');
    const settings = config.backups.files;

    const start = async (
      order: {
        readonly name: string;
        readonly disks: ReadonlyMap<string, NbdSource>;
        readonly memoryMib: number;
        readonly ports: number;
      },
      signal: AbortSignal,
    ) =>
      startAppliance({
        image: await applianceImage({ cacheDir: join(config.state.scratch, 'guest-parts'), signal }),
        folder: join(root, order.name),
        disks: order.disks,
        accel: accel() === 'kvm' ? 'kvm' : 'tcg',
        memoryMib: order.memoryMib,
        ports: order.ports,
        lifetimeMs: LIFETIME_MS,
        signal,
        onFailedStart: (error) => log.warn({ for: order.name, err: error }, 'the appliance is started once more'),
        onReadError: (disk, error) =>
          log.warn({ for: order.name, disk, err: error }, 'a restore point could not be read'),
      });

    const make = async (pointId: string, signal: AbortSignal) => {
      const row = await catalogue.point(pointId);
      if (!row) throw new AppError('not_found', { detail: `There is no restore point "${pointId.slice(0, 80)}".` });
      const repository = await repositories.open(row.repository_id);
      const disks = new Map<string, NbdSource>();
      const stack = new AsyncDisposableStack();
      try {
        for (const { target } of (await repository.point(pointId)).disks) {
          const disk = await repository.openDisk(pointId, target);
          stack.defer(() => disk.close());
          disks.set(target, disk);
        }
        const appliance = await start({ name: pointId, disks, memoryMib: READER_MIB, ports: PORTS }, signal);
        stack.defer(() => appliance.close());
        const reader = await createReader(appliance, log, signal);
        const resources = stack.move();
        return { ...reader, close: () => resources.disposeAsync() };
      } catch (error) {
        await stack.disposeAsync();
        throw error;
      }
    };

    const readers = createReaders({
      parallel: settings.parallel,
      idleMs: settings.idleSeconds * 1000,
      waitMs: WAIT_MS,
      requireMemory: () => requireMemory(READER_MIB),
      make,
    });

    return {
      api: {
        async checkFilesystems({ id, disks, signal, onVolume }) {
          requireMemory(CHECKER_MIB);
          const appliance = await start({ name: `check-${id}`, disks, memoryMib: CHECKER_MIB, ports: 1 }, signal);
          try {
            return await checkVolumes(appliance, CHECK_MS, signal, onVolume);
          } finally {
            await appliance.close();
          }
        },
      },
      handlers: createFileRoutes(readers, { maxBytes: settings.maxDownloadGib * GIB }),
      async start() {
        // QEMU ends with us, also at kill -9; its sockets and overlays stay.
        await rm(root, { recursive: true, force: true });
        await mkdir(root, { recursive: true, mode: 0o700 });
      },
      stop: readers.close,
    };
  },
});

/** @throws file_reader_no_memory */
function requireMemory(guestMib: number): void {
  const needBytes = (guestMib + APPLIANCE_OVERHEAD_MIB + SPARE_MIB) * MIB;
  const freeBytes = freemem();
  if (freeBytes < needBytes)
    throw new AppError('file_reader_no_memory', {
      detail: `${formatBytes(freeBytes)} of memory are free, ${formatBytes(needBytes)} are needed.`,
    });
}
