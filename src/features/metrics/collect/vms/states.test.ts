import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS } from '#contract/metric-catalogue.ts';
import { vmStateSchema } from '#contract/vms.ts';
import { isRestart, jobOf, pauseReasonOf } from './states.ts';

test('every state of a VM has its number', () => {
  assert.deepEqual([...METRICS.vm_state.values], vmStateSchema.options);
});

test('why a VM is paused', () => {
  const paused = (stateReason: string | null, isOutOfSpace = false) =>
    pauseReasonOf({ state: 'paused', stateReason }, isOutOfSpace);
  assert.equal(pauseReasonOf({ state: 'running', stateReason: 'user' }, true), 'none');
  assert.equal(paused('user', true), 'user');
  assert.equal(paused('io_error'), 'io_error');
  assert.equal(paused('io_error', true), 'enospc');
  assert.equal(paused('post_copy'), 'migration');
  assert.equal(paused('starting_up'), 'other');
  assert.equal(paused(null), 'other');
});

test('what an operation does with a VM', () => {
  assert.equal(jobOf(null), 'none');
  assert.equal(jobOf('vm.start'), 'start');
  assert.equal(jobOf('vm.shutdown'), 'stop');
  assert.equal(jobOf('backup.run'), 'backup');
  assert.equal(jobOf('snapshot.create'), 'snapshot');
  assert.equal(jobOf('vm.edit'), 'edit');
  assert.equal(jobOf('something.new'), 'edit');
});

test('a restart that was asked for is told from one of the guest', () => {
  assert.deepEqual(['vm.reboot', 'vm.reset', 'vm.edit', null].map(isRestart), [true, true, false, false]);
});
