import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseForCopy, type SourcePoint } from './choose.ts';
import type { CopiedPoint } from './copy-store.ts';

const DAY_MS = 86_400_000;
const NONE = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
const nowMs = Date.parse('2026-03-01T12:00:00Z');

/** One a day, the first the oldest. */
const days = (kind: SourcePoint['kind'], vmId: string, count: number): SourcePoint[] =>
  Array.from({ length: count }, (_, n) => ({
    ...{ id: `${vmId}-${n}`, kind, vmId, seq: n + 1, isGood: true },
    pointInTime: new Date(nowMs - (count - n) * DAY_MS).toISOString(),
  }));
const copied = ({ id, kind, vmId, seq, pointInTime }: SourcePoint): CopiedPoint => ({
  ...{ point_id: id, kind, vm_id: vmId, seq, point_in_time: pointInTime, is_good: 1, is_locked: 0 },
});
const choose = (
  source: readonly SourcePoint[],
  there: readonly SourcePoint[],
  copy: Partial<Parameters<typeof chooseForCopy>[0]['copy']> = {},
) => {
  const { missing, leaving } = chooseForCopy({
    copy: { retention: null, timeZone: 'UTC', takesStates: true, ...copy },
    stateRetention: { ...NONE, daily: 3 },
    source,
    there: there.map(copied),
    isProtected: () => false,
    nowMs,
  });
  return { missing: missing.map(({ id }) => id), leaving };
};

test('states stay as they do in repositories, also where every restore point stays', () => {
  const [vms, states] = [days('vm', 'vm', 5), days('state', 'host', 5)];
  assert.deepEqual(choose([...vms, ...states], []), {
    missing: ['vm-0', 'vm-1', 'vm-2', 'vm-3', 'vm-4', 'host-2', 'host-3', 'host-4'],
    leaving: [],
  });
  assert.deepEqual(choose([...vms, ...states], [...vms, ...states.slice(0, 4)]), {
    missing: ['host-4'],
    leaving: ['host-0', 'host-1'],
  });
});

test('what the copy keeps of VMs says nothing of states, and each host has its own', () => {
  const all = [...days('vm', 'vm', 5), ...days('state', 'host', 2), ...days('state', 'other', 2)];
  assert.deepEqual(choose(all, [], { retention: { ...NONE, last: 1 } }), {
    missing: ['vm-4', 'host-0', 'host-1', 'other-0', 'other-1'],
    leaving: [],
  });
});

test('without states none is taken, and the newest that is there stays', () => {
  const states = days('state', 'host', 5);
  assert.deepEqual(choose(states, states.slice(0, 4), { takesStates: false }), { missing: [], leaving: ['host-0'] });
});

test('a state that is damaged is not taken, and crowds out none', () => {
  const states = days('state', 'host', 4).map((each, n) => (n === 3 ? { ...each, isGood: false } : each));
  assert.deepEqual(choose(states, []).missing, ['host-0', 'host-1', 'host-2']);
});
