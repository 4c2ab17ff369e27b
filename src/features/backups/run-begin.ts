/** The moment of a backup: file systems are frozen, QEMU begins to keep what the guest overwrites, and they go on. */

import type { StepContext } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { buildBackupXml, buildCheckpointXml } from '#libvirt/index.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import type { GuestIdentity } from '#platform/guest-identity.ts';
import type { QemuUser } from '#platform/qemu-access.ts';
import type { VmMeta } from './blobs.ts';
import type { Catalogue } from './catalogue.ts';
import type { Freezer } from './freeze.ts';
import type { MetaBlob } from './manifest-row.ts';
import { checkpointName, type RunFolders } from './names.ts';
import { asFull, type BackupPlan, backupDisks } from './plan.ts';
import type { OpenRepository } from './repositories.ts';
import { prepareRunFolder } from './run-folder.ts';
import { type Begun, REMEMBERED, type RunOrder, type Way } from './run-order.ts';
import type { PlanDependencies } from './run-plan.ts';
import type { Sessions } from './run-session.ts';
import type { Manifest } from './store/index.ts';
import type { Turns } from './turns.ts';
import { BrokenMark } from './vm-side.ts';

/** Everything that backups of VMs work with. */
export interface RunServices extends PlanDependencies {
  readonly catalogue: Catalogue;
  readonly turns: Turns;
  readonly sessions: Sessions;
  readonly freezer: Freezer;
  readonly folders: RunFolders;
  readonly stateFolder: string;
  readonly space: SpaceLedger;
  readonly clock: Clock;
  /** @throws repository_unreachable, repository_unconfirmed */
  open(repositoryId: string): Promise<OpenRepository>;
  /** The restore point that an operation published; null = none. */
  publishedBy(repositoryId: string, vmId: string, operationId: string): Promise<Manifest | null>;
  /** Writes a published restore point into our tables. */
  record(order: RunOrder, manifest: Manifest, begun: Begun, meta: MetaBlob): Promise<void>;
  isAgentConnected(vmId: string): Promise<boolean>;
  /** Who the guest says it is, so that a proof can tell whether it booted the same one; null = it does not say. */
  guestIdentity(vmId: string, signal: AbortSignal): Promise<GuestIdentity | null>;
  qemuUser(): Promise<QemuUser | null>;
  /** Definition for a backup, and where its firmware variables lie. */
  definition(
    vmId: string,
  ): Promise<{ readonly xml: string; readonly nvramPath: string | null; readonly hasTpm: boolean }>;
  meta(vmId: string): Promise<VmMeta>;
  startPaused(vmId: string, signal: AbortSignal): Promise<void>;
  stop(vmId: string): Promise<void>;
  /** Shows the VM as it is now. */
  refresh(vmId: string): Promise<void>;
  tool(): Promise<{ readonly hyperd: string; readonly libvirt: string }>;
  readonly hostId: string;
  /** See `createGivingWay`. */
  readonly guestSlowMs: number | null;
}

/** Marks may be broken on several disks, and libvirt names one at a time. */
const MAX_TRIES = 4;
const LOST = 'its change tracking was lost, as by a crash of QEMU or the host';

export async function beginBackup(
  order: RunOrder,
  way: Way,
  planned: BackupPlan,
  context: StepContext,
  services: RunServices,
): Promise<void> {
  const { clock, vmSide, freezer, folders } = services;
  const { vmId, repositoryId } = order;
  const folder = folders.of(context.operationId);
  const startedAt = clock.now().toISOString();
  const told = (begun: Omit<Begun, 'startedAt'>) => context.remember(REMEMBERED.begun, { startedAt, ...begun });
  if (way === 'files' || way === 'unchanged') {
    const targets = new Set(planned.disks.map(({ target }) => target));
    const plan = way === 'files' ? asFull(planned, targets, 'the VM is off and cannot be started') : planned;
    await told({ plan, pointInTime: startedAt, frozenMs: null, consistency: 'offline', warnings: [] });
    return;
  }
  const name = checkpointName(repositoryId, context.operationId);
  // What an earlier life of this process left: a job of ours is ended, a guest that it froze goes on. Each is waited for: what goes on
  // after the step failed would meet its next try.
  await vmSide.end(vmId, folder.socketPath);
  if (way === 'running') await freezer.thawIfFrozen(vmId);
  await vmSide.dropCheckpoint(vmId, name);
  await vmSide.requireNoJob(vmId);
  const [user, isAgentThere] = await Promise.all([
    services.qemuUser(),
    way === 'running' && services.isAgentConnected(vmId),
  ]);

  let plan = planned;
  for (let tries = 1; ; tries += 1) {
    await prepareRunFolder(folders.root, folder, user);
    const disks = backupDisks(plan, folder.scratchPath);
    const backupXml = buildBackupXml({ socketPath: folder.socketPath, disks });
    const checkpointXml = buildCheckpointXml(name, disks);
    try {
      const work = async () => {
        const at = clock.now().toISOString();
        await vmSide.begin(vmId, backupXml, checkpointXml);
        return at;
      };
      if (way === 'paused') {
        await told({ plan, pointInTime: await work(), frozenMs: null, consistency: 'offline', warnings: [] });
        return;
      }
      const { value, frozenMs, warnings } = await freezer.whileFrozen(vmId, isAgentThere, work);
      await told({
        plan,
        pointInTime: value,
        frozenMs,
        consistency: frozenMs === null ? 'crash' : 'agent',
        warnings: [...warnings],
      });
      return;
    } catch (error) {
      if (!(error instanceof BrokenMark) || tries >= MAX_TRIES) throw error;
      const counted = plan.disks.filter(({ since }) => since !== null).map(({ target }) => target);
      if (counted.length === 0) throw error.cause;
      const named = error.target !== null && counted.includes(error.target) ? [error.target] : counted;
      context.log.info({ vm: vmId, disks: named }, 'the change tracking of disks was lost; they are read as a whole');
      plan = asFull(plan, new Set(named), LOST);
    }
  }
}
