/** What the checks want to know of the rest of hyperd, in their own words; `index.ts` binds it. Nothing here waits for libvirt. */

import type { VmPosture } from '#contract/protection.ts';
import type { Host, Overview } from '#contract/system.ts';
import type { Vm } from '#contract/vms.ts';
import type { InstantState } from '#features/backups/index.ts';
import type { CopyStanding } from '#features/copies/index.ts';
import type { Accel } from '#features/health/index.ts';
import type { StateInRepository } from '#features/state-backups/index.ts';

export interface PoolFacts {
  readonly name: string;
  readonly state: 'active' | 'inactive' | 'building' | 'degraded' | 'unknown';
  readonly autostart: boolean;
}

export interface VmFacts extends Pick<Vm, 'id' | 'name' | 'state' | 'desired' | 'agent'> {
  readonly nics: readonly Pick<Vm['nics'][number], 'mac' | 'device' | 'linkUp' | 'sourceType'>[];
  /** Paths of its disks on this machine. */
  readonly diskPaths: readonly string[];
}

export interface HealthFacts {
  /** As last seen. */
  vms(): readonly VmFacts[];
  pools(): readonly PoolFacts[];
  /** False while libvirt does not answer, and what is known may be old. */
  isCurrent(): boolean;
  hosts(): readonly Host[];
  /** What VMs may use; `unknown` before the first proof. */
  accel(): Accel | 'unknown';
  certificateEndsAt(): Date;
  auditProblems(): Promise<Overview['problems']>;
  historyProblems(): Overview['problems'];
  messages(): Promise<{ readonly oldestWaitingMs: number; readonly dead: number; readonly hasDeadMan: boolean }>;
  /** How well VMs are protected; null while nothing backs any up. */
  protection(): readonly Pick<VmPosture, 'vmName' | 'posture' | 'reasons'>[] | null;
  /** VMs that run from a restore point. */
  instantRestores(): readonly InstantState[];
  /** How far second copies of repositories are behind. */
  copies(): readonly CopyStanding[];
  /** How the state of this host stands in each repository. */
  stateBackups(): Promise<readonly StateInRepository[]>;
  /** Downloads of images that are under way. */
  downloads(): Promise<readonly { readonly title: string; readonly startedAt: Date }[]>;
  /** The history may grow to this size. */
  readonly historyMaxBytes: number;
}
