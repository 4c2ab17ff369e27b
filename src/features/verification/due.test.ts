import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dueVms } from './due.ts';

const DAY = 86_400_000;
const now = new Date('2026-03-10T00:00:00Z');
const vm = (name: string) => ({ id: name, name, project: 'default' });
const proof = (vmId: string, daysAgo: number, reason: 'proven' | 'cancelled' | 'kernel_panic' = 'proven') => ({
  vm_id: vmId,
  finished_at: new Date(now.getTime() - daysAgo * DAY).toISOString(),
  reason,
});

test('never proven first, then the oldest; a failed proof counts, a cancelled one does not', () => {
  const vms = ['young', 'old', 'older', 'never', 'failed', 'cancelled'].map(vm);
  const newest = [
    proof('young', 2),
    proof('old', 8),
    proof('older', 30),
    proof('failed', 1, 'kernel_panic'),
    proof('cancelled', 1, 'cancelled'),
  ];
  const due = dueVms(vms, newest, { now, everyMs: 7 * DAY });
  assert.deepEqual(
    due.map(({ name }) => name),
    ['cancelled', 'never', 'older', 'old'],
  );
  assert.equal(dueVms(vms, newest, { now, everyMs: 0 }).length, vms.length);
  assert.deepEqual(dueVms([], newest, { now, everyMs: 0 }), []);
});
