/** Restore points as a proof sees them. `backup-points.ts` binds this to the repositories; tests bring their own. */

import type { GuestIdentity } from '#platform/guest-identity.ts';
import type { NbdSource } from '#platform/nbd/index.ts';

export interface ProvablePoint {
  readonly id: string;
  readonly repositoryId: string;
  /** Name of the repository, for people. */
  readonly repository: string;
  readonly vmId: string;
  readonly vmName: string;
  readonly project: string;
  readonly pointInTime: string;
}

/** A part of a disk that has a name of its own by its content: what was read under that name once needs no second reading soon. */
export interface DiskPart {
  /** Null = all zeros: there is nothing to read. */
  readonly id: string | null;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface PointDisk {
  readonly target: string;
  readonly sizeBytes: number;
  readonly parts: readonly DiskPart[];
}

/** Every byte that comes out of it was checked against the manifest; what does not fit is `point_damaged`. */
export interface PointImage extends Omit<NbdSource, 'extents'>, Pick<Required<NbdSource>, 'extents'> {
  close(): Promise<void>;
}

export interface OpenPoint {
  readonly disks: readonly PointDisk[];
  /** The VM's definition. */
  readonly definition: string;
  /** Firmware variables; null = it has none. */
  readonly nvram: Buffer | null;
  /** Null = it did not say who it is when it was backed up. */
  readonly guest: GuestIdentity | null;
  /** A check of the repository found it damaged; what was read before counts for nothing then. */
  readonly isSuspect: boolean;
  /** @throws point_damaged and what the repository fails with */
  openDisk(target: string): Promise<PointImage>;
  /** Lets it be pruned again. */
  close(): Promise<void>;
}

export interface ProofPoints {
  newest(vmId: string): Promise<ProvablePoint | null>;
  find(pointId: string): Promise<ProvablePoint | null>;
  /** Keeps it from being pruned until it is closed.
   *  @throws point_damaged when its manifest is, point_not_found, repository_unreachable */
  open(point: ProvablePoint): Promise<OpenPoint>;
}
