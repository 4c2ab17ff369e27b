import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { createProveDue, type StartProof } from './start-proof.ts';

const NOW = new Date('2026-06-15T12:00:00Z');
const vms = ['a', 'b', 'c', 'd'].map((name) => ({ id: `vm-${name}`, name, project: 'default' }));

test('when all are due at once only some begin, the longest waiting first, and who is refused takes nobody’s place', async () => {
  const begun = new Set<string>();
  const startProof = async (vm: Parameters<StartProof>[0]) => {
    if (vm.name === 'a') throw new AppError('busy');
    begun.add(vm.id);
    return { id: `op-${vm.name}` };
  };
  const newest = async () =>
    [...begun].map((id) => ({ vm_id: id, finished_at: NOW.toISOString(), reason: 'proven' as const }));
  const look = createProveDue(startProof, { store: { newest }, now: () => NOW });
  const options = { everyMs: 7 * 86_400_000, action: 'weekly proof', atMost: 1 };
  const rounds = [await look(vms, options), await look(vms, options), await look(vms, options)];
  assert.deepEqual(
    rounds.map(({ started, later }) => [started.map(({ vmId }) => vmId), later]),
    [
      [['vm-b'], ['vm-c', 'vm-d']],
      [['vm-c'], ['vm-d']],
      [['vm-d'], []],
    ],
  );
  assert.deepEqual(
    rounds[0]?.refused.map(({ vmId }) => vmId),
    ['vm-a'],
  );
  const { started, notDue } = await look(vms, { ...options, atMost: 10 });
  assert.deepEqual([started, notDue], [[], ['vm-b', 'vm-c', 'vm-d']]);
});
