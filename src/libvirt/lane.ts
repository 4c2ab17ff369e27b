/** A connection for calls that something stuck behind libvirt may hold up, as a QEMU that does not answer. A call that runs into its
 *  deadline keeps its connection until the answer comes; the next call gets another one, up to a bound. */

import type { CallOptions, Connection } from './connection.ts';
import { LibvirtError } from './errors.ts';
import type { Procedure } from './table.ts';

export interface Lane {
  /** @throws busy while as many calls as allowed wait without end, besides the errors of a connection */
  call<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options?: CallOptions): Promise<Result>;
  /** Forgets and closes its connection; lost ones are left to who closes all. */
  close(): Promise<void>;
}

export interface LaneOptions {
  /** How many connections may wait for answers that are overdue. */
  readonly maxLost: number;
  /** What `busy` tells people. */
  readonly busyDetail: string;
  readonly deadlineMs: number;
  /** @throws when the host is not connected */
  connect(procedure: string): Promise<Connection>;
}

export function createLane({ maxLost, busyDetail, deadlineMs, connect }: LaneOptions): Lane {
  let current: Connection | null = null;
  let opening: Promise<Connection> | null = null;
  let lost = 0;
  /** Lost connections of an earlier session do not count in this one. */
  let session = 0;

  const open = async (procedure: string): Promise<Connection> => {
    const mine = session;
    const opened = await connect(procedure);
    if (mine !== session) {
      await opened.close();
      throw new LibvirtError('cancelled', { procedure, detail: 'the connection was closed while it was opened' });
    }
    current = opened;
    return opened;
  };

  const connection = async (procedure: string): Promise<Connection> => {
    if (current && !current.lostBecause) return current;
    if (opening !== null) return opening;
    const mine = open(procedure).finally(() => {
      if (opening === mine) opening = null;
    });
    opening = mine;
    return mine;
  };

  const retire = async (worn: Connection): Promise<void> => {
    const mine = session;
    await worn.caughtUp();
    if (mine === session) lost = Math.max(0, lost - 1);
    await worn.close();
  };

  return {
    async call(procedure, args, options = {}) {
      if (lost >= maxLost) throw new LibvirtError('busy', { procedure: procedure.name, detail: busyDetail });
      const used = await connection(procedure.name);
      const before = used.abandonedCalls;
      try {
        return await used.call(procedure, args, { deadlineMs, ...options });
      } finally {
        if (used.abandonedCalls > before && current === used) {
          current = null;
          lost += 1;
          void retire(used);
        }
      }
    },
    async close() {
      const last = current;
      current = null;
      lost = 0;
      session += 1;
      // One that is being opened closes itself as soon as it is there.
      opening = null;
      await last?.close();
    },
  };
}
