import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import { GIB } from '#kernel/units.ts';
import { createListAnswer, listVms } from './list.ts';

const all = [
  fakeVm('1', { memoryBytes: 3 * GIB, tags: ['db', 'prod'] }),
  fakeVm('2', { state: 'running', description: 'Mail <server>', tags: ['prod'] }),
  fakeVm('3', {
    memoryBytes: 2 * GIB,
    nics: [
      {
        mac: '52:54:00:00:00:07',
        model: null,
        sourceType: 'bridge',
        source: 'br0',
        linkUp: true,
        filter: null,
        bootOrder: null,
        device: null,
        addresses: [{ address: '10.0.0.9', prefix: 24, from: 'agent' }],
      },
    ],
  }),
];
const names = (query: Partial<Parameters<typeof listVms>[1]>) =>
  listVms(all, { limit: 1000, sort: 'name', ...query }).items.map((item) => item.name);

test('filters by text of any visible field and by state', () => {
  assert.deepEqual(names({ q: 'mail' }), ['2']);
  assert.deepEqual(names({ q: '10.0.0' }), ['3']);
  assert.deepEqual(names({ q: '00:07' }), ['3']);
  assert.deepEqual(names({ state: 'off' }), ['1', '3']);
  assert.deepEqual(names({ state: 'running,off', q: ' ' }), ['1', '2', '3']);
  assert.throws(() => names({ state: 'nosuch' }), { code: 'invalid_input' });
});

test('filters by tags, of which a VM must have all', () => {
  assert.deepEqual(names({ tag: 'prod' }), ['1', '2']);
  assert.deepEqual(names({ tag: 'prod,db' }), ['1']);
  assert.deepEqual(names({ tag: 'pro' }), []);
  assert.deepEqual(names({ q: 'pro' }), ['1', '2']);
});

test('sorts both ways', () => {
  assert.deepEqual(names({ sort: 'memory' }), ['2', '3', '1']);
  assert.deepEqual(names({ sort: '-memory' }), ['1', '3', '2']);
  assert.deepEqual(names({ sort: '-name' }), ['3', '2', '1']);
});

test('pages add up to the whole', () => {
  const first = listVms(all, { limit: 2, sort: 'name' });
  assert.equal(first.total, 3);
  const second = listVms(all, { limit: 2, sort: 'name', cursor: first.next ?? '' });
  assert.deepEqual([...first.items, ...second.items], all);
  assert.equal(second.next, null);
  assert.throws(() => listVms(all, { limit: 2, sort: 'name', cursor: '../x' }), { code: 'invalid_input' });
});

test('the usual question is answered with one text until the VMs change, any other one anew', () => {
  const answer = createListAnswer();
  const usual = { limit: 1000, sort: 'name' } as const;
  const first = answer(all, usual);
  assert.ok('jsonText' in first);
  assert.deepEqual(JSON.parse(first.jsonText.toString()), listVms(all, usual));
  const again = answer(all, { ...usual, q: '' });
  assert.ok('jsonText' in again && again.jsonText === first.jsonText);
  const changed = answer(all.slice(1), usual);
  assert.ok('jsonText' in changed && JSON.parse(changed.jsonText.toString()).total === all.length - 1);
  assert.deepEqual(answer(all, { ...usual, state: 'running' }), listVms(all, { ...usual, state: 'running' }));
  assert.deepEqual(answer(all, { ...usual, limit: 2 }), listVms(all, { ...usual, limit: 2 }));
});
