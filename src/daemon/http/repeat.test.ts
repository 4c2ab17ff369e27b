import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operationErrors } from '#contract/operations.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { createRepeatedAnswers } from './repeat.ts';

registerErrors(operationErrors);

test('the same key runs the work once, also when sent twice at the same moment, and again after ten minutes', async () => {
  const clock = new TestClock();
  const answers = createRepeatedAnswers(clock);
  let runs = 0;
  const work = async () => {
    runs += 1;
    return runs;
  };
  assert.deepEqual(await Promise.all([answers.once('a', 'k', 'h', work), answers.once('a', 'k', 'h', work)]), [1, 1]);
  assert.equal(await answers.once('b', 'k', 'h', work), 2);
  await clock.advance(600_001);
  assert.equal(await answers.once('a', 'k', 'h', work), 3);
});

test('another request under a used key is refused; a failed one may be tried again', async () => {
  const answers = createRepeatedAnswers(new TestClock());
  await answers.once('a', 'k', 'h1', async () => 1);
  assert.throws(
    () => answers.once('a', 'k', 'h2', async () => 2),
    (error: unknown) => error instanceof AppError && error.code === 'idempotency_key_reused',
  );
  await assert.rejects(answers.once('a', 'f', 'h', () => Promise.reject(new Error('no'))));
  assert.equal(await answers.once('a', 'f', 'h', async () => 'now'), 'now');
});
