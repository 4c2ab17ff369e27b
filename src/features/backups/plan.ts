/** What a backup does with each disk of a VM: read what changed, read it as a whole, or leave it out, each with its reason. Pure. */

import type { SkippedDisk } from '#contract/backups.ts';
import { formatDuration } from '#kernel/units.ts';
import type { BackupDiskSpec, DiskFacts } from '#libvirt/index.ts';

/** A disk of the VM as it is now. */
export interface VmDisk extends Pick<DiskFacts, 'target' | 'device' | 'sourceType' | 'source' | 'format'> {
  readonly isReadOnly: boolean;
  readonly isShareable: boolean;
  readonly serial: string | null;
  /** As the guest sees it; null = not known. */
  readonly sizeBytes: number | null;
}

/** What is known of a disk in the newest restore point of this repository. */
export interface ParentDisk {
  readonly serial: string | null;
  readonly sizeBytes: number;
  /** File or device that it was read from; null = not known any more. */
  readonly source: string | null;
  /** When it was last read as a whole; null = not known. */
  readonly fullReadAt: Date | null;
  /** A check found that something of it is damaged. */
  readonly isDamaged: boolean;
  /** Its change tracking missed something. */
  readonly isSuspect: boolean;
}

export interface ParentPoint {
  readonly pointId: string;
  /** The checkpoint that marks its moment; null = it has none, or libvirt does not know it any more. */
  readonly checkpoint: string | null;
  /** Targets that the checkpoint marks. */
  readonly marked: ReadonlySet<string>;
  readonly disks: ReadonlyMap<string, ParentDisk>;
}

export interface PlanWorld {
  readonly disks: readonly VmDisk[];
  readonly parent: ParentPoint | null;
  /** Everything is to be read as a whole. */
  readonly isFullWanted: boolean;
  readonly scrubDays: number;
  readonly now: Date;
}

export interface PlannedDisk {
  readonly target: string;
  readonly serial: string | null;
  readonly format: string;
  readonly source: string;
  readonly sizeBytes: number;
  readonly mode: 'incremental' | 'full';
  /** Why it is read as a whole, for people; null for incremental. */
  readonly reason: string | null;
  /** The point whose index the reading starts from; of a disk that is read as a whole, the one that it is compared with where its change
   *  tracking told of no change. */
  readonly parentPointId: string | null;
  /** The checkpoint that changes are counted from. */
  readonly since: string | null;
  /** Whether the moment can be marked on it. */
  readonly isMarked: boolean;
}

export interface BackupPlan {
  readonly disks: readonly PlannedDisk[];
  readonly skipped: readonly SkippedDisk[];
  /** What a person should know, in words. */
  readonly warnings: readonly string[];
}

const DAY_MS = 86_400_000;
/** Formats whose changes QEMU keeps track of from one run to the next. */
const TRACKED = 'qcow2';

export function planDisks(world: PlanWorld): BackupPlan {
  const disks: PlannedDisk[] = [];
  const skipped: SkippedDisk[] = [];
  const warnings: string[] = [];
  for (const disk of world.disks) {
    const why = whyNot(disk);
    if (why !== null) {
      skipped.push({ target: disk.target, device: disk.device, reason: why });
      continue;
    }
    const isMarked = disk.format === TRACKED;
    const reason = whyFull(disk, world);
    // Also where it is read as a whole: then the reading tells whether the tracking is right.
    const isCounted = whyUncounted(disk, world.parent) === null;
    if (!isMarked)
      warnings.push(
        `${disk.target} is ${disk.format ?? 'of no known format'}, which has no change tracking: it is read as a whole each time. As qcow2 only what changed would be read.`,
      );
    disks.push({
      target: disk.target,
      serial: disk.serial,
      format: disk.format ?? 'raw',
      source: disk.source ?? '',
      sizeBytes: disk.sizeBytes ?? 0,
      mode: reason === null ? 'incremental' : 'full',
      reason,
      parentPointId: isCounted ? (world.parent?.pointId ?? null) : null,
      since: isCounted ? (world.parent?.checkpoint ?? null) : null,
      isMarked,
    });
  }
  return { disks, skipped, warnings };
}

/** The same plan with some disks read as a whole after all. @param reason for people */
export function asFull(plan: BackupPlan, targets: ReadonlySet<string>, reason: string): BackupPlan {
  return {
    ...plan,
    disks: plan.disks.map((disk) =>
      targets.has(disk.target)
        ? { ...disk, mode: 'full', reason: disk.reason ?? reason, parentPointId: null, since: null }
        : disk,
    ),
  };
}

/** What libvirt is told of every disk. @param scratchOf where QEMU keeps what the guest overwrites meanwhile */
export function backupDisks(plan: BackupPlan, scratchOf: (target: string) => string): BackupDiskSpec[] {
  return [
    ...plan.disks.map(({ target, since, isMarked }) => ({ target, scratchPath: scratchOf(target), since, isMarked })),
    ...plan.skipped.map(({ target }) => ({ target, scratchPath: null, since: null, isMarked: false })),
  ];
}

function whyNot(disk: VmDisk): string | null {
  if (disk.device === 'cdrom') return 'cdrom';
  if (disk.device === 'floppy') return 'floppy';
  if (disk.device === 'lun') return 'passed through as a SCSI device: QEMU cannot read it as it was at one moment';
  if (disk.source === null) return 'it has no medium';
  if (disk.isReadOnly) return 'it is only read';
  if (disk.isShareable) return 'shared with other VMs: no moment of it is whole';
  if (disk.sourceType !== 'file' && disk.sourceType !== 'block') return `its source is of the kind ${disk.sourceType}`;
  if (disk.sizeBytes === null) return 'its size is not known';
  return null;
}

function whyFull(disk: VmDisk, world: PlanWorld): string | null {
  const { parent, isFullWanted, scrubDays, now } = world;
  // What is plain of every disk of this format is told of it first.
  if (disk.format === TRACKED && isFullWanted) return 'asked for';
  const uncounted = whyUncounted(disk, parent);
  if (uncounted !== null) return uncounted;
  const before = parent?.disks.get(disk.target);
  if (before?.isSuspect) return 'its change tracking missed something';
  const fullReadAt = before?.fullReadAt ?? null;
  if (fullReadAt === null) return 'not known when it was last read as a whole';
  const ageMs = now.getTime() - fullReadAt.getTime();
  return ageMs > scrubDays * DAY_MS ? `last read as a whole ${formatDuration(ageMs)} ago` : null;
}

/** Why nobody can tell what changed on it since the newest restore point. */
function whyUncounted(disk: VmDisk, parent: ParentPoint | null): string | null {
  if (disk.format !== TRACKED) return 'no change tracking in this format';
  if (parent === null) return 'first backup into this repository';
  const before = parent.disks.get(disk.target);
  if (before === undefined) return 'new disk';
  if (before.serial !== disk.serial || (before.source !== null && before.source !== disk.source))
    return 'another disk than before';
  if (before.source === null) return 'not known where it was read from before';
  if (before.sizeBytes !== disk.sizeBytes) return 'its size changed';
  if (before.isDamaged) return 'damaged in the repository: what is missing is written again';
  if (parent.checkpoint === null || !parent.marked.has(disk.target)) return 'the mark of the last backup is gone';
  return null;
}
