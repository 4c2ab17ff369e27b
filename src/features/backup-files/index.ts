/** Single files of restore points: what lies on their disks, folders, downloads. A file system of a guest is never read by the host: a
 *  throw-away appliance does it, one for each restore point, which ends when nobody asks any more.
 *  No tables. Permissions: backup.files. Guide: docs/guides/backups.md */

import { mkdir, rm } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { backupFileErrors } from '#contract/backup-files.ts';
import { backups } from '#features/backups/index.ts';
import { health } from '#features/health/index.ts';
import { AppError } from '#kernel/errors.ts';
import { formatBytes, GIB, MIB } from '#kernel/units.ts';
import { APPLIANCE_OVERHEAD_MIB, applianceImage, startAppliance } from '#platform/appliance/index.ts';
import { defineFeature } from '#platform/feature.ts';
import type { NbdSource } from '#platform/nbd/index.ts';
import { createReader } from './reader.ts';
import { createReaders } from './readers.ts';
import { createFileRoutes } from './routes.ts';

const MEMORY_MIB = 256;
/** Left for everything else on the host. */
const SPARE_MIB = 256;
const PORTS = 4;
/** However much is asked of it: it is made anew then. */
const LIFETIME_MS = 24 * 3_600_000;

export const backupFiles = defineFeature({
  name: 'backup-files',
  needs: ['backups', 'health'],
  errors: backupFileErrors,
  setup({ config, log, use }) {
    const { catalogue, repositories } = use(backups);
    const { accel } = use(health);
    const root = join(config.state.root, 'reading');
    const settings = config.backups.files;

    const make = async (pointId: string, signal: AbortSignal) => {
      const row = await catalogue.point(pointId);
      if (!row) throw new AppError('not_found', { detail: `There is no restore point "${pointId.slice(0, 80)}".` });
      const image = await applianceImage({ cacheDir: join(config.state.scratch, 'guest-parts'), signal });
      const repository = await repositories.open(row.repository_id);
      const disks = new Map<string, NbdSource>();
      const stack = new AsyncDisposableStack();
      try {
        for (const { target } of (await repository.point(pointId)).disks) {
          const disk = await repository.openDisk(pointId, target);
          stack.defer(() => disk.close());
          disks.set(target, disk);
        }
        const appliance = await startAppliance({
          image,
          folder: join(root, pointId),
          disks,
          accel: accel() === 'kvm' ? 'kvm' : 'tcg',
          memoryMib: MEMORY_MIB,
          ports: PORTS,
          lifetimeMs: LIFETIME_MS,
          signal,
          onReadError: (disk, error) =>
            log.warn({ point: pointId, disk, err: error }, 'a restore point could not be read'),
        });
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
      requireMemory() {
        const needBytes = (MEMORY_MIB + APPLIANCE_OVERHEAD_MIB + SPARE_MIB) * MIB;
        const freeBytes = freemem();
        if (freeBytes < needBytes)
          throw new AppError('file_reader_no_memory', {
            detail: `${formatBytes(freeBytes)} of memory are free, ${formatBytes(needBytes)} are needed.`,
          });
      },
      make,
    });

    return {
      api: {},
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
