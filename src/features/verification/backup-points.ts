/** Binds restore points of the repositories to what a proof needs of them. */

import { z } from 'zod';
import type { BackupsApi } from '#features/backups/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { GuestIdentity } from '#platform/guest-identity.ts';
import type { DiskPart, OpenPoint, ProofPoints, ProvablePoint } from './points.ts';

/** What a page of a disk's index names: chunks of 4096 ids, see docs/reference/backup-format.md. */
const CHUNKS_PER_PAGE = 4096;
const ZERO_PAGE = '0'.repeat(64);

const guestSchema = z.object({
  hostname: z.string().max(256).nullish(),
  machineId: z.string().max(256).nullish(),
  os: z.string().max(256).nullish(),
});

type Repository = Awaited<ReturnType<BackupsApi['repositories']['open']>>;
type Manifest = Awaited<ReturnType<Repository['point']>>;
type PointRow = NonNullable<Awaited<ReturnType<BackupsApi['catalogue']['point']>>>;

export function backupPoints({ catalogue, repositories }: BackupsApi): ProofPoints {
  const viewOf = (row: PointRow): ProvablePoint => ({
    id: row.id,
    repositoryId: row.repository_id,
    repository: repositories.find(row.repository_id)?.name ?? row.repository_id,
    vmId: row.vm_id,
    vmName: row.vm_name,
    project: row.project,
    pointInTime: row.point_in_time,
  });

  return {
    async newest(vmId) {
      const [row] = await catalogue.list({ vmIds: [vmId], of: null }, { offset: 0, limit: 1 });
      return row === undefined ? null : viewOf(row);
    },
    async find(pointId) {
      const row = await catalogue.point(pointId);
      return row === null ? null : viewOf(row);
    },
    async open({ id, repositoryId }) {
      const repository = await repositories.open(repositoryId);
      const pin = await repository.pin(id);
      try {
        return await openPoint(repository, id, await isSuspect(catalogue, id), () => pin.release());
      } catch (error) {
        await pin.release();
        throw error;
      }
    },
  };
}

async function isSuspect(catalogue: BackupsApi['catalogue'], pointId: string): Promise<boolean> {
  return (await catalogue.point(pointId))?.state === 'bad';
}

async function openPoint(
  repository: Repository,
  pointId: string,
  suspect: boolean,
  close: () => Promise<void>,
): Promise<OpenPoint> {
  const manifest = await repository.point(pointId);
  const document = async (name: string) =>
    manifest.blobs[name] === undefined ? null : repository.readBlob(pointId, name);
  const definition = await document('domainXml');
  if (definition === null)
    throw new AppError('point_damaged', { detail: `Restore point ${pointId} has no definition of its VM.` });
  return {
    disks: manifest.disks.map(({ target, sizeBytes, pages }) => ({
      target,
      sizeBytes,
      parts: partsOf(pages, manifest.chunkSizeBytes * CHUNKS_PER_PAGE, sizeBytes),
    })),
    definition: definition.toString('utf8'),
    nvram: await document('nvram'),
    guest: guestOf(manifest, await document('guest')),
    isSuspect: suspect,
    openDisk: (target) => repository.openDisk(pointId, target),
    close,
  };
}

function partsOf(pages: readonly string[], pageBytes: number, sizeBytes: number): DiskPart[] {
  return pages.map((id, n) => ({
    id: id === ZERO_PAGE ? null : id,
    offsetBytes: n * pageBytes,
    lengthBytes: Math.min(pageBytes, sizeBytes - n * pageBytes),
  }));
}

/** In encrypted repositories it is a document of its own, so that nobody reads it without the key. */
function guestOf(manifest: Manifest, document: Buffer | null): GuestIdentity | null {
  const told: unknown = manifest.guest ?? (document === null ? null : JSON.parse(document.toString('utf8')));
  const parsed = guestSchema.safeParse(told);
  if (!parsed.success) return null;
  const { hostname = null, machineId = null, os = null } = parsed.data;
  return hostname === null && machineId === null && os === null ? null : { hostname, machineId, os };
}
