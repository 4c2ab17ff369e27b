/** What a connection runs over: bytes both ways, and a name for logs. One file per kind stands beside this one. */

import type { Duplex } from 'node:stream';

export interface Transport {
  readonly bytes: Duplex;
  /** Where it leads, for logs and errors; no secrets. */
  describe(): string;
}

export interface ConnectOptions {
  readonly signal: AbortSignal;
}
