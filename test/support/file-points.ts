/** A hyperd without libvirt over a repository whose restore points hold given disks: all that reading single files needs. */

import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pathOf } from '#contract/client.ts';
import { newUuid } from '#kernel/ids.ts';
import { overSocket, startDaemon, type TestDaemon } from './daemon.ts';
import { applianceParts } from './guest.ts';
import { makePoints } from './proof-points.ts';

export interface FilePoints {
  daemon(): TestDaemon;
  /** Ends hyperd as a crash does, and starts it again over the same state. */
  crash(): Promise<void>;
  /** @param name of a disk */
  pointOf(name: string): string;
  download(
    name: string,
    volume: string,
    path: string,
    archive?: 'tar' | 'zip',
  ): Promise<{ readonly status: number; readonly headers: NodeJS.Dict<string | string[]>; readonly body: Buffer }>;
  close(): Promise<void>;
}

/** @param disks raw images by name @param files settings of reading files */
export async function startFilePoints(
  folder: string,
  disks: ReadonlyMap<string, string>,
  files: Readonly<Record<string, number>> = {},
): Promise<FilePoints> {
  const shelf = join(folder, 'shelf');
  const made = await makePoints(shelf);
  const points = new Map<string, string>();
  for (const [name, image] of disks)
    points.set(name, await made.add({ vmId: newUuid(), name, image, definition: '<domain/>' }));
  const stateDir = join(folder, 'state');
  await mkdir(join(stateDir, 'scratch'), { recursive: true });
  await symlink(await applianceParts(), join(stateDir, 'scratch', 'guest-parts'));
  const start = () => startDaemon({ stateDir, waitFor: 'doors', config: { backups: { files } } });
  let daemon = await start();
  const { repository } = await daemon.admin('POST /repositories', {
    body: { name: 'shelf', folder: shelf, existing: true },
  });
  await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: repository.id } }));
  const pointOf = (name: string) => {
    const id = points.get(name);
    if (id === undefined) throw new TypeError(`no disk "${name}"`);
    return id;
  };
  return {
    daemon: () => daemon,
    async crash() {
      await daemon.kill('SIGKILL');
      daemon = await start();
    },
    pointOf,
    download: (name, volume, path, archive) =>
      overSocket(join(daemon.runtimeDir, 'admin.sock'), {
        method: 'GET',
        path: pathOf(
          'GET /restore-points/{id}/file',
          { id: pointOf(name) },
          { volume, path, ...(archive === undefined ? {} : { archive }) },
        ),
      }),
    close: () => daemon.close(),
  };
}
