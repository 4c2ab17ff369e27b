/** Copies the data of a restore point into the VM that runs from it, behind its guest. QEMU does the work (a pull into the overlay) and
 *  takes the restore point out of the disk's header last; the restore point is held on to until the disk is seen to be whole. No step takes
 *  anything from the VM: cancelled, it runs on from the restore point. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition, type Step, type StepContext } from '#features/operations/index.ts';
import type { VmParts } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf, toAppError } from '#kernel/errors.ts';
import { isNotFound, LibvirtError, type LibvirtHost, readDomain, withErrorPolicies } from '#libvirt/index.ts';
import type { Exporters } from '../exporter/exporters.ts';
import { pointLock } from '../restore-operation.ts';
import type { DiskImage } from '../store/index.ts';
import { attachedDisks } from './attached.ts';
import { PAUSED_BY_ERROR } from './keeper.ts';
import { layAgain } from './lay-again.ts';
import type { InstantRows } from './rows.ts';
import { missingBytes, syncFile } from './sealing.ts';
import { disksOf, type InstantDisk, type InstantRow } from './tables.ts';

export const COPY_BEHIND = 'backup.copy-behind';

export const copyOrderSchema = z.object({
  vmId: z.string(),
  name: z.string(),
  project: z.string(),
  pointId: z.string(),
  repositoryId: z.string(),
});
export type CopyOrder = z.infer<typeof copyOrderSchema>;

export const copyLock = (vmId: string): string => `copy-behind:${vmId}`;

export interface CopyServices {
  readonly rows: InstantRows;
  readonly exporters: Exporters;
  readonly parts: Pick<VmParts, 'access' | 'definer' | 'show'>;
  readonly libvirt: Pick<LibvirtHost, 'domains' | 'blockJobs'>;
  readonly clock: Clock;
  /** Null = as fast as it can. */
  readonly maxBytesPerSecond: number | null;
  /** The disk as it is in the restore point. */
  openDisk(row: InstantRow, target: string): Promise<DiskImage>;
  /** Id of the project that it is in now. */
  projectOf(vmId: string): string | null;
  /** Its owner paused it. */
  isPauseWanted(vmId: string): boolean;
  /** Whether another operation changes the VM now. */
  isBusy(vmId: string): boolean;
  /** How far it is, 0 to 1. */
  copied(vmId: string, ratio: number): void;
  /** It does not go on for this reason, again and again; null = it does. */
  hindered(vmId: string, reason: string | null): void;
  /** Nothing of the restore point is needed any more. */
  ended(row: InstantRow): Promise<void>;
}

const LOOK_MS = 500;
const MOST_WAIT_MS = 15_000;
const DEFINE_MS = 60_000;
const MIB = 2 ** 20;

export function copyBehindOperation(services: CopyServices): OperationDefinition<CopyOrder> {
  return defineOperation({
    kind: COPY_BEHIND,
    permission: 'backup.restore',
    input: copyOrderSchema,
    title: ({ name }) => `Copy the data of ${name}`,
    // Not the VM: it is used meanwhile as any other.
    object: ({ pointId, name }) => ({ type: 'restore-point', id: pointId, name }),
    vm: ({ vmId }) => vmId,
    locks: ({ vmId }) => [copyLock(vmId)],
    shares: ({ pointId, repositoryId }) => [pointLock(pointId), `repository:${repositoryId}`],
    steps: (order) => [copyStep(order, services), settleStep(order, services), letGoStep(order, services)],
    result: async ({ vmId, name }) => ({ vmId, name }),
  });
}

const NOT_NOW = 'the data of a VM is not copied now; it is tried again';
/** After so many in a row it is a hindrance that somebody should know of. */
const PATIENT_TRIES = 4;

/** Words of libvirt and the system say which file, and why; better than none of ours. */
function reasonOf(error: unknown): string {
  const known = toAppError(error);
  return known.code === 'internal_error' ? messageOf(error) : known.message;
}

/** What ends the copying; of all else it is believed that it passes. */
const FINAL = ['cancelled', 'point_damaged'];

function copyStep({ vmId }: CopyOrder, services: CopyServices): Step {
  const { rows, exporters, libvirt, clock, parts } = services;
  return {
    name: 'copy',
    title: 'Copy what it has not read yet',
    timeoutMs: null,
    isCancellable: true,
    async act(context) {
      for (let failed = 0; ; ) {
        context.signal.throwIfAborted();
        let reason = 'QEMU breaks the copying off each time.';
        try {
          await letGoOn(vmId, services, context);
          const next = await copyOn(vmId, failed > 0, services, context);
          if (next === 'over') return;
          failed = next === 'again' ? failed + 1 : 0;
        } catch (error) {
          context.signal.throwIfAborted();
          if (error instanceof AppError && FINAL.includes(error.code)) throw error;
          failed += 1;
          reason = reasonOf(error);
          context.progress({ note: reason });
          context.log.debug({ vm: vmId, err: error }, NOT_NOW);
        }
        if (failed === PATIENT_TRIES) context.log.warn({ vm: vmId, reason }, NOT_NOW);
        if (failed === 0 || failed >= PATIENT_TRIES) services.hindered(vmId, failed === 0 ? null : reason);
        await clock.sleep(
          failed === 0 ? LOOK_MS : Math.min(MOST_WAIT_MS, LOOK_MS * 2 ** Math.min(failed, 10)),
          context.signal,
        );
      }
    },
    async compensate(context) {
      services.hindered(vmId, null);
      const row = rows.of(vmId);
      if (!row || !(await parts.access.isDefined(vmId))) return;
      await letGoOn(vmId, services, context);
      for (const { target } of disksOf(row))
        if ((await jobOf(vmId, target, libvirt)) !== null) await orRefused(libvirt.blockJobs.abort(vmId, target));
      const problem = (await exporters.status(row.operation_id))?.problem ?? null;
      await rows.change(vmId, { state: 'held', problem: row.problem ?? problem?.detail ?? null });
    },
  };
}

/** One look, and what follows from it. `again`: what was begun is not seen to work yet. */
async function copyOn(
  vmId: string,
  hasFailed: boolean,
  services: CopyServices,
  context: StepContext,
): Promise<'over' | 'on' | 'again'> {
  const row = services.rows.of(vmId);
  if (!row) return 'over';
  const now = await lookAt(row, services);
  if (now === 'gone')
    throw new AppError('cancelled', {
      detail: 'The VM was deleted. When it comes back from the trash, the copying begins again.',
    });
  const [copied] = now.copied;
  if (copied !== undefined) return (await seal(row, copied, now, services, context)) ? 'on' : 'again';
  const [target] = now.attached;
  if (target === undefined) return 'over';
  services.copied(vmId, now.ratio);
  context.progress({ ratio: now.ratio, note: now.isOn ? target : 'waiting until the VM is on' });
  if (!now.isOn || now.isWorking) return 'on';
  const isTold = hasFailed && (await sayWhy(row, services, context));
  try {
    await pull(row, target, services);
  } catch (error) {
    // What the exporter says is nearer to the cause.
    if (!isTold) throw error;
  }
  return 'again';
}

const STOPPED = 'stopped';

/** Stops the guest for a moment: QEMU then writes what it has in memory. A kill in between is made good by `letGoOn`. */
async function stopForAMoment(vmId: string, services: CopyServices, context: StepContext): Promise<void> {
  await context.remember(STOPPED, true);
  await services.libvirt.domains.suspend(vmId);
  // It ran just now; libvirt refuses this for a guest that runs.
  await orRefused(services.libvirt.domains.resume(vmId));
}

/** What was asked of libvirt by a life that was killed may happen late, so this is asked at each look until the copying is over. A guest
 *  whose owner wants it paused stays so. */
async function letGoOn(
  vmId: string,
  { libvirt, isPauseWanted }: Pick<CopyServices, 'libvirt' | 'isPauseWanted'>,
  { recall }: Pick<StepContext, 'recall'>,
): Promise<void> {
  if (recall(STOPPED) !== true || isPauseWanted(vmId)) return;
  const state = await orRefused(libvirt.domains.state(vmId));
  if (state?.state === 'paused' && state.reason !== PAUSED_BY_ERROR) await libvirt.domains.resume(vmId);
}

interface Look {
  readonly isOn: boolean;
  /** Its guest runs: QEMU can be stopped for a moment. */
  readonly isRunning: boolean;
  readonly xml: string;
  /** Files by target; null = there is none any more. */
  readonly paths: ReadonlyMap<string, string | null>;
  /** Without the restore point in their header, and not known to be whole. */
  readonly copied: readonly InstantDisk[];
  /** Targets whose data is not all here. */
  readonly attached: readonly string[];
  /** QEMU copies now. */
  readonly isWorking: boolean;
  readonly ratio: number;
}

async function lookAt(row: InstantRow, { libvirt, exporters }: CopyServices): Promise<Look | 'gone'> {
  const { vm_id: vmId } = row;
  try {
    const { state } = await libvirt.domains.state(vmId);
    const isOn = !['off', 'none', 'crashed'].includes(state);
    const xml = await libvirt.domains.xml(vmId);
    const disks = disksOf(row);
    const attached = await attachedDisks(xml, { socketPath: exporters.folder(row.operation_id).socketPath, disks });
    const all = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let left = 0;
    let isWorking = false;
    for (const { target, sizeBytes } of disks.filter((disk) => attached.includes(disk.target))) {
      const job = isOn ? await jobOf(vmId, target, libvirt) : null;
      isWorking ||= job !== null;
      left += sizeBytes * (1 - (job?.ratio ?? 0));
    }
    return {
      isOn,
      isRunning: state === 'running' || state === 'blocked',
      xml,
      paths: new Map(readDomain(xml).disks.map(({ target, source }) => [target, source])),
      attached,
      copied: disks.filter(({ target, isWhole }) => !isWhole && !attached.includes(target)),
      isWorking,
      ratio: all === 0 ? 1 : Math.max(0, 1 - left / all),
    };
  } catch (error) {
    if (isNotFound(error)) return 'gone';
    throw error;
  }
}

/** Makes sure that a disk is whole and writes that down. @returns false when it is not yet */
async function seal(
  row: InstantRow,
  disk: InstantDisk,
  now: Look,
  services: CopyServices,
  context: StepContext,
): Promise<boolean> {
  const { rows, exporters, openDisk } = services;
  const { progress, signal } = context;
  const path = now.paths.get(disk.target) ?? null;
  const isLacking = async (file: string) => {
    const image = await openDisk(row, disk.target);
    try {
      return (await missingBytes(file, image, signal)) > 0;
    } finally {
      await image.close();
    }
  };
  if (path !== null && (await isLacking(path))) {
    progress({ ratio: now.ratio, note: `${disk.target}: waiting until QEMU has written it all` });
    if (!now.isOn) {
      await layAgain(row, now.xml, exporters, signal);
      return false;
    }
    // It writes what it has in memory when it is stopped. A guest that somebody paused stays so, and this waits for it.
    if (!now.isRunning) return false;
    await stopForAMoment(row.vm_id, services, context);
    if (await isLacking(path)) return false;
  }
  if (path !== null) await syncFile(path);
  const disks = disksOf(row).map((each) => (each.target === disk.target ? { ...each, isWhole: true } : each));
  await rows.change(row.vm_id, { disks: JSON.stringify(disks) });
  return true;
}

async function jobOf(vmId: string, target: string, { blockJobs }: CopyServices['libvirt']) {
  // Refused for a VM that is off, and for a disk that was taken out.
  const info = await orRefused(blockJobs.info(vmId, target));
  if (info === null) return null;
  return { ratio: info.totalBytes === 0n ? 0 : Number(info.doneBytes) / Number(info.totalBytes) };
}

/** Null when libvirt answers that it does not do it; a libvirt that does not answer is an error. */
async function orRefused<Value>(work: Promise<Value>): Promise<Value | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof LibvirtError && error.failure !== null) return null;
    throw error;
  }
}

/** Begins to copy a disk. That it broke off is seen at the next look. @throws failures of libvirt, also when it does not begin */
async function pull(row: InstantRow, target: string, { libvirt, maxBytesPerSecond }: CopyServices): Promise<void> {
  const bandwidth =
    maxBytesPerSecond === null
      ? {}
      : { bandwidthMibPerSecond: BigInt(Math.max(1, Math.floor(maxBytesPerSecond / MIB))) };
  await libvirt.blockJobs.pull(row.vm_id, target, bandwidth);
}

/** Tells why a copy broke off, and gives up when the restore point itself is damaged.
 *  @returns whether there was anything to tell @throws point_damaged */
async function sayWhy(
  row: InstantRow,
  { exporters }: CopyServices,
  { progress }: Pick<StepContext, 'progress'>,
): Promise<boolean> {
  const problem = (await exporters.status(row.operation_id))?.problem ?? null;
  if (problem === null) return false;
  progress({ note: problem.detail });
  if (problem.code !== 'point_damaged' || problem.target === null) return true;
  try {
    await exporters.probe(row.operation_id, problem.target, problem.offsetBytes);
    return true;
  } catch {
    throw new AppError('point_damaged', {
      detail: problem.detail,
      hint: `The VM runs on with what it has, and is paused where it needs the damaged place. Mend the repository (\`hv repo check --read-data\` tells what is damaged), then \`hv backup instant resume ${row.name}\`.`,
    });
  }
}

/** What the definition said of errors of its disks comes back. */
function settleStep({ vmId }: CopyOrder, services: CopyServices): Step {
  const { rows, parts, clock, projectOf, isBusy } = services;
  return {
    name: 'settle',
    title: 'Put the definition as it was',
    isCancellable: true,
    async act({ signal }) {
      const row = rows.of(vmId);
      const project = projectOf(vmId);
      if (!row || project === null || !(await parts.access.isDefined(vmId))) return;
      // Who edits it has read it already.
      while (isBusy(vmId)) await clock.sleep(LOOK_MS, signal);
      const before = await parts.access.secretXml(vmId);
      const policies = Object.fromEntries(disksOf(row).map(({ target, policy }) => [target, policy]));
      await parts.definer.define(withErrorPolicies(before, policies), { vmId, project, before, deadlineMs: DEFINE_MS });
    },
  };
}

function letGoStep({ vmId }: CopyOrder, { rows, exporters, parts, libvirt, ended }: CopyServices): Step {
  return {
    name: 'let-go',
    title: 'Let go of the restore point',
    async act() {
      const row = rows.of(vmId);
      if (!row) return;
      const { socketPath } = exporters.folder(row.operation_id);
      if (
        (await parts.access.isDefined(vmId)) &&
        (await attachedDisks(await libvirt.domains.xml(vmId), { socketPath, disks: disksOf(row) })).length > 0
      )
        throw new AppError('wrong_state', { detail: 'A disk of the VM builds upon the restore point again.' });
      await ended(row);
      await parts.show(vmId);
    },
  };
}
