/** Restore points made from image files, without a backup: a repository in a folder, and in it what a VM's points would be. */

import { open } from 'node:fs/promises';
import { createRepository, newRepositoryKey, type Repository, readRecoveryKey } from '#features/backups/store/index.ts';
import { newId } from '#kernel/ids.ts';
import { MIB } from '#kernel/units.ts';

export interface PointWish {
  readonly vmId: string;
  readonly name: string;
  /** Raw image of its one disk, `vda`. */
  readonly image: string;
  readonly definition: string;
  readonly guest?: Readonly<Record<string, string>> | null;
  /** Its firmware variables. */
  readonly nvram?: Buffer | undefined;
}

const ZEROS = Buffer.alloc(MIB);

export interface MadePoints {
  readonly repository: Repository;
  /** Writes a point; @returns its id */
  add(wish: PointWish): Promise<string>;
}

/** @param recoveryKey for an encrypted repository */
export async function makePoints(folder: string, recoveryKey: string | null = null): Promise<MadePoints> {
  const encryption = recoveryKey && { key: newRepositoryKey(), recoveryKey: readRecoveryKey(recoveryKey) };
  const repository = await createRepository(folder, { compression: 'default', encryption: encryption || null });
  return {
    repository,
    async add({ vmId, name, image, definition, guest = null, nvram }) {
      const writer = await repository.writer({ host: 'test' });
      try {
        const file = await open(image, 'r');
        try {
          const { size } = await file.stat();
          const disk = await writer.disk({ target: 'vda', sizeBytes: size });
          for (let n = 0; n * MIB < size; n += 1) {
            const bytes = Buffer.alloc(Math.min(MIB, size - n * MIB));
            await file.read(bytes, 0, bytes.length, n * MIB);
            if (bytes.equals(ZEROS.subarray(0, bytes.length))) await disk.zero(n, 1);
            else await disk.write(n, bytes);
          }
          await disk.finish();
        } finally {
          await file.close();
        }
        const meta = {
          vm: {
            name,
            project: 'default',
            tags: [],
            isProtected: false,
            isAutostart: false,
            isManaged: false,
          },
          warnings: [],
        };
        const now = new Date().toISOString();
        const { id } = await writer.publish({
          vm: vmId,
          project: 'default',
          host: 'test',
          op: newId('op'),
          startedAt: now,
          pointInTime: now,
          finishedAt: now,
          consistency: 'offline',
          frozenMs: null,
          checkpoint: null,
          disks: [{ target: 'vda', serial: null, format: 'raw', mode: 'full', parent: null, reason: null }],
          skipped: [],
          blobs: {
            domainXml: await writer.blob(Buffer.from(definition)),
            meta: await writer.blob(Buffer.from(JSON.stringify(meta))),
            ...(nvram === undefined ? {} : { nvram: await writer.blob(nvram) }),
          },
          guest,
          tool: {},
        });
        return id;
      } finally {
        await writer.close();
      }
    },
  };
}
