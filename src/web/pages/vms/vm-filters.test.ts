/** The list must show what its address says, in an order that does not depend on chance. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import type { Vm } from '#contract/vms.ts';
import { applyFilter, holdOrder, readFilter, tagsOf } from './vm-filters.ts';

const vm = (name: string, part: Partial<Vm> = {}) =>
  fakeVm(name, { id: `id-${name}`, state: 'running', desired: 'running', accel: 'kvm', ...part });

const names = (list: readonly Vm[]) => list.map(({ name }) => name);
const list = [vm('web10'), vm('web2', { state: 'off' }), vm('db1', { description: 'Holds the SHOP', accel: 'tcg' })];
const show = (query: string) => names(applyFilter(list, readFilter(new URLSearchParams(query))));

test('names are sorted as people count', () => {
  assert.deepEqual(show(''), ['db1', 'web2', 'web10']);
  assert.deepEqual(show('sort=-name'), ['web10', 'web2', 'db1']);
});

test('every word must be found, in name or description, whatever its case', () => {
  assert.deepEqual(show('q=shop'), ['db1']);
  assert.deepEqual(show('q=WEB+2'), ['web2']);
  assert.deepEqual(show('q=web+shop'), []);
});

test('states and kinds can be chosen; what an address says wrongly is left out', () => {
  assert.deepEqual(show('state=off,nonsense'), ['web2']);
  assert.deepEqual(show('only=tcg'), ['db1']);
  assert.deepEqual(show('only=nonsense&sort=nonsense'), ['db1', 'web2', 'web10']);
});

test('one project alone can be shown', () => {
  const two = [vm('web'), vm('shop-web', { project: 'prj-1' })];
  const inProject = (query: string) => names(applyFilter(two, readFilter(new URLSearchParams(query))));
  assert.deepEqual(inProject('project=prj-1'), ['shop-web']);
  assert.deepEqual(inProject('project='), ['shop-web', 'web']);
});

test('VMs with all of the chosen tags are shown; tags are searched too, and counted', () => {
  const tagged = [vm('web', { tags: ['prod', 'shop'] }), vm('db', { tags: ['prod'] }), vm('lab')];
  const shown = (query: string) => names(applyFilter(tagged, readFilter(new URLSearchParams(query))));
  assert.deepEqual(shown('tag=prod'), ['db', 'web']);
  assert.deepEqual(shown('tag=prod,shop'), ['web']);
  assert.deepEqual(shown('tag='), ['db', 'lab', 'web']);
  assert.deepEqual(shown('q=shop'), ['web']);
  assert.deepEqual(tagsOf(tagged), [
    ['prod', 2],
    ['shop', 1],
  ]);
});

test('a held order keeps its rows in place, puts new ones last and drops removed ones', () => {
  const shown = ['id-web10', 'id-gone', 'id-web2'];
  assert.deepEqual(names(holdOrder(shown, applyFilter(list, readFilter(new URLSearchParams())))), [
    'web10',
    'web2',
    'db1',
  ]);
});
