import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fakeVm } from '#contract/fake-vm.ts';
import type { Permission } from '#contract/permissions.ts';
import type { ObjectRef } from '#platform/feature.ts';
import { fakeMachine, HOST, vmOwner } from '../store/fake-machine.ts';
import { createReader } from './read.ts';
import { createMetricRoutes } from './routes.ts';

const VMS = 8;
const PROJECTS = ['shop', 'lab', 'default'];

test('what somebody sees of figures is what the administrator sees, without what he may not', async () => {
  using machine = await fakeMachine();
  const owners = Array.from({ length: VMS }, (_, n) => vmOwner(n));
  for (let n = 0; n < 400; n += 1)
    await machine.tick([
      { owner: HOST, kind: 'host', metric: 'cpu_usage', value: 0.4 },
      { owner: HOST, kind: 'fs', sub: '/', metric: 'disk_used', value: 1e9 + n },
      ...owners.map((owner, at) => ({ owner, kind: 'vm' as const, metric: 'cpu_usage' as const, value: at / 10 })),
    ]);
  // The last two are gone: nobody knows whose they were.
  const vms = owners.slice(0, VMS - 2).map(({ id }, n) => fakeVm(`vm${n % 4}`, { id, project: PROJECTS[n % 3] ?? '' }));
  const handlers = createMetricRoutes({
    history: machine.history,
    clock: machine.clock,
    known: {
      vm: (id) => vms.find((vm) => vm.id === id) ?? null,
      named: (name) => vms.filter((vm) => vm.name === name),
      project: (id) => (PROJECTS.includes(id) ? { id } : null),
    },
    hostId: HOST.id,
    namesOf: (owner) => ({ name: owner.id, project: null }),
    read: createReader(machine.history),
    ...machine.memory,
  });
  type May = (permission: Permission, object: ObjectRef) => boolean;
  const ask = async (may: May) => {
    // The handlers look at nothing else of a request.
    const request = (query: object) => ({ query, may, signal: new AbortController().signal }) as never;
    const span = { from: '2h', to: '0s', points: 20 };
    const latest = await handlers['GET /metrics/latest']?.(request({}));
    const range = await handlers['GET /metrics/range']?.(request({ ...span, metric: 'cpu_usage,disk_used' }));
    const overview = await handlers['GET /metrics/overview']?.(request({ ...span, metric: 'cpu_usage' }));
    const top = await handlers['GET /metrics/top']?.(request({ metric: 'cpu_usage', limit: 100 }));
    const capacity = await handlers['GET /metrics/capacity']?.(request({}));
    return { latest, range, overview, top, capacity } as unknown as Record<string, { items?: Item[]; series?: Item[] }>;
  };
  interface Item {
    readonly owner: string;
    readonly id: string;
  }
  const all = await ask(() => true);
  assert.equal(all['latest']?.items?.length, VMS + 2);
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(PROJECTS),
      fc.subarray(vms.map(({ id }) => id)),
      fc.subarray(['metrics.read', 'vm.read', 'host.read'] as const),
      async (projects, single, system) => {
        const may: May = (permission, object) => {
          if (system.some((each) => each === permission)) return true;
          if (object.type !== 'vm' || permission === 'host.read') return false;
          return projects.includes(object.project ?? '') || single.includes(object.id);
        };
        const holds = (permission: Permission) => system.some((each) => each === permission);
        const sees = ({ owner, id }: Item): boolean => {
          if (owner === 'host') return holds('metrics.read') && holds('host.read');
          const vm = vms.find((each) => each.id === id);
          if (vm === undefined) return holds('metrics.read') && holds('host.read') && holds('vm.read');
          const isHis = projects.includes(vm.project) || single.includes(vm.id);
          return (isHis || holds('metrics.read')) && (isHis || holds('vm.read'));
        };
        const his = await ask(may);
        for (const [name, { items, series }] of Object.entries(all)) {
          assert.deepEqual(his[name]?.items, items?.filter(sees), name);
          assert.deepEqual(his[name]?.series, series?.filter(sees), name);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a VM that one may not see is answered like one that is not there', async () => {
  using machine = await fakeMachine();
  await machine.tick([{ owner: vmOwner(1), kind: 'vm', metric: 'cpu_usage', value: 0.5 }]);
  const vm = fakeVm('secret', { id: vmOwner(1).id, project: 'lab' });
  const handlers = createMetricRoutes({
    history: machine.history,
    clock: machine.clock,
    known: {
      vm: (id) => (id === vm.id ? vm : null),
      named: (name) => (name === vm.name ? [vm] : []),
      project: () => null,
    },
    hostId: HOST.id,
    namesOf: (owner) => ({ name: owner.id, project: null }),
    read: createReader(machine.history),
    ...machine.memory,
  });
  const problemOf = async (entity: string) => {
    const query = { metric: 'cpu_usage', entity, from: '1h', to: '0s', points: 10 };
    const request = { query, may: () => false, signal: new AbortController().signal } as never;
    return await Promise.resolve(handlers['GET /metrics/range']?.(request)).then(
      () => 'answered',
      (error: Error & { code: string }) => `${error.code} ${error.message.replace(entity.slice(3), 'X')}`,
    );
  };
  const missing = await problemOf('vm:nothing');
  assert.match(missing, /^not_found/);
  for (const entity of ['vm:secret', `vm:${vm.id}`]) assert.equal(await problemOf(entity), missing);
});
