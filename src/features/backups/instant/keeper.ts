/** Keeps VMs that run from restore points running: an exporter that died is started again, a guest that was paused because it could not read
 *  goes on when it can, and somebody copies. It looks at the world each time and remembers nothing that matters. */

import { createWaker } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { isNotFound, type LibvirtHost } from '#libvirt/index.ts';
import type { BootClock } from '#platform/boot-clock.ts';
import type { Exporters } from '../exporter/exporters.ts';
import type { ExportOrder } from '../exporter/files.ts';
import type { InstantRows } from './rows.ts';
import { disksOf, type InstantRow } from './tables.ts';

export interface KeeperServices {
  readonly rows: InstantRows;
  readonly exporters: Exporters;
  readonly libvirt: Pick<LibvirtHost, 'domains'>;
  readonly bootClock: BootClock;
  readonly clock: Clock;
  readonly log: Logger;
  exportOrder(row: InstantRow): Promise<ExportOrder>;
  resume(vmId: string): Promise<void>;
  /** Its owner wants it to run. */
  isWanted(vmId: string): boolean;
  start(row: InstantRow): Promise<void>;
  isInTrash(vmId: string): boolean;
  /** Begins to copy, unless somebody does. */
  copy(row: InstantRow): Promise<void>;
  ended(row: InstantRow): Promise<void>;
}

export interface Keeper {
  /** Looks at all of them until the signal. */
  run(signal: AbortSignal): Promise<void>;
  wake(): void;
  /** What is wrong with the VM's restore point now, for people; null = nothing. */
  trouble(vmId: string): string | null;
}

const LOOK_MS = 2_000;
/** VIR_DOMAIN_PAUSED_IOERROR */
export const PAUSED_BY_ERROR = 5;
/** A guest that is paused again at once is let go on ever more seldom. */
const MOST_WAIT_MS = 60_000;

export function createKeeper(services: KeeperServices): Keeper {
  const { rows, exporters, libvirt, clock, log } = services;
  const waker = createWaker(clock);
  const troubles = new Map<string, string>();
  const resumed = new Map<string, { readonly atMs: number; readonly waitMs: number }>();

  const tell = (row: InstantRow, trouble: string | null) => {
    const before = troubles.get(row.vm_id) ?? null;
    if (before === trouble) return;
    if (trouble === null) troubles.delete(row.vm_id);
    else troubles.set(row.vm_id, trouble);
    if (trouble === null) log.info({ vm: row.vm_id }, 'a VM reads from its restore point again');
    else log.warn({ vm: row.vm_id, point: row.point_id, trouble }, 'a VM cannot read from its restore point');
  };

  /** Lets a guest go on that was paused by an error, when what it could not read can be read. */
  const goOn = async (row: InstantRow) => {
    const { vm_id: vmId, operation_id: operationId } = row;
    const last = resumed.get(vmId) ?? { atMs: Number.NEGATIVE_INFINITY, waitMs: 0 };
    if (clock.monotonicMs() - last.atMs < last.waitMs) return;
    // Where its own disk has no room it would only stop again.
    if ((await libvirt.domains.diskErrors(vmId)).some(({ error }) => error === 'no-space'))
      return tell(row, 'There is no room for what the guest writes.');
    const problem = (await exporters.status(operationId))?.problem ?? null;
    try {
      for (const { target } of disksOf(row))
        await exporters.probe(operationId, target, problem?.target === target ? problem.offsetBytes : 0);
    } catch (error) {
      return tell(row, problem?.detail ?? messageOf(error));
    }
    resumed.set(vmId, {
      atMs: clock.monotonicMs(),
      waitMs: clock.monotonicMs() - last.atMs > MOST_WAIT_MS ? LOOK_MS : Math.min(MOST_WAIT_MS, last.waitMs * 2),
    });
    log.info({ vm: vmId }, 'a VM that was paused because it could not read goes on');
    await services.resume(vmId);
    tell(row, null);
  };

  const look = async (row: InstantRow) => {
    const { vm_id: vmId } = row;
    if (row.state === 'making') return;
    const state = await libvirt.domains.state(vmId).catch((error: unknown) => {
      if (isNotFound(error)) return null;
      throw error;
    });
    if (state === null) {
      if (!services.isInTrash(vmId)) await services.ended(row);
      else if (await exporters.isThere(row.operation_id)) await exporters.end(row.operation_id);
      return;
    }
    try {
      const order = await services.exportOrder(row);
      // Over meanwhile.
      if (rows.of(vmId) === null) return;
      await exporters.ensure(row.operation_id, order);
    } catch (error) {
      tell(row, error instanceof AppError ? error.message : messageOf(error));
      return;
    }
    const isOff = ['off', 'none', 'crashed'].includes(state.state);
    const bootId = (await services.bootClock())?.id ?? '';
    if (row.boot_id !== bootId) {
      // What the host's own start could not do: the restore point was not served yet.
      if (isOff && services.isWanted(vmId)) await services.start(row);
      await rows.change(vmId, { boot_id: bootId });
    }
    if (state.state === 'paused' && state.reason === PAUSED_BY_ERROR) await goOn(row);
    else tell(row, null);
    if (row.state === 'copying') await services.copy(row);
  };

  /** What a kill left of one that is over. A row is there before its folder. */
  const clear = async () => {
    for (const operationId of await exporters.list())
      if (!rows.list().some((row) => row.operation_id === operationId)) await exporters.end(operationId);
  };

  return {
    wake: waker.wake,
    trouble: (vmId) => troubles.get(vmId) ?? null,
    async run(signal) {
      while (!signal.aborted) {
        await clear().catch((error: unknown) =>
          log.warn({ err: error }, 'an exporter without a VM could not be ended'),
        );
        for (const row of rows.list()) {
          if (signal.aborted) break;
          try {
            await look(row);
          } catch (error) {
            // libvirt away, or in the middle of something: it is looked at again in two seconds.
            log.debug({ vm: row.vm_id, err: error }, 'a VM that runs from a restore point could not be looked at');
          }
        }
        await waker.wait(LOOK_MS, signal);
      }
    },
  };
}
