/** The ports of one appliance, each lent to one at a time. */

import type { Port } from './port.ts';

export interface PortPool {
  /** Lends a port until it is given back; waits for one that is free.
   *  @throws the signal's reason */
  take(signal: AbortSignal): Promise<{ readonly port: Port; release(): void }>;
}

export function createPool(ports: readonly Port[]): PortPool {
  const free = [...ports];
  const waiting: ((port: Port) => void)[] = [];
  const giveBack = (port: Port) => {
    const next = waiting.shift();
    if (next) next(port);
    else free.push(port);
  };
  const lend = (port: Port) => {
    let isLent = true;
    return {
      port,
      release() {
        if (isLent) giveBack(port);
        isLent = false;
      },
    };
  };
  return {
    async take(signal) {
      signal.throwIfAborted();
      const port = free.shift();
      if (port) return lend(port);
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          const at = waiting.indexOf(begin);
          if (at >= 0) waiting.splice(at, 1);
          reject(signal.reason);
        };
        const begin = (next: Port) => {
          signal.removeEventListener('abort', onAbort);
          resolve(lend(next));
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiting.push(begin);
      });
    },
  };
}
