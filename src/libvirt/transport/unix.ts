/** The Unix socket of a libvirt daemon on this machine. */

import { connect } from 'node:net';
import type { ConnectOptions, Transport } from './transport.ts';

/** @throws the system's error (ENOENT, ECONNREFUSED, EACCES), or the signal's reason. */
export function connectUnix(path: string, { signal }: ConnectOptions): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const onAbort = () => socket.destroy(signal.reason);
    const settle = () => signal.removeEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', (error) => {
      settle();
      reject(error);
    });
    socket.once('connect', () => {
      settle();
      resolve({ bytes: socket, describe: () => `unix:${path}` });
    });
  });
}
