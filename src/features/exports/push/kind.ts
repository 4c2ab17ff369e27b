/** What the kinds of targets have in common: an address, headers, and a body for a part of a snapshot. */

import type { PushTarget } from '#contract/push-config.ts';
import type { Snapshot } from './snapshot.ts';

export interface PushKind<Kind extends PushTarget['kind']> {
  /** Where bodies go. */
  url(target: Extract<PushTarget, { kind: Kind }>): string;
  readonly headers: Readonly<Record<string, string>>;
  /** How a token is shown: `Authorization: Bearer …`, or InfluxDB 2's own `Token …`. */
  readonly authorization: 'bearer' | 'token';
  /** Figures from `from` up to, not including, `to`. */
  body(snapshot: Snapshot, from: number, to: number): Uint8Array;
}
