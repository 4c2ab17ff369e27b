/** From an address to an open disk. */

import { withDeadline } from '#kernel/async.ts';
import { openExport } from './client-handshake.ts';
import { Connection, type NbdConnection } from './connection.ts';
import { type NbdAddress, openLink } from './link.ts';
import { MAX_STRING_BYTES } from './wire.ts';

export interface ConnectNbdOptions {
  /** The name of the disk there; may be empty. */
  readonly exportName: string;
  /** Contexts to ask for, as `base:allocation` or `qemu:dirty-bitmap:backup-vda`. What is granted is in `contexts`. */
  readonly contexts?: readonly string[];
  /** Closes the connection; what is pending then fails with the signal's reason. */
  readonly signal?: AbortSignal;
  /** For the whole way to an open disk, and for each request afterwards; default 60,000 ms. */
  readonly requestTimeoutMs?: number;
}

const DEFAULT_REQUEST_TIMEOUT_MS = 60_000;

/** Connects and opens a disk.
 *  @throws AppError nbd_unreachable, nbd_refused (no such disk, TLS missing or not trusted), nbd_protocol_broken, timeout;
 *  system errors of certificate files; the signal's reason; TypeError for a name of more than 4096 bytes */
export async function connectNbd(address: NbdAddress, options: ConnectNbdOptions): Promise<NbdConnection> {
  const { exportName, contexts = [], signal, requestTimeoutMs = DEFAULT_REQUEST_TIMEOUT_MS } = options;
  for (const text of [exportName, ...contexts])
    if (Buffer.byteLength(text) > MAX_STRING_BYTES) throw new TypeError('a name of NBD has at most 4096 bytes');
  const open = async (untilOpen: AbortSignal) => {
    const link = await openLink(address, untilOpen);
    try {
      const agreement = await openExport(link, exportName, contexts);
      untilOpen.throwIfAborted();
      return new Connection({ ...link, agreement, requestTimeoutMs, ...(signal ? { signal } : {}) });
    } catch (error) {
      link.socket.destroy();
      throw error;
    }
  };
  return await withDeadline(`opening the disk "${exportName}" over NBD`, requestTimeoutMs, open, signal);
}
