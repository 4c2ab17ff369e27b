/** Those who wait until a VM is as they want it. */

import type { Vm } from '#contract/vms.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';

export interface VmWaiters {
  /** Resolves when the VM (null = gone) satisfies the condition. @throws timeout, the signal's reason */
  waitFor(
    uuid: string,
    condition: (vm: Vm | null) => boolean,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Vm | null>;
  /** The VM changed, or is gone. */
  tell(uuid: string, vm: Vm | null): void;
}

/** @param current the VM as it is known now */
export function createVmWaiters(clock: Clock, current: (uuid: string) => Vm | null): VmWaiters {
  const waiters = new Set<{ readonly uuid: string; check(vm: Vm | null): void }>();

  return {
    tell(uuid, vm) {
      for (const waiter of [...waiters]) if (waiter.uuid === uuid) waiter.check(vm);
    },
    waitFor(uuid, condition, timeoutMs, signal) {
      const now = current(uuid);
      if (condition(now)) return Promise.resolve(now);
      return new Promise((resolve, reject) => {
        const timer = new AbortController();
        const settle = (act: () => void) => {
          waiters.delete(waiter);
          timer.abort();
          signal.removeEventListener('abort', onAbort);
          act();
        };
        const onAbort = () => settle(() => reject(signal.reason));
        const waiter = { uuid, check: (vm: Vm | null) => void (condition(vm) && settle(() => resolve(vm))) };
        waiters.add(waiter);
        signal.addEventListener('abort', onAbort, { once: true });
        if (signal.aborted) onAbort();
        clock.sleep(timeoutMs, timer.signal).then(
          () =>
            settle(() => reject(new AppError('timeout', { detail: 'The VM did not reach the wanted state in time.' }))),
          () => undefined, // it was settled before
        );
      });
    },
  };
}
