/** From an address to an open disk. */

import { TLSSocket } from 'node:tls';
import { withDeadline } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
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
      throw link.socket instanceof TLSSocket && isUnreachable(error) ? distrusted(error) : error;
    }
  };
  return await withDeadline(`opening the disk "${exportName}" over NBD`, requestTimeoutMs, open, signal);
}

function isUnreachable(error: unknown): error is AppError {
  return error instanceof AppError && error.code === 'nbd_unreachable';
}

/** Under TLS 1.3 the server looks at our certificate when for us the handshake is over; QEMU then closes without a word (7.2). */
function distrusted(cause: AppError): AppError {
  return new AppError('nbd_refused', {
    detail: 'The server of the disk’s data closed the encrypted connection before it opened the disk.',
    hint: 'Check that the server trusts the authority of our certificate, and that it is given one.',
    cause,
  });
}
