/** What this slice tells people, as the slice `notifications` takes it. */

import type { Severity } from '#contract/alerts-config.ts';
import type { Transaction } from '#platform/db/database.ts';
import type { NoticeKind } from './machine/machine.ts';

export interface AlertNotice {
  readonly fingerprint: string;
  readonly episode: number;
  readonly kind: NoticeKind;
  readonly rule: {
    readonly id: string;
    readonly name: string;
    readonly condition: string;
    readonly cooldownMs: number;
    readonly channels: readonly string[] | null;
  };
  readonly severity: Severity;
  readonly labels: Readonly<Record<string, string>>;
  readonly entity: { readonly kind: string; readonly name: string };
  readonly project: string | null;
  readonly host: string;
  readonly value: number | null;
  readonly valueText: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  /** What to do, and whatever else is not in the other fields; '' for nothing. */
  readonly text: string;
}

export interface EventNotice {
  /** What has the same key is told once. */
  readonly key: string;
  readonly severity: Severity;
  readonly title: string;
  readonly text: string;
  readonly project: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** Both write into the caller's transaction: a transition and the message about it stand or fall together. */
export interface Announcer {
  announce(tx: Transaction, notice: AlertNotice): Promise<void>;
  announceEvent(tx: Transaction, event: EventNotice): Promise<void>;
  /** Somebody looks after it: no more repeats until it ends or gets worse. */
  acknowledge(tx: Transaction, fingerprint: string): Promise<void>;
}
