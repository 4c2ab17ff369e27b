/** VMs of ours that another program took from libvirt (`virsh undefine`): nothing of them may get lost without a word. They go to the
 *  trash as they were last defined, their disks stay where they are, and only a person deletes them. One that comes back leaves it again.
 *  One that moved to another host is not lost: it lives on there, its disks may lie on storage that both share, and what we know of it
 *  waits for its return. */

import { factsOf } from '#features/inventory/index.ts';
import type { OperationsApi } from '#features/operations/index.ts';
import { newId } from '#kernel/ids.ts';
import { filesOf, putRow, sizeOf } from './delete-operation.ts';
import type { VmServices } from './services.ts';
import { standInName } from './trash-operations.ts';

const LOOK_EVERY_MS = 60_000;
/** Programs that move or change a VM take it away and bring it back within moments. */
const PATIENCE_MS = 5_000;

export interface TakenAwayWatch {
  /** Runs until the signal. */
  run(signal: AbortSignal): Promise<void>;
  /** A VM came or went: look soon. */
  noticed(): void;
}

export function createTakenAwayWatch(services: VmServices, operations: OperationsApi): TakenAwayWatch {
  const { access, known, trash, clock, log } = services;
  let wake: () => void = () => undefined;
  /** VMs that are missing, and since when. */
  let suspects = new Map<string, number>();

  const isMissing = (vmId: string) =>
    known.vm(vmId) === null && !operations.isLocked(`vm:${vmId}`) && trash.ofVm(vmId) === null;

  const toTrash = async (vmId: string): Promise<void> => {
    const row = known.row(vmId);
    const xml = await known.rows.definition(vmId);
    if (row === null || row.moved !== null || xml === null || (await access.isDefined(vmId)) || !isMissing(vmId))
      return;
    const facts = factsOf(xml);
    const id = newId('trash');
    const files = await filesOf(vmId, id, facts, services);
    const ownDisks = facts.disks.filter(({ path }) => path !== null && services.files.isOwnDisk(path));
    if (ownDisks.length > 0 && !files.some(({ from }) => services.files.isOwnDisk(from))) {
      log.info({ vm: vmId, name: facts.name }, 'another program deleted a VM with its disks');
    } else {
      const now = clock.now().toISOString();
      await trash.put(
        {
          id,
          vmId,
          name: facts.name,
          xml,
          files,
          hasTpm: facts.hasTpm,
          isAutostart: false,
          isManaged: true,
          tags: row.tags,
          createdAt: row.createdAt,
          sizeBytes: await sizeOf(files),
          deletedAt: now,
          purgeAt: now,
          deletedBy: 'another program',
          isTakenAway: true,
          moved: null,
        },
        true,
      );
      log.warn(
        { vm: vmId, name: facts.name },
        'another program took a VM from libvirt; it can be restored from the trash',
      );
    }
    await known.rows.remove(vmId);
  };

  const look = async (signal: AbortSignal): Promise<void> => {
    for (const row of trash.list().filter((item) => item.isTakenAway)) {
      const found = known.vm(row.vmId);
      // One that is on its way here from another host is seen before it stays.
      const name = found?.persistent ? found.name : undefined;
      // A purge defines a stand-in for a moment, to be rid of the TPM; a kill can leave it for longer.
      if (name === undefined || name === standInName(row.vmId) || operations.isLocked(`vm:${row.vmId}`)) continue;
      await putRow(row, services);
      await trash.remove(row.id);
      await known.refresh(row.vmId);
    }
    const missing = known.rows
      .all()
      .flatMap(({ uuid, managed, moved }) => (managed && moved === null && isMissing(uuid) ? [uuid] : []));
    const nowMs = clock.monotonicMs();
    suspects = new Map(missing.map((vmId) => [vmId, suspects.get(vmId) ?? nowMs]));
    for (const [vmId, sinceMs] of suspects) {
      if (nowMs - sinceMs < PATIENCE_MS || signal.aborted) continue;
      await toTrash(vmId);
      suspects.delete(vmId);
    }
  };

  return {
    noticed: () => wake(),
    async run(signal) {
      while (!signal.aborted) {
        try {
          // What libvirt has is known only while it answers.
          if (known.staleSince === null) await look(signal);
        } catch (error) {
          log.warn(
            { err: error },
            'VMs that other programs took away could not be looked for; it is tried again in a minute',
          );
        }
        const early = new AbortController();
        wake = () => early.abort();
        // Both ways out are expected.
        await clock
          .sleep(suspects.size > 0 ? PATIENCE_MS : LOOK_EVERY_MS, AbortSignal.any([signal, early.signal]))
          .catch(() => undefined);
      }
    },
  };
}
