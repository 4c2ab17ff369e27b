import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { exampleOperation } from './fake-daemon.ts';
import { finishEach } from './follow.ts';
import { processOutput } from './output.ts';
import { problemOf, toFailure } from './problems.ts';

test('a daemon that stays away leaves every operation named, in words and in the JSON error', async ({ mock }) => {
  const said: string[] = [];
  const output = { ...processOutput(true, {}), messageWidth: null, message: (text: string) => void said.push(text) };
  let nowMs = 0;
  mock.method(performance, 'now', () => nowMs);
  mock.timers.enable({ apis: ['setTimeout'] });
  const api = async () => {
    nowMs += 40_000;
    if (nowMs === 40_000) setImmediate(() => mock.timers.tick(1000));
    throw new Failure('hyperd is not running', { exit: EXIT.unreachable, code: 'unreachable' });
  };
  const transport = {
    send: () => Promise.reject(new Error('unused')),
    webSocket: () => Promise.reject(new Error('unused')),
    host: null,
    isHere: async () => false,
  };
  const context = { api, transport, output, isDetached: false, env: {} };
  try {
    await finishEach(context, ['a', 'b'], async (name) => ({ ...exampleOperation, id: `op-${name}` }));
    assert.fail('it ended well');
  } catch (error) {
    const failure = toFailure(error);
    assert.equal(failure.exit, EXIT.unreachable);
    assert.match(failure.message, /not known how Start web-1 \(op-a\) ended/);
    assert.match(failure.hint ?? '', /`hv op follow op-a`/);
    assert.deepEqual(Object(problemOf(failure)).params, { operationId: 'op-a' });
  }
  for (const id of ['op-a', 'op-b'])
    assert.equal(said.filter((text) => text.includes(`\`hv op follow ${id}\``)).length, 1, id);
});
