/** What a connection runs over: bytes both ways, and a name for logs. One file per kind stands beside this one. */

import type { Duplex } from 'node:stream';

export interface Transport {
  /** Writing, pausing, ending. Incoming bytes come by `onData` alone. */
  readonly bytes: Duplex;
  /** Hands over incoming bytes. When the listener returns false the chunk is overwritten afterwards; true = it is kept. */
  onData(listener: (chunk: Buffer) => boolean): void;
  /** Where it leads, for logs and errors; no secrets. */
  describe(): string;
}

export interface ConnectOptions {
  readonly signal: AbortSignal;
}

/** A transport over any stream of Node. */
export function overStream(bytes: Duplex, label: string): Transport {
  return {
    bytes,
    onData: (listener) => void bytes.on('data', (chunk: Buffer) => void listener(chunk)),
    describe: () => label,
  };
}
