/** Lets few calls through at once and makes the rest wait in line, so that a stuck host cannot collect work without bound.
 *  libvirtd runs five requests of one connection at a time; its high-priority procedures are served even when all workers hang. */

import type { CallOptions } from './connection.ts';
import { LibvirtError } from './errors.ts';

interface GateLimits {
  readonly running: number;
  /** How many more may run when they are of high priority. */
  readonly priorityExtra: number;
  readonly waiting: number;
}

interface GatedProcedure {
  readonly name: string;
  readonly isHighPriority: boolean;
}

export interface Gate {
  /** @throws LibvirtError busy when the line is full; cancelled when the signal is aborted; libvirt_unavailable when the deadline passes in the line */
  pass<Result>(procedure: GatedProcedure, options: CallOptions, work: () => Promise<Result>): Promise<Result>;
}

export function createGate(limits: GateLimits): Gate {
  let running = 0;
  const waiting = new Set<{ readonly isHighPriority: boolean; go(): void }>();

  const hasRoom = (isHighPriority: boolean) => running < limits.running + (isHighPriority ? limits.priorityExtra : 0);

  function leave(): void {
    running -= 1;
    for (const next of waiting) {
      if (!hasRoom(next.isHighPriority)) continue;
      waiting.delete(next);
      next.go();
      return;
    }
  }

  function enter(procedure: GatedProcedure, { deadlineMs = 10_000, signal }: CallOptions): Promise<void> {
    if (waiting.size >= limits.waiting) {
      return Promise.reject(
        new LibvirtError('libvirt_unavailable', {
          procedure: procedure.name,
          detail: 'Too many calls wait for libvirt on this host.',
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => give(new LibvirtError('cancelled', { procedure: procedure.name, cause: signal?.reason }));
      const timer = setTimeout(
        () =>
          give(
            new LibvirtError('libvirt_unavailable', {
              procedure: procedure.name,
              detail: 'libvirt is too busy to take the call in time.',
            }),
          ),
        deadlineMs,
      );
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const place = {
        isHighPriority: procedure.isHighPriority,
        go() {
          settle();
          running += 1;
          resolve();
        },
      };
      const give = (error: LibvirtError) => {
        settle();
        waiting.delete(place);
        reject(error);
      };
      waiting.add(place);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  return {
    async pass(procedure, options, work) {
      if (hasRoom(procedure.isHighPriority)) running += 1;
      else await enter(procedure, options);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
