/** Disk files that we made and that nobody uses any more, as after `virsh undefine` by hand. They are only told of: the daemon never
 *  deletes a disk by itself. Half-made ones (`.part`) of operations that are over are removed after a day. */

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import { factsOf, type InventoryApi, type VmRow } from '#features/inventory/index.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { hasErrno } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { backingChain } from '#platform/backing-chain.ts';
import type { VmFiles } from './layout.ts';
import type { TrashRow } from './trash-store.ts';

const LOOK_EVERY_MS = 600_000;
/** A file that was just made, moved or renamed is an operation's matter. */
const SETTLED_MS = 600_000;
const PART_KEPT_MS = 24 * 3_600_000;

export interface OwnerlessFile {
  /** Absolute. */
  readonly path: string;
  /** What it takes on the file system. */
  readonly sizeBytes: number;
}

export interface OwnerlessFiles {
  /** As they were last found. */
  list(): readonly OwnerlessFile[];
  /** Looks now. @param partKeptMs half-made files younger than this stay; a day unless said */
  look(partKeptMs?: number): Promise<void>;
  /** Runs until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

interface Dependencies {
  readonly known: Pick<InventoryApi, 'facts' | 'storedFacts' | 'staleSince'> & {
    vms(): readonly { readonly id: string }[];
    readonly rows: { all(): readonly Pick<VmRow, 'moved'>[] };
  };
  readonly trash: { list(): readonly Pick<TrashRow, 'files' | 'xml'>[] };
  readonly operations: { get(id: string): Promise<Pick<Operation, 'state'> | null> };
  readonly files: Pick<VmFiles, 'isOwnDisk'>;
  /** The folder of our disks. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createOwnerlessFiles({
  known,
  trash,
  operations,
  files,
  folder,
  clock,
  log,
}: Dependencies): OwnerlessFiles {
  let found: readonly OwnerlessFile[] = [];

  /** All files that a VM reads, those that its disks build upon included. */
  const filesInUse = async (): Promise<ReadonlySet<string>> => {
    const used = new Set<string>();
    for (const { xml, files: moved } of trash.list()) {
      for (const { from } of moved) used.add(from);
      for (const { path } of factsOf(xml).disks) {
        if (path === null) continue;
        used.add(path);
        const now = moved.find(({ from }) => from === path)?.to ?? path;
        for (const place of [path, now]) for (const below of await backingChain(place)) used.add(below);
      }
    }
    // They run elsewhere; the other host may share this folder.
    for (const { moved } of known.rows.all())
      for (const { path, format } of moved === null ? [] : factsOf(moved.definition).disks) {
        if (path === null) continue;
        used.add(path);
        if (format === 'qcow2') for (const below of await backingChain(path)) used.add(below);
      }
    for (const { id } of known.vms()) {
      for (const disk of [...(known.facts(id)?.disks ?? []), ...(known.storedFacts(id)?.disks ?? [])]) {
        if (disk.path === null || used.has(disk.path)) continue;
        used.add(disk.path);
        if (disk.format === 'qcow2') for (const below of await backingChain(disk.path)) used.add(below);
      }
    }
    return used;
  };

  const isOver = async (operationId: string): Promise<boolean> => {
    const operation = await operations.get(operationId);
    return operation === null || FINAL_STATES.includes(operation.state);
  };

  const weigh = async (path: string) => {
    try {
      const { blocks, ctimeMs } = await stat(path);
      return { sizeBytes: blocks * 512, ageMs: clock.now().getTime() - ctimeMs };
    } catch (error) {
      // An operation took it meanwhile.
      if (hasErrno(error, 'ENOENT')) return null;
      throw error;
    }
  };

  const look = async (partKeptMs = PART_KEPT_MS): Promise<void> => {
    // Who uses what is known only while libvirt answers.
    if (known.staleSince !== null) return;
    const ownerless: OwnerlessFile[] = [];
    const used = await filesInUse();
    for (const name of (await readdir(folder)).sort()) {
      const isPart = name.endsWith('.part');
      const path = join(folder, name);
      if (!files.isOwnDisk(isPart ? path.slice(0, -'.part'.length) : path) || used.has(path)) continue;
      const weight = await weigh(path);
      if (weight === null || weight.ageMs < (isPart ? partKeptMs : SETTLED_MS)) continue;
      if (!(await isOver(name.slice(0, 'op-'.length + 26)))) continue;
      if (isPart) {
        log.warn({ path }, 'a half-made disk that nobody owns is removed');
        await rm(path, { force: true });
      } else {
        ownerless.push({ path, sizeBytes: weight.sizeBytes });
      }
    }
    found = ownerless;
  };

  return {
    list: () => found,
    look,
    async run(signal) {
      while (!signal.aborted) {
        try {
          await look();
        } catch (error) {
          log.warn(
            { err: error },
            'disk files without an owner could not be looked for; it is tried again in ten minutes',
          );
        }
        await nap(clock, LOOK_EVERY_MS, signal);
      }
    },
  };
}
