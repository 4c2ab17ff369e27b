import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { createOpenLimit, MAX_OPEN_OF_USER } from './open-limit.ts';

registerErrors(accessErrors);

test('one user has so many open and no more, each gives its place back once, and root at the machine is never refused', () => {
  const limit = createOpenLimit();
  const ada = { userId: 'usr-ada', via: 'session' } as const;
  const isTooMany = (error: unknown) => error instanceof AppError && error.code === 'too_many_open';
  const gone = Array.from({ length: MAX_OPEN_OF_USER }, () => new AbortController());
  const forGood = new AbortController().signal;
  for (const { signal } of gone) limit.take(ada, signal);
  assert.throws(() => limit.take(ada, forGood), isTooMany);
  assert.throws(() => limit.take({ ...ada, via: 'token' }, forGood), isTooMany, 'also with a token of hers');
  limit.take({ userId: 'usr-bob', via: 'session' }, forGood);
  gone[0]?.abort();
  gone[0]?.abort();
  limit.take(ada, AbortSignal.abort());
  limit.take(ada, forGood);
  assert.throws(() => limit.take(ada, forGood), isTooMany);
  for (let n = 0; n < 2 * MAX_OPEN_OF_USER; n += 1) limit.take({ userId: 'local:admin', via: 'admin_socket' }, forGood);
});
