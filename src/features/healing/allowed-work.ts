/** The only door between healing and the journal: the kinds of operations that healing may start, each by name. Whoever decides what is to
 *  be healed gets these hands and nothing else, so that no mistake there can stop, delete or change anything. */

import { HEALER } from '#contract/healer.ts';
import type { Operation } from '#contract/operations.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import { inNameOf } from '#platform/feature.ts';

export interface VmInput {
  readonly vmId: string;
  readonly name: string;
}
export interface PoolInput {
  readonly poolId: string;
  readonly name: string;
}
export interface ServiceInput {
  /** As `virtlogd.service`. */
  readonly unit: string;
}
export interface FolderInput {
  readonly folder: string;
}
export interface HoldInput extends FolderInput {
  readonly isHeld: boolean;
}

/** Kind of operation → what it is started with. */
export interface AllowedWork {
  readonly 'vm.start': VmInput;
  readonly 'vm.resume': VmInput;
  readonly 'healing.disk-pause': HoldInput;
  readonly 'healing.disk-reserve': FolderInput;
  readonly 'healing.disk-free': FolderInput;
  readonly 'healing.pool-start': PoolInput;
  readonly 'healing.nic-up': VmInput;
  readonly 'healing.service-start': ServiceInput;
  readonly 'healing.agent-sync': VmInput;
  readonly 'healing.guest-trim': VmInput;
  readonly 'healing.monitor-evidence': VmInput;
}
export type AllowedKind = keyof AllowedWork;

export type Work = {
  readonly [Kind in AllowedKind]: { readonly kind: Kind; readonly input: AllowedWork[Kind] };
}[AllowedKind];

/** The kinds as the journal knows them. */
export type AllowedKinds = { readonly [Kind in AllowedKind]: RegisteredKind<AllowedWork[Kind]> };

export interface Hands {
  /** Starts the work, or finds what an earlier life of hyperd started for this act.
   *  @throws busy and other refusals of the journal */
  start(
    work: Work,
    by: { readonly actId: string; readonly project: string | null; readonly action: string },
  ): Promise<Operation>;
  /** The operation that was started for an act; null when none was. */
  startedFor(actId: string): Promise<Operation | null>;
  get(operationId: string): Promise<Operation | null>;
  isLocked(key: string): boolean;
}

/** @throws TypeError when a kind is not the one that its name says */
export function createHands(operations: OperationsApi, kinds: AllowedKinds): Hands {
  for (const [name, { definition }] of Object.entries(kinds))
    if (definition.kind !== name) throw new TypeError(`healing may start ${name}, not ${definition.kind}`);
  const identity = inNameOf(HEALER);
  const begin = <Kind extends AllowedKind>(
    { kind, input }: { readonly kind: Kind; readonly input: AllowedWork[Kind] },
    by: Parameters<Hands['start']>[1],
  ) =>
    operations.start(kinds[kind], input, {
      identity,
      project: by.project,
      requestId: null,
      idempotencyKey: by.actId,
      requestHash: by.actId,
      action: `healing ${by.action}`,
    });
  return {
    start: begin,
    startedFor: (actId) => operations.repeated({ identity, idempotencyKey: actId, requestHash: actId }),
    get: operations.get,
    isLocked: operations.isLocked,
  };
}
