/** Moves a VM to the trash: its definition into a row, its own files into a folder of the trash. Files of other programs are never
 *  touched: a foreign VM loses its definition only, and even that is kept. */

import { mkdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { factsOf } from '#features/inventory/index.ts';
import { defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import { dependants } from './backing-files.ts';
import { DEFINE_MS } from './create-operation.ts';
import { allocatedBytes, exists, moveFile } from './disk-files.ts';
import type { VmServices } from './services.ts';
import type { MovedFile, TrashRow } from './trash-store.ts';

export const deleteInputSchema = z.object({
  vmId: z.string(),
  name: z.string(),
  trashId: z.string(),
  isStopWanted: z.boolean(),
});
export type DeleteInput = z.infer<typeof deleteInputSchema>;

const DAY_MS = 86_400_000;

export function deleteVmOperation(services: VmServices): OperationDefinition<DeleteInput> {
  return defineOperation({
    kind: 'vm.delete',
    permission: 'vm.delete',
    input: deleteInputSchema,
    title: (input) => `Delete ${input.name}`,
    object: (input) => ({ type: 'vm', id: input.vmId, name: input.name }),
    locks: (input) => [`vm:${input.vmId}`, `trash:${input.trashId}`],
    charges: ({ vmId }) => services.charges.delete(vmId),
    steps: (input) => deleteSteps(input, services),
    result: async (input) => ({ trashId: input.trashId, vmId: input.vmId, name: input.name }),
  });
}

function deleteSteps(input: DeleteInput, services: VmServices): Step[] {
  const { access, known, libvirt, storage, projects, trash, clock, trashDays } = services;
  const { vmId, trashId } = input;

  const look: Step = {
    name: 'look',
    title: 'Look for what the trash cannot keep',
    async act() {
      // libvirt drops both together with the definition, and nothing could bring them back.
      const snapshots = await orNone(() => libvirt.snapshots.list(vmId), []);
      if (snapshots.length > 0)
        throw new AppError('wrong_state', {
          detail: `"${input.name}" has snapshots (${snapshots.length}), which would not come back from the trash.`,
          hint: 'Delete the snapshots first with the program that made them.',
        });
      if (!input.isStopWanted && (await orNone(() => libvirt.domains.hasManagedSave(vmId), false)))
        throw new AppError('wrong_state', {
          detail: `"${input.name}" was saved while it ran; what its memory holds would be lost.`,
          hint: 'Start it and shut it down first, or delete it with its power cut (`hv vm delete NAME --stop`).',
        });
      const facts = known.storedFacts(vmId);
      const disks = facts?.disks.flatMap((disk) => (disk.path === null ? [] : [disk.path])) ?? [];
      const { project } = projects.ofDomain(facts?.name ?? '');
      const users = await dependants(vmId, project, disks, known);
      if (users.length > 0)
        throw new AppError('wrong_state', {
          detail: `Disks of other VMs build upon the disks of "${input.name}": ${users.slice(0, 5).join(', ')}.`,
          hint: 'Delete those VMs first, or make their disks whole (`virsh blockpull`).',
        });
    },
  };

  const stop: Step = {
    name: 'stop',
    title: 'Cut the power',
    check: async () => !(await access.isOn(vmId)),
    act: () => access.stop(vmId),
  };

  const keep: Step = {
    name: 'keep',
    title: 'Keep the definition',
    check: async () => trash.get(trashId) !== null,
    async act(context) {
      if (await access.isOn(vmId))
        throw new AppError('wrong_state', {
          detail: `"${input.name}" was started meanwhile, so it was not deleted.`,
          hint: 'Shut it down or stop it first.',
        });
      const xml = await access.secretXml(vmId);
      const facts = factsOf(xml);
      const files = await filesOf(vmId, trashId, facts, services);
      const row = known.row(vmId);
      const deletedAt = clock.now();
      await trash.put(
        {
          id: trashId,
          vmId,
          name: facts.name,
          xml,
          files,
          hasTpm: facts.hasTpm,
          isAutostart: known.vm(vmId)?.autostart ?? false,
          tags: known.row(vmId)?.tags ?? [],
          isManaged: row?.managed ?? facts.operationId !== null,
          createdAt: row?.createdAt ?? null,
          sizeBytes: await sizeOf(files),
          deletedAt: deletedAt.toISOString(),
          purgeAt: new Date(deletedAt.getTime() + trashDays * DAY_MS).toISOString(),
          deletedBy: context.actor,
          isTakenAway: false,
          moved: row?.moved ?? null,
        },
        false,
      );
    },
    compensate: () => trash.remove(trashId),
  };

  const undefine: Step = {
    name: 'undefine',
    title: 'Take the VM from libvirt',
    check: async () => !(await access.isDefined(vmId)),
    act: () => libvirt.domains.undefine(vmId, { leftovers: 'keep' }),
    async compensate() {
      const row = trash.get(trashId);
      if (row && !(await access.isDefined(vmId))) await defineAgain(row, services, true);
      await known.refresh(vmId);
    },
  };

  const move: Step = {
    name: 'move',
    title: 'Move the disks to the trash',
    async check() {
      const row = trash.get(trashId);
      return row !== null && !(await anyThere(row.files.map((file) => file.from)));
    },
    act: () => moveAll(requireRow(services, trashId), 'to'),
    async compensate() {
      const row = trash.get(trashId);
      if (row) await moveAll(row, 'from');
    },
  };

  const release: Step = {
    name: 'release',
    title: 'Show it in the trash',
    async act() {
      await trash.put(requireRow(services, trashId), true);
      await known.rows.remove(vmId);
      await known.refresh(vmId);
      await storage.rescanOwnPool();
    },
    async compensate() {
      const row = trash.get(trashId);
      if (row) await putRow(row, services);
    },
  };

  return [look, ...(input.isStopWanted ? [stop] : []), keep, undefine, move, release];
}

/** What a driver without this kind of thing cannot have. */
async function orNone<Value>(ask: () => Promise<Value>, none: Value): Promise<Value> {
  try {
    return await ask();
  } catch (error) {
    if (toAppError(error).code === 'unsupported_by_host') return none;
    throw error;
  }
}

/** Files that go along: disks, seed, firmware variables and serial log that we made, and that no other VM uses. */
export async function filesOf(
  vmId: string,
  trashId: string,
  facts: ReturnType<typeof factsOf>,
  { known, files }: VmServices,
): Promise<MovedFile[]> {
  // The disks of one that was moved are in use on the other host.
  const isElsewhere = Boolean(known.row(vmId)?.moved);
  const isShared = (path: string) => isElsewhere || known.fileUsers(path).some((user) => user.vmId !== vmId);
  const disks = facts.disks.flatMap((disk) =>
    disk.path !== null && files.isOwnDisk(disk.path) && !isShared(disk.path) ? [disk.path] : [],
  );
  const nvram = facts.nvramPath !== null && files.isOwnNvram(facts.nvramPath) ? [facts.nvramPath] : [];
  const log = files.serialLog(vmId);
  const logs = facts.serialLogPath === log ? [log, `${log}.0`, `${log}.1`, `${log}.2`] : [];
  const folder = files.trash(trashId);
  const there: MovedFile[] = [];
  for (const from of [...new Set([...disks, ...nvram, ...logs])])
    if (await exists(from)) there.push({ from, to: join(folder, basename(from)) });
  return there;
}

export async function sizeOf(files: readonly MovedFile[]): Promise<number> {
  let sum = 0;
  for (const file of files) sum += await allocatedBytes(file.from);
  return sum;
}

async function anyThere(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) if (await exists(path)) return true;
  return false;
}

/** Moves every file of the item that is still on the other side. */
export async function moveAll(row: TrashRow, direction: 'to' | 'from'): Promise<void> {
  for (const file of row.files) {
    const source = direction === 'to' ? file.from : file.to;
    if (!(await exists(source))) continue;
    await mkdir(dirname(file[direction]), { recursive: true, mode: direction === 'to' ? 0o700 : 0o711 });
    await moveFile(source, file[direction]);
  }
}

export function requireRow({ trash }: VmServices, trashId: string): TrashRow {
  const row = trash.get(trashId);
  if (!row) throw new AppError('not_found', { detail: 'The item is no longer in the trash.' });
  return row;
}

/** Defines the VM as it was: same UUID, addresses, firmware variables. What its project may not have any more keeps it in the trash;
 *  only a delete that failed puts back whatever there was. */
export async function defineAgain(
  row: TrashRow,
  { libvirt, definer, projects }: VmServices,
  isUndo: boolean,
): Promise<void> {
  const { project } = projects.ofDomain(row.name);
  await definer.define(row.xml, {
    // It went into the trash with what it had.
    mayOpenNics: true,
    vmId: row.vmId,
    project,
    before: isUndo || project === DEFAULT_PROJECT ? row.xml : null,
    isUndo,
    deadlineMs: DEFINE_MS,
  });
  if (row.isAutostart) await libvirt.domains.setAutostart(row.vmId, true);
}

/** Our own row as it was; a foreign VM had none that matters. */
export async function putRow(row: TrashRow, { known }: VmServices): Promise<void> {
  if (!row.isManaged) return;
  await known.rows.put({
    uuid: row.vmId,
    desired: 'off',
    isProtected: false,
    tags: row.tags,
    managed: true,
    createdAt: row.createdAt,
    operationId: factsOf(row.xml).operationId,
    moved: row.moved,
  });
}
