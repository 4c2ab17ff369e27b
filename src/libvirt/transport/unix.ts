/** The Unix socket of a libvirt daemon on this machine. */

import { connect } from 'node:net';
import type { ConnectOptions, Transport } from './transport.ts';

const READ_BYTES = 65_536;
const SLAB_BYTES = 1_048_576;
const LEAST_READ_BYTES = 65_536;

/** @throws the system's error (ENOENT, ECONNREFUSED, EACCES), or the signal's reason. */
export function connectUnix(path: string, { signal }: ConnectOptions): Promise<Transport> {
  return new Promise((resolve, reject) => {
    let listener: (chunk: Buffer) => boolean = () => false;
    let slab = Buffer.allocUnsafeSlow(READ_BYTES);
    let at = 0;
    let keptBytes = 0;
    // Reads go to one buffer, as a fresh one costs more than decoding a small reply; only stream data that is kept uses it up.
    const buffer = () => {
      at += keptBytes;
      keptBytes = 0;
      if (slab.length - at < LEAST_READ_BYTES) {
        slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        at = 0;
      }
      return at === 0 ? slab : slab.subarray(at);
    };
    const callback = (count: number) => {
      if (listener(slab.subarray(at, at + count))) keptBytes = count;
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
