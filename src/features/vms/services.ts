/** Everything that the operations of this slice work with, put together once in `index.ts`. */

import type { InventoryApi } from '#features/inventory/index.ts';
import type { NetworksApi } from '#features/networks/index.ts';
import type { Charge } from '#features/operations/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import type { StorageApi } from '#features/storage/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import type { StateFolders } from '#platform/config.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import type { VmCharges } from './charges.ts';
import type { DomainDefiner } from './define-domain.ts';
import type { DomainAccess } from './domain-access.ts';
import type { VmFiles } from './layout.ts';
import type { TrashStore } from './trash-store.ts';

/** @throws when the VM cannot start now */
export type StartGate = (vmId: string, signal: AbortSignal) => Promise<void>;

export interface VmServices {
  readonly charges: VmCharges;
  /** For plans. @throws AppError quota_exceeded */
  requireRoom(charges: readonly Charge[]): Promise<void>;
  readonly libvirt: LibvirtHost;
  readonly access: DomainAccess;
  /** The only way to define a domain. */
  readonly definer: DomainDefiner;
  readonly known: InventoryApi;
  readonly networks: NetworksApi;
  /** Of other slices: what has to be there before a VM starts. */
  readonly startGates: readonly StartGate[];
  readonly storage: StorageApi;
  readonly projects: ProjectsApi;
  /** Grants on this VM are of that project from now on. */
  moveGrants(vmId: string, project: string): Promise<void>;
  readonly trash: TrashStore;
  readonly files: VmFiles;
  readonly state: StateFolders;
  /** What new disks take is promised to the VM's id. */
  readonly space: SpaceLedger;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long the trash keeps a VM. */
  readonly trashDays: number;
}
