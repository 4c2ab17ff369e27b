/** Copies the data of a restore point into the VM that runs from it, behind its guest. QEMU does the work (a pull into the overlay) and
 *  takes the restore point out of the disk's header last, so that whatever dies meanwhile, the disk is whole with its restore point or
 *  without it. No step takes anything from the VM: cancelled, it runs on from the restore point. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition, type Step, type StepContext } from '#features/operations/index.ts';
import type { VmParts } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { isNotFound, LibvirtError, type LibvirtHost, withErrorPolicies } from '#libvirt/index.ts';
import type { Exporters } from '../exporter/exporters.ts';
import { pointLock } from '../restore-operation.ts';
import { attachedDisks } from './attached.ts';
import type { InstantRows } from './rows.ts';
import { type InstantRow, instantDisksSchema } from './tables.ts';

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
  /** Id of the project that it is in now. */
  projectOf(vmId: string): string | null;
  /** Whether another operation changes the VM now. */
  isBusy(vmId: string): boolean;
  /** How far it is, 0 to 1. */
  copied(vmId: string, ratio: number): void;
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

function copyStep({ vmId }: CopyOrder, services: CopyServices): Step {
  const { rows, exporters, libvirt, clock } = services;
  return {
    name: 'copy',
    title: 'Copy what it has not read yet',
    timeoutMs: null,
    isCancellable: true,
    async act(context) {
      const pause = () => clock.sleep(LOOK_MS, context.signal);
      for (let failed = 0; ; ) {
        context.signal.throwIfAborted();
        const row = rows.of(vmId);
        if (!row) return;
        const now = await lookAt(row, services);
        if (now === 'gone')
          throw new AppError('cancelled', {
            detail: 'The VM was deleted. When it comes back from the trash, the copying begins again.',
          });
        if (now.attached.length === 0) return;
        if (!now.isOn) {
          context.progress({ ratio: now.ratio, note: 'waiting until the VM is on' });
          await pause();
          continue;
        }
        services.copied(vmId, now.ratio);
        context.progress({ ratio: now.ratio, note: now.attached[0] ?? '' });
        if (now.isWorking) {
          failed = 0;
          await pause();
          continue;
        }
        if (failed > 0) {
          await sayWhy(row, services, context);
          await clock.sleep(Math.min(MOST_WAIT_MS, LOOK_MS * 2 ** failed), context.signal);
        }
        failed += 1;
        await pull(row, now.attached[0] ?? '', services);
        await pause();
      }
    },
    async compensate({ signal }) {
      const row = rows.of(vmId);
      if (!row || !(await services.parts.access.isDefined(vmId))) return;
      for (const { target } of instantDisksSchema.parse(JSON.parse(row.disks)))
        if ((await jobOf(vmId, target, libvirt)) !== null)
          await orRefused(libvirt.blockJobs.abort(vmId, target, { signal }));
      const problem = (await exporters.status(row.operation_id))?.problem ?? null;
      await rows.change(vmId, { state: 'held', problem: row.problem ?? problem?.detail ?? null });
    },
  };
}

interface Look {
  readonly isOn: boolean;
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
    const attached = await attachedDisks(
      await libvirt.domains.xml(vmId),
      exporters.folder(row.operation_id).socketPath,
    );
    const disks = instantDisksSchema.parse(JSON.parse(row.disks));
    const all = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let left = 0;
    let isWorking = false;
    for (const { target, sizeBytes } of disks.filter((disk) => attached.includes(disk.target))) {
      const job = isOn ? await jobOf(vmId, target, libvirt) : null;
      isWorking ||= job !== null;
      left += sizeBytes * (1 - (job?.ratio ?? 0));
    }
    return { isOn, attached, isWorking, ratio: all === 0 ? 1 : Math.max(0, 1 - left / all) };
  } catch (error) {
    if (isNotFound(error)) return 'gone';
    throw error;
  }
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

/** Begins to copy a disk. That it did not begin is seen at the next look. */
async function pull(row: InstantRow, target: string, { libvirt, maxBytesPerSecond }: CopyServices): Promise<void> {
  const bandwidth =
    maxBytesPerSecond === null
      ? {}
      : { bandwidthMibPerSecond: BigInt(Math.max(1, Math.floor(maxBytesPerSecond / MIB))) };
  await orRefused(libvirt.blockJobs.pull(row.vm_id, target, bandwidth));
}

/** Tells why a copy broke off, and gives up when the restore point itself is damaged.
 *  @throws point_damaged */
async function sayWhy(
  row: InstantRow,
  { exporters }: CopyServices,
  { progress }: Pick<StepContext, 'progress'>,
): Promise<void> {
  const problem = (await exporters.status(row.operation_id))?.problem ?? null;
  if (problem === null) return;
  progress({ note: problem.detail });
  if (problem.code !== 'point_damaged' || problem.target === null) return;
  try {
    await exporters.probe(row.operation_id, problem.target, problem.offsetBytes);
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
      const policies = Object.fromEntries(
        instantDisksSchema.parse(JSON.parse(row.disks)).map(({ target, policy }) => [target, policy]),
      );
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
        (await attachedDisks(await libvirt.domains.xml(vmId), socketPath)).length > 0
      )
        throw new AppError('wrong_state', { detail: 'A disk of the VM builds upon the restore point again.' });
      await ended(row);
      await parts.show(vmId);
    },
  };
}
