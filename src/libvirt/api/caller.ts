/** The one thing the verbs of this folder need: somebody who sends calls over the right connection. */

import type { CallOptions, StreamOptions } from '../connection.ts';
import type { LibvirtStream } from '../stream.ts';
import type { Procedure } from '../table.ts';

export interface Caller {
  /** A short call, on the control connection. */
  call<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options?: CallOptions): Promise<Result>;
  /** Statistics that libvirt knows by itself, on a connection of their own: they go on while QEMUs hang. */
  callForStats<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options?: CallOptions): Promise<Result>;
  /** Statistics for which libvirt asks each QEMU: one that is stuck can hold the call, so it shares a connection with nothing else. */
  callForMonitorStats<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options?: CallOptions,
  ): Promise<Result>;
  /** Questions to guest agents, which answer when they like. */
  callForGuests<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options?: CallOptions): Promise<Result>;
  /** A call that blocks until a job ends, on its own connection. */
  callLong<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions & { readonly deadlineMs: number },
  ): Promise<Result>;
  /** A stream, on its own connection. */
  openStream<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options?: StreamOptions,
  ): Promise<{ stream: LibvirtStream; result: Result }>;
}

export type { CallOptions };

/** How long a job may take when the caller says nothing: a day. Jobs report progress and can be aborted by their own verbs. */
export const JOB_DEADLINE_MS = 86_400_000;
export const LIST_DEADLINE_MS = 15_000;

/** Combines libvirt's flag bits. */
export function flagsOf(...bits: readonly (number | false | undefined)[]): number {
  let flags = 0;
  for (const bit of bits) if (bit) flags = (flags | bit) >>> 0;
  return flags;
}

/** Which definition a change is for. */
export interface Impact {
  /** The running VM. */
  readonly live?: boolean;
  /** The stored definition, for the next start. */
  readonly config?: boolean;
}

export function impactFlags(impact: Impact): number {
  return flagsOf(impact.live && 1, impact.config && 2);
}
