/** What finders tell the planner: something is wrong with a thing, and the one piece of work that may be done about it. */

import type { HealingActionId } from '#contract/healing.ts';
import type { Work } from './allowed-work.ts';

export interface HealedObject {
  readonly type: 'vm' | 'pool' | 'host' | 'service';
  readonly id: string;
  readonly name: string;
  /** Null = the system. */
  readonly project: string | null;
}

export interface Finding {
  readonly object: HealedObject;
  /** What is wrong, as a clause: `its QEMU died`. */
  readonly found: string;
  /** What is to be done, as a clause: `start it`. */
  readonly remedy: string;
  /** What stands against it now; null = nothing. What is worth telling is written down, once as long as it is wrong. */
  readonly obstacle: { readonly text: string; readonly isWorthTelling: boolean } | null;
  /** Asked again in the moment before it begins, so that it must not wait for anything. */
  isStillSo(): boolean;
  readonly work: Work;
}

export interface Finder {
  readonly action: HealingActionId;
  /** How long something must be wrong before each act: the first in an hour, the second, and so on; the last holds for all further ones. */
  readonly delaysMs: readonly number[];
  /** One act is all that is done, however long it stays wrong. */
  readonly isOnce: boolean;
  /** All that is wrong now; null = that cannot be known at present, and nothing is concluded from it. */
  find(): Promise<Found | null>;
}

export interface Found {
  readonly findings: readonly Finding[];
  /** Whether nothing can be said of this one now: then its case stays as it is. */
  isUnknown(objectId: string): boolean;
}
