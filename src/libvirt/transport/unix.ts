/** The Unix socket of a libvirt daemon on this machine. */

import { connect } from 'node:net';
import type { ConnectOptions, Transport } from './transport.ts';

const READ_BYTES = 262_144;

/** @throws the system's error (ENOENT, ECONNREFUSED, EACCES), or the signal's reason. */
export function connectUnix(path: string, { signal }: ConnectOptions): Promise<Transport> {
  return new Promise((resolve, reject) => {
    let listener: (chunk: Buffer) => void = () => undefined;
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    // One buffer for all reads: a fresh one per read costs more than a small call's decoding.
    const callback = (count: number) => {
      listener(buffer.subarray(0, count));
      return true;
    };
    const socket = connect({ path, onread: { buffer, callback } });
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
      resolve({
        bytes: socket,
        onData(next) {
          listener = next;
        },
        describe: () => `unix:${path}`,
      });
    });
  });
}
