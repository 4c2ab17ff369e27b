/** Work on file systems that run full. It removes two kinds of files and no others: the reserve that it made itself, and half-made files of
 *  operations and uploads that are over. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import type { FolderInput, HoldInput } from '../allowed-work.ts';
import type { Disks } from '../disks.ts';

const folderInput = z.object({ folder: z.string() });
const lock = ({ folder }: FolderInput) => [`healing-disk:${folder}`];

export function diskPause(disks: Pick<Disks, 'hold'>): OperationDefinition<HoldInput> {
  return defineOperation<HoldInput>({
    kind: 'healing.disk-pause',
    permission: 'host.configure',
    input: folderInput.extend({ isHeld: z.boolean() }),
    title: ({ folder, isHeld }) =>
      isHeld ? `Pause new downloads and uploads on ${folder}` : `Let downloads and uploads begin again on ${folder}`,
    object: () => null,
    locks: lock,
    steps: ({ folder, isHeld }) => [
      {
        name: isHeld ? 'pause' : 'go-on',
        title: isHeld ? 'Let new work wait' : 'Let new work begin',
        act: () => disks.hold(folder, isHeld),
      },
    ],
  });
}

export function diskReserve(disks: Pick<Disks, 'makeReserve'>): OperationDefinition<FolderInput> {
  return defineOperation<FolderInput>({
    kind: 'healing.disk-reserve',
    permission: 'host.configure',
    input: folderInput,
    title: ({ folder }) => `Keep a reserve on ${folder}`,
    object: () => null,
    locks: lock,
    steps: ({ folder }) => [
      { name: 'make', title: 'Make the file that keeps the room', act: () => disks.makeReserve(folder) },
    ],
  });
}

/** @param removeLeftovers removes half-made files of what is over */
export function diskFree(
  disks: Pick<Disks, 'dropReserve'>,
  removeLeftovers: readonly (() => Promise<void>)[],
): OperationDefinition<FolderInput> {
  return defineOperation<FolderInput>({
    kind: 'healing.disk-free',
    permission: 'host.configure',
    input: folderInput,
    title: ({ folder }) => `Free space on ${folder}`,
    object: () => null,
    locks: lock,
    steps: ({ folder }) => [
      { name: 'reserve', title: 'Give back the reserve', act: () => disks.dropReserve(folder) },
      {
        name: 'leftovers',
        title: 'Remove half-made files of what is over',
        async act() {
          for (const remove of removeLeftovers) await remove();
        },
      },
    ],
  });
}
