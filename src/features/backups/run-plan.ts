/** Looks at a VM and decides how it is read and what is done with each of its disks. */

import { stat } from 'node:fs/promises';
import { AppError } from '#kernel/errors.ts';
import { GIB } from '#kernel/units.ts';
import type { Catalogue } from './catalogue.ts';
import { type BackupPlan, type ParentDisk, type ParentPoint, type PlannedDisk, planDisks } from './plan.ts';
import type { RunOrder, Way } from './run-order.ts';
import { pointDetailSchema } from './tables.ts';
import { isOnIn, type VmSide } from './vm-side.ts';

export interface PlanDependencies {
  readonly vmSide: VmSide;
  readonly catalogue: Pick<Catalogue, 'newest' | 'disks'>;
  readonly scrubDays: number;
  hasSavedMemory(vmId: string): Promise<boolean>;
  now(): Date;
}

export interface LookedAt {
  readonly plan: BackupPlan;
  readonly way: Way;
  /** What may be written at most, as far as it can be known. */
  readonly repositoryBytes: number;
  readonly scratchBytes: number;
}

/** Of what a disk takes, so much is counted for what changes while it is read, and for an incremental reading. */
const CHANGE_RATIO = 0.1;

/** @throws backup_nothing_to_read, wrong_state, backup_job_active, and failures of libvirt */
export async function lookAtVm(order: RunOrder, dependencies: PlanDependencies): Promise<LookedAt> {
  const { vmSide, catalogue, scrubDays, now } = dependencies;
  const { vmId, repositoryId } = order;
  const state = await vmSide.state(vmId);
  if (state === 'gone') throw new AppError('not_found', { detail: `"${order.name}" is not there any more.` });
  const isOn = isOnIn(state);
  const [disks, checkpoints, newest, rows] = await Promise.all([
    vmSide.disks(vmId),
    vmSide.checkpoints(vmId),
    catalogue.newest(vmId, repositoryId),
    catalogue.disks(vmId, repositoryId),
    isOn ? vmSide.requireNoJob(vmId) : undefined,
  ]);
  const checkpoint = newest?.checkpoint && checkpoints.includes(newest.checkpoint) ? newest.checkpoint : null;
  const known = new Map<string, ParentDisk>();
  const images = new Map<string, string>();
  const formerly = newest === null ? [] : formerDisks(newest.detail);
  for (const { target, sizeBytes, serial } of formerly) {
    const row = rows.find((each) => each.target === target && each.point_id === newest?.id);
    known.set(target, {
      serial,
      sizeBytes,
      source: row?.source ?? null,
      fullReadAt: row ? new Date(row.full_read_at) : null,
      isDamaged: row?.is_damaged === 1,
      isSuspect: row?.is_suspect === 1,
    });
    if (row && row.image !== null && row.is_damaged === 0) images.set(target, row.image);
  }
  const parent: ParentPoint | null =
    newest === null
      ? null
      : {
          pointId: newest.id,
          checkpoint,
          marked: checkpoint === null ? new Set() : await vmSide.markedBy(vmId, checkpoint),
          disks: known,
        };
  const plan = planDisks({
    disks,
    parent,
    isFullWanted: order.isFull,
    scrubDays: order.scrubDays ?? scrubDays,
    now: now(),
  });
  if (plan.disks.length === 0)
    throw new AppError('backup_nothing_to_read', {
      detail: `"${order.name}" has no disk that can be backed up${plan.skipped.length === 0 ? '' : `: ${plan.skipped.map(({ target, reason }) => `${target} (${reason})`).join(', ')}`}.`,
    });

  let repositoryBytes = 0;
  let scratchBytes = 0;
  for (const disk of plan.disks) {
    const takes = disks.find(({ target }) => target === disk.target)?.allocatedBytes || disk.sizeBytes;
    repositoryBytes += Math.ceil(disk.mode === 'full' && parent === null ? takes : takes * CHANGE_RATIO);
    scratchBytes += Math.ceil(Math.min(takes * CHANGE_RATIO, 64 * GIB));
  }
  const way = await wayOf(order, isOn, plan, images, dependencies);
  if (way === 'unchanged' && newest !== null) {
    const disks = plan.disks.map(
      (disk): PlannedDisk => ({ ...disk, mode: 'incremental', reason: null, parentPointId: newest.id, since: null }),
    );
    return { plan: { ...plan, disks }, way, repositoryBytes: 0, scratchBytes: 0 };
  }
  return { plan, way, repositoryBytes, scratchBytes: way === 'running' ? scratchBytes : 0 };
}

async function wayOf(
  order: RunOrder,
  isOn: boolean,
  plan: BackupPlan,
  images: ReadonlyMap<string, string>,
  { hasSavedMemory }: Pick<PlanDependencies, 'hasSavedMemory'>,
): Promise<Way> {
  if (isOn) return 'running';
  if (!order.isFull && images.size === plan.disks.length) {
    let isAsBefore = true;
    for (const { target, source } of plan.disks)
      isAsBefore &&= images.get(target) !== undefined && images.get(target) === (await imageOf(source));
    if (isAsBefore) return 'unchanged';
  }
  // To start it would use its saved memory up.
  return (await hasSavedMemory(order.vmId)) ? 'files' : 'paused';
}

/** What tells whether anybody wrote to the file since; null for what is no file. */
export async function imageOf(path: string): Promise<string | null> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true }).then((facts) =>
      facts.isFile() ? facts : { ino: 0n, size: 0n, mtimeNs: 0n },
    );
    return ino === 0n ? null : JSON.stringify({ ino: String(ino), size: String(size), mtimeNs: String(mtimeNs) });
  } catch {
    // Gone, or not to be looked at: then it is not known to be as before.
    return null;
  }
}

function formerDisks(detail: string) {
  return pointDetailSchema.parse(JSON.parse(detail)).disks;
}
