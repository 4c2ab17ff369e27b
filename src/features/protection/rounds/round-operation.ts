/** One run of a schedule: every VM that it covers is backed up, each on its own. What goes wrong with one never ends it for the others;
 *  the report names each, also those that were not reached. */

import { z } from 'zod';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { Vm } from '#contract/vms.ts';
import { defineOperation, type OperationDefinition, type StepContext } from '#features/operations/index.ts';
import { withDeadline } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import type { RoundVmRow } from '../migrations.ts';
import { coverageOf } from '../schedules/coverage.ts';
import type { Schedule } from '../schedules/schedule-store.ts';
import type { RoundStore } from './round-store.ts';
import type { Turns } from './turns.ts';

const roundInputSchema = z.object({ scheduleId: z.string(), scheduleName: z.string(), dueAt: z.string() });
export type RoundInput = z.infer<typeof roundInputSchema>;

export interface RoundDependencies {
  readonly rounds: RoundStore;
  readonly clock: Clock;
  readonly turns: Turns;
  readonly parallel: number;
  schedule(id: string): Schedule | null;
  vms(): readonly Vm[];
  /** Begins the backup of one VM; a second time for the same run is the same operation.
   *  @param isAgain the first one was interrupted, and this is the other one that follows
   *  @throws AppError busy while something else works on it, and others */
  backUp(vmId: string, schedule: Schedule, roundId: string, isAgain: boolean): Promise<Operation>;
  operation(id: string): Promise<Operation | null>;
  /** Resolves with the operation when it is over, or as it is after so long. */
  waitFor(id: string, timeoutMs: number): Promise<Operation>;
  cancel(id: string): Promise<unknown>;
  /** The restore point that an operation made. */
  pointOf(operationId: string): string | null;
  /** What comes after the backups: retention, proofs. Begins it and does not wait; never rejects. */
  afterwards(
    schedule: Schedule,
    done: readonly { readonly vmId: string; readonly pointId: string | null }[],
  ): Promise<void>;
  /** Somebody may look: the run went on. */
  changed(scheduleId: string): void;
}

const HOUR_MS = 3_600_000;
const WAIT_MS = 30_000;
/** A VM that something else works on is asked for again, for so long. */
const BUSY_AGAIN_MS = 15_000;
const BUSY_PATIENCE_MS = 30 * 60_000;
/** Until a child that was cancelled is over. */
const CANCEL_PATIENCE_MS = 60_000;

export function roundOperation(dependencies: RoundDependencies): OperationDefinition<RoundInput> {
  const { rounds, clock, turns, parallel, changed } = dependencies;
  const nowText = () => clock.now().toISOString();
  const isOpen = ({ state }: RoundVmRow) => state === 'waiting' || state === 'running';

  const settle = async (roundId: string, vmId: string, operation: Operation | null) => {
    const isDone = operation?.state === 'done';
    await rounds.setVm(roundId, vmId, {
      state: isDone ? 'done' : 'failed',
      detail: isDone ? null : whyOf(operation),
      point_id: isDone ? dependencies.pointOf(operation.id) : null,
      ended_at: operation?.finishedAt ?? nowText(),
    });
  };

  const begin = async (row: RoundVmRow, schedule: Schedule, roundId: string, signal: AbortSignal, isAgain = false) => {
    const givenUpMs = clock.monotonicMs() + BUSY_PATIENCE_MS;
    for (;;)
      try {
        return await dependencies.backUp(row.vm_id, schedule, roundId, isAgain);
      } catch (error) {
        const problem = toAppError(error);
        if (problem.code !== 'busy' || clock.monotonicMs() >= givenUpMs) throw problem;
        await clock.sleep(BUSY_AGAIN_MS, signal);
      }
  };

  const waitForEnd = async (id: string, signal: AbortSignal): Promise<Operation | null> => {
    for (;;) {
      const operation = await dependencies.operation(id);
      if (operation === null || FINAL_STATES.includes(operation.state) || operation.state === 'attention')
        return operation;
      // The end of the daemon does not wait for the end of a backup.
      await withDeadline('a backup', 2 * WAIT_MS, () => dependencies.waitFor(id, WAIT_MS), signal);
    }
  };

  /** Never rejects but for the signal: what goes wrong is written down with the VM. */
  const backUpOne = async (row: RoundVmRow, schedule: Schedule, { operationId: roundId, signal, log }: StepContext) => {
    let operationId = row.operation_id;
    try {
      if (operationId === null) {
        if (!dependencies.vms().some(({ id }) => id === row.vm_id)) {
          await rounds.setVm(roundId, row.vm_id, { state: 'gone', detail: 'It is not there any more.' });
          return;
        }
        const operation = await begin(row, schedule, roundId, signal);
        operationId = operation.id;
        await rounds.setVm(roundId, row.vm_id, { state: 'running', operation_id: operation.id, began_at: nowText() });
        changed(schedule.id);
      }
      let ended = await waitForEnd(operationId, signal);
      if (ended?.error?.code === 'backup_interrupted') {
        // A guest that switches itself off takes its backup with it: it is read once more, as it is then.
        const again = await begin(row, schedule, roundId, signal, true);
        if (again.id !== operationId) {
          await rounds.setVm(roundId, row.vm_id, { operation_id: again.id });
          changed(schedule.id);
          ended = await waitForEnd(again.id, signal);
        }
      }
      await settle(roundId, row.vm_id, ended);
    } catch (error) {
      if (signal.aborted) throw error;
      const problem = toAppError(error);
      log.warn({ err: error, vm: row.vm_id }, `a VM was not backed up: ${problem.message}`);
      await rounds.setVm(roundId, row.vm_id, {
        state: 'failed',
        detail: `${problem.message} ${problem.hint}`.trim(),
        ended_at: nowText(),
      });
    }
  };

  const scheduleOf = (input: RoundInput): Schedule => {
    const schedule = dependencies.schedule(input.scheduleId);
    if (schedule === null)
      throw new AppError('not_found', { detail: `The schedule ${input.scheduleName} was deleted.` });
    return schedule;
  };

  return defineOperation<RoundInput>({
    kind: 'backup.schedule',
    permission: 'backup.run',
    input: roundInputSchema,
    title: ({ scheduleName }) => `Back up by the schedule ${scheduleName}`,
    object: ({ scheduleId, scheduleName }) => ({ type: 'schedule', id: scheduleId, name: scheduleName }),
    locks: ({ scheduleId }) => [`schedule:${scheduleId}`],
    steps: (input) => [
      {
        name: 'list',
        title: 'List what is covered',
        async act({ operationId }) {
          const schedule = scheduleOf(input);
          const { covered } = coverageOf(schedule.targets, dependencies.vms());
          await rounds.open(
            {
              id: operationId,
              schedule_id: input.scheduleId,
              schedule_name: input.scheduleName,
              due_at: input.dueAt,
              began_at: nowText(),
            },
            covered,
          );
          changed(schedule.id);
        },
        async compensate({ operationId }) {
          const row = await rounds.row(operationId);
          if (row?.state !== 'running') return;
          await rounds.leaveOut(operationId, 'The run was ended before it.');
          await rounds.close(operationId, { state: 'cancelled', note: 'It was ended early.', ended_at: nowText() });
          changed(input.scheduleId);
        },
      },
      {
        name: 'backup',
        title: 'Back up the VMs',
        timeoutMs: null,
        isCancellable: true,
        async act(context) {
          const { operationId: roundId, signal } = context;
          const schedule = scheduleOf(input);
          const beganMs = Date.parse((await rounds.row(roundId))?.began_at ?? input.dueAt);
          const untilMs = schedule.windowHours === null ? null : beganMs + schedule.windowHours * HOUR_MS;
          const rows = await rounds.vms(roundId);
          const waiting = rows.filter(isOpen);
          let over = rows.length - waiting.length;
          const tell = () =>
            context.progress({ ratio: rows.length === 0 ? 1 : over / rows.length, note: `${over} of ${rows.length}` });
          tell();
          const lanes = Array.from({ length: Math.min(parallel, waiting.length) }, async () => {
            for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
              const giveBack = await turns.take(schedule.priority, signal);
              try {
                // A wall that leapt must not let a run go on for a year; the window is one of the wall, as people plan it.
                const isOver = untilMs !== null && row.operation_id === null && clock.now().getTime() >= untilMs;
                if (!isOver) await backUpOne(row, schedule, context);
              } finally {
                giveBack();
              }
              over += 1;
              tell();
              changed(schedule.id);
            }
          });
          // All of them, so that none is at work any more when the step ends.
          const ends = await Promise.allSettled(lanes);
          signal.throwIfAborted();
          for (const end of ends) if (end.status === 'rejected') throw end.reason;
          await rounds.leaveOut(roundId, `Its turn did not come within ${schedule.windowHours ?? 0} h.`);
        },
        async compensate({ operationId, signal }) {
          const running = (await rounds.vms(operationId)).filter(({ state }) => state === 'running');
          for (const { operation_id: id } of running) if (id !== null) await dependencies.cancel(id).catch(ignoreOver);
          for (const { vm_id: vmId, operation_id: id } of running) {
            if (id === null) continue;
            await dependencies.waitFor(id, CANCEL_PATIENCE_MS);
            signal.throwIfAborted();
            await settle(operationId, vmId, await dependencies.operation(id));
          }
        },
      },
      {
        name: 'afterwards',
        title: 'Begin proofs and cleaning',
        async act({ operationId }) {
          const rows = await rounds.vms(operationId);
          const done = rows.filter(({ state }) => state === 'done');
          await dependencies.afterwards(
            scheduleOf(input),
            done.map((row) => ({ vmId: row.vm_id, pointId: row.point_id })),
          );
        },
      },
      {
        name: 'report',
        title: 'Write the report',
        async act({ operationId }) {
          const rows = await rounds.vms(operationId);
          const missing = rows.filter(({ state }) => state === 'failed' || state === 'not_reached');
          const note = rows.length === 0 ? 'It covered no VM.' : noteOf(missing);
          await rounds.close(operationId, {
            state: note === null ? 'done' : 'failed',
            note,
            ended_at: nowText(),
          });
          changed(input.scheduleId);
          if (rows.length === 0)
            throw new AppError('nothing_covered', { detail: `${input.scheduleName} covers no VM.` });
          if (note !== null)
            throw new AppError('vms_not_backed_up', { detail: `${missing.length} of ${rows.length}: ${note}` });
        },
      },
    ],
    result: async (_input, { operationId }) => ({
      roundId: operationId,
      backedUp: (await rounds.vms(operationId)).length,
    }),
  });
}

/** @returns null when none is missing */
function noteOf(missing: readonly RoundVmRow[]): string | null {
  if (missing.length === 0) return null;
  const named = missing.slice(0, 5).map(({ vm_name: name, detail }) => `${name}: ${detail ?? 'not backed up'}`);
  return `${named.join(' ')}${missing.length > 5 ? ` And ${missing.length - 5} more.` : ''}`;
}

function whyOf(operation: Operation | null): string {
  if (operation === null) return 'Nothing is known of its operation any more.';
  if (operation.state === 'cancelled') return 'Its backup was cancelled.';
  if (operation.state === 'attention') return `Its backup needs a person: \`hv op show ${operation.id}\`.`;
  return operation.error === null ? 'Its backup did not end.' : operation.error.detail || operation.error.title;
}

/** What is over cannot be cancelled, and need not be. */
function ignoreOver(error: unknown): void {
  if (!(error instanceof AppError) || error.code !== 'operation_over') throw error;
}
