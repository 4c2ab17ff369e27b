import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { type CheckDefinition, defineChecks, ok, runChecks, worstStatus } from './check.ts';
import { fakeContext } from './fake-machine.ts';

const options = () => ({ clock: new TestClock(), signal: new AbortController().signal });
const check = (id: string, run: CheckDefinition['run'], deadlineMs?: number): CheckDefinition => ({
  id,
  title: id,
  meaning: id,
  run,
  ...(deadlineMs === undefined ? {} : { deadlineMs }),
});

test('a check that throws is unknown and keeps the mend of its error', async () => {
  const [line] = await runChecks(
    [check('a.b', () => Promise.reject(new AppError('unavailable', { detail: 'gone', hint: 'do this' })))],
    fakeContext(),
    options(),
  );
  assert.equal(line?.status, 'unknown');
  assert.match(line?.detail ?? '', /gone/);
  assert.equal(line?.hint, 'do this');
});

test('a check that is late is unknown, and is told to stop', async () => {
  let isTold = false;
  const [line] = await runChecks(
    [
      check(
        'a.b',
        ({ signal }) =>
          new Promise(() => {
            signal.addEventListener('abort', () => {
              isTold = true;
            });
          }),
        10,
      ),
    ],
    fakeContext(),
    options(),
  );
  assert.equal(line?.status, 'unknown');
  assert.ok(isTold);
});

test('one bad check does not spoil the others, and the order is that of the list', async () => {
  const lines = await runChecks(
    [
      check('a.a', async () => ok('fine')),
      check('a.b', () => Promise.reject(new Error('x'))),
      check('a.c', async () => ok('fine')),
    ],
    fakeContext(),
    options(),
  );
  assert.deepEqual(
    lines.map(({ id, status }) => [id, status]),
    [
      ['a.a', 'ok'],
      ['a.b', 'unknown'],
      ['a.c', 'ok'],
    ],
  );
});

test('nothing checked is unknown, and the worst line decides otherwise', () => {
  assert.equal(worstStatus([]), 'unknown');
  assert.equal(worstStatus([{ status: 'ok' }]), 'ok');
  assert.equal(worstStatus([{ status: 'ok' }, { status: 'warn' }]), 'warn');
  assert.equal(worstStatus([{ status: 'warn' }, { status: 'unknown' }]), 'unknown');
  assert.equal(worstStatus([{ status: 'unknown' }, { status: 'fail' }, { status: 'ok' }]), 'fail');
});

test('two checks with one id, or an id that is not group.thing, are refused', () => {
  const one = check('a.b', async () => ok('fine'));
  assert.throws(() => defineChecks([[one], [one]]), /defined twice/);
  assert.throws(() => defineChecks([[check('alone', async () => ok('fine'))]]), /group\.thing/);
});
