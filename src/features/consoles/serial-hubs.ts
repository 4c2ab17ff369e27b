/** The serial hubs of all VMs: made when somebody looks, kept a while for what they captured. */

import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { ConsoleHost, ConsoleVms } from './ports.ts';
import { createSerialHub, SCROLL_BACK_BYTES, type SerialHub } from './serial-hub.ts';
import { type LogMark, type LogPart, readSerialLog } from './serial-log.ts';

export interface SerialHubs {
  /** The hub of a VM that exists. */
  of(vmId: string): SerialHub;
  /** The newest 256 KiB: from libvirt's log where there is one, else what was captured here. */
  log(vmId: string): Promise<Buffer>;
  /** Tells that a VM changed. */
  wake(vmId: string): void;
  /** Ends and forgets the hub of a VM that is gone. */
  drop(vmId: string): void;
  /** Ends all. */
  close(code: number, reason: string): void;
}

export interface SerialHubsOptions {
  readonly vms: ConsoleVms;
  readonly host: ConsoleHost;
  /** Path of libvirt's log of a VM's console; null when none is kept. The file need not exist. */
  readonly logPath: (vmId: string) => string | null;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Captures kept of VMs that nobody looks at: at most 8 MiB in all. */
const MAX_IDLE = 32;

export function createSerialHubs({ vms, host, logPath, clock, log }: SerialHubsOptions): SerialHubs {
  const hubs = new Map<string, SerialHub>();
  /** Oldest first. */
  const idle = new Set<string>();

  const readLog = async (vmId: string, since: LogMark | null): Promise<LogPart | null> => {
    const path = logPath(vmId);
    return path === null ? null : await readSerialLog(path, SCROLL_BACK_BYTES, since);
  };

  const forget = (vmId: string) => {
    idle.delete(vmId);
    hubs.delete(vmId);
  };

  return {
    of(vmId) {
      idle.delete(vmId);
      const known = hubs.get(vmId);
      if (known) return known;
      const hub = createSerialHub({
        isActive: () => vms.get(vmId).isActive,
        openStream: (signal) => host.openSerial(vmId, signal),
        readLog: (since) => readLog(vmId, since),
        clock,
        log: log.child({ vm: vmId }),
        onIdle() {
          idle.add(vmId);
          for (const oldest of idle) {
            if (idle.size <= MAX_IDLE) break;
            forget(oldest);
          }
        },
      });
      hubs.set(vmId, hub);
      return hub;
    },
    async log(vmId) {
      const part = await readLog(vmId, null);
      return part?.bytes ?? hubs.get(vmId)?.captured() ?? Buffer.alloc(0);
    },
    wake: (vmId) => hubs.get(vmId)?.wake(),
    drop(vmId) {
      hubs.get(vmId)?.close(1000, 'The VM was deleted.');
      forget(vmId);
    },
    close(code, reason) {
      for (const hub of [...hubs.values()]) hub.close(code, reason);
      hubs.clear();
      idle.clear();
    },
  };
}
