import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backupErrors } from '#contract/backups.ts';
import type { StepContext } from '#features/operations/index.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type CopyDependencies, copyOperation } from './copy-operation.ts';
import type { Copy } from './copy-store.ts';

registerErrors(backupErrors);

const COPY: Copy = {
  repositoryId: 'repo-copy',
  sourceId: 'repo-source',
  isEnabled: true,
  takesStates: false,
  retention: null,
  timeZone: 'UTC',
  bytesPerSecond: null,
  lastAt: null,
  succeededAt: null,
  problem: null,
  failures: 0,
};
const ORDER = { repositoryId: COPY.repositoryId, name: 'offsite', sourceId: COPY.sourceId, sourceName: 'default' };
const unused = (): never => assert.fail('nobody asks for this');

/** Runs the step of the operation in which it copies. @returns what it failed with, how often that was told, and the pauses before */
async function copyWith(failure: (tries: number) => AppError | null, signal = new AbortController().signal) {
  const seen: { told: AppError[]; pausesMs: number[]; tries: number } = { told: [], pausesMs: [], tries: 0 };
  const dependencies: CopyDependencies = {
    clock: { now: () => new Date(0), monotonicMs: () => 0, sleep: async (ms) => void seen.pausesMs.push(ms) },
    repositories: {
      open: async () => {
        seen.tries += 1;
        throw failure(seen.tries) ?? new AppError('copy_unsound');
      },
      openApart: unused,
      placeForCopy: unused,
    },
    store: {
      load: unused,
      all: () => [COPY],
      find: () => COPY,
      points: () => [],
      put: unused,
      putPoint: unused,
      removePoints: unused,
      forget: unused,
    },
    choose: () => ({ missing: [], leaving: [] }),
    doubt: () => null,
    isFree: () => true,
    pointChanged: unused,
    pointsLeft: unused,
    ended: async (_copy, problem) => void seen.told.push(problem ?? assert.fail('it did not succeed')),
  };
  const context: StepContext = {
    operationId: 'op-1',
    actor: 'nobody',
    signal,
    log: silentLogger,
    progress: () => undefined,
    charge: unused,
    remember: unused,
    rememberAtEnd: unused,
    recall: unused,
  };
  const step = copyOperation(dependencies)
    .steps(ORDER)
    .find(({ name }) => name === 'copy');
  assert.ok(step);
  const error = await step.act(context).then(unused, (reason: unknown) => reason);
  return { ...seen, error };
}

test('what may pass is tried again three times, told once, and not repeated by anybody else', async () => {
  for (const code of ['place_unreachable', 'place_stalled', 'place_failed', 'repository_unreachable']) {
    const { error, told, pausesMs, tries } = await copyWith(() => new AppError(code, { detail: 'away' }));
    assert.ok(error instanceof AppError);
    assert.deepEqual([tries, pausesMs, told], [4, [5_000, 20_000, 60_000], [error]], code);
    assert.notEqual(error.status, 503, 'the runner of operations repeats those');
    assert.equal(error.message, 'away');
  }
});

test('what does not pass by itself is told at once, also after something else passed', async () => {
  const { told, tries } = await copyWith((n) => (n === 1 ? new AppError('place_stalled') : null));
  assert.deepEqual([tries, told.map(({ code }) => code)], [2, ['copy_unsound']]);
});

test('who cancels is not told that it failed', async () => {
  const signal = AbortSignal.abort(new AppError('cancelled'));
  const { told, tries, error } = await copyWith(() => new AppError('place_stalled'), signal);
  assert.deepEqual([tries, told, error], [1, [], signal.reason]);
});
