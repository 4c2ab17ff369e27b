/** What a kind of operation is: validated input, idempotent steps, compensation. Slices write these; the runner drives them. */

import type { z } from 'zod';
import type { Permission } from '#contract/permissions.ts';
import type { QuotaResource } from '#contract/quota-facts.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Transaction } from '#platform/db/database.ts';

export interface StepProgress {
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  /** 0 to 1, where bytes are not the measure. */
  readonly ratio?: number;
  readonly note?: string;
}

/** What an object holds of its project's quota once the operation is done; 0 = nothing any more. */
export interface Charge {
  /** Id of the project. */
  readonly project: string;
  readonly resource: QuotaResource;
  readonly objectId: string;
  readonly amount: number;
}

/** Keeps the books of quotas, in the transactions that begin and end an operation. */
export interface ChargeBook {
  /** Keeps room for growth; may be called again with more. @throws AppError quota_exceeded */
  reserve(
    tx: Transaction,
    by: { readonly operationId: string; readonly owner: string | null },
    charges: readonly Charge[],
  ): Promise<void>;
  /** Done = objects hold what was said; else everything is as before. */
  settle(tx: Transaction, operationId: string, isDone: boolean): Promise<void>;
}

/** What a step may use. */
export interface StepContext {
  /** Names of everything a step makes derive from it, so "is it there already?" is always answerable. */
  readonly operationId: string;
  readonly actor: string;
  /** Aborted when the operation is cancelled, past its deadline, or the daemon stops. A step that cannot be undone half-way ignores it. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Told often; sent to clients four times a second at most. */
  progress(progress: StepProgress): void;
  /** Says what is known only now of what objects will hold, as the size of a download. Before the thing is made; twice charges once.
   *  @throws AppError quota_exceeded */
  charge(charges: readonly Charge[]): Promise<void>;
  /** Durable before it resolves; survives `kill -9`. Values are JSON. */
  remember(key: string, value: unknown): Promise<void>;
  /** The same, on disk with the end of the step: for what the step finds again when it is done again. */
  rememberAtEnd(key: string, value: unknown): void;
  /** What an earlier step, or an earlier life of this one, remembered. Undefined when nothing. */
  recall(key: string): unknown;
}

/** One step. Each may run again after a crash, so `act` must bear finding its own work half or wholly done. */
export interface Step {
  /** kebab-case, unique in the operation; part of kill points. */
  readonly name: string;
  /** For people, as `Make the disks`. */
  readonly title: string;
  /** Asks the world, never the database, whether the step is done already; `act` is skipped when it answers true. */
  check?(context: StepContext): Promise<boolean>;
  act(context: StepContext): Promise<void>;
  /** Undoes `act`, wholly or half done, touching only what carries this operation's id. */
  compensate?(context: StepContext): Promise<void>;
  /** Whether `act` ends by itself when the signal is aborted; else cancelling waits for its end. */
  readonly isCancellable?: boolean;
  /** Default 120_000; null = none (progress is shown instead). */
  readonly timeoutMs?: number | null;
}

export interface ProjectNeed {
  /** Id of the project. */
  readonly project: string;
  readonly permission: Permission;
}

export interface OperationObject {
  readonly type: string;
  readonly id: string;
  readonly name: string;
}

export interface OperationDefinition<Input> {
  /** `noun.verb`, as `vm.create`. */
  readonly kind: string;
  /** Checked again when the operation is resumed after a restart. */
  readonly permission: Permission;
  /** Rights that its starter needs in further projects than the one it was started for, checked as often as `permission`. None of
   *  these projects can be deleted before it is over. */
  alsoNeeds?(input: Input): readonly ProjectNeed[];
  /** Parses what was journalled; secrets do not belong in it. */
  readonly input: z.ZodType<Input>;
  title(input: Input): string;
  object(input: Input): OperationObject | null;
  /** The VM that it is about where `object` is something else, as what is left of one: grants on the VM reach it too, and its graphs
   *  have a mark of it. */
  vm?(input: Input): string;
  /** Only one open operation may hold a key, as `vm:<uuid>` or `vm-name:web1`; a second start answers 409 `busy`. */
  locks(input: Input): readonly string[];
  /** Keys that several may hold together, but not beside one that has them among its `locks`: what an operation only reads. */
  shares?(input: Input): readonly string[];
  /** Asked once, when it starts. What the objects of this operation hold of quotas once it is done. Growth is reserved with the operation and given back when it
   *  fails; what shrinks is given back when it is done. Never a difference: what is said twice is charged once. */
  charges?(input: Input): readonly Charge[];
  /** Kinds that give way to this one: an open operation of such a kind that holds a needed key is cancelled instead of answering
   *  `busy`. For what people reach for when the other one takes too long. */
  readonly takesOver?: readonly string[];
  steps(input: Input): readonly Step[];
  /** Result shown to the user when done; JSON. */
  result?(input: Input, context: StepContext): Promise<unknown>;
}

/** Declares a kind of operation; exists for the types. */
export function defineOperation<Input>(definition: OperationDefinition<Input>): OperationDefinition<Input> {
  return definition;
}
