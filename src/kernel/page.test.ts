import assert from 'node:assert/strict';
import { test } from 'node:test';
import { page } from './page.ts';

const rows = (...ids: string[]) => ids.map((id) => ({ id }));
const take = (all: readonly { id: string }[], cursor?: string) => page(all, { limit: 2, cursor }, ({ id }) => id);

test('pages follow each other, also when the row between them is removed meanwhile', () => {
  const all = rows('a', 'b', 'c', 'd', 'e');
  const first = take(all);
  assert.deepEqual(first.items, ['a', 'b']);
  assert.deepEqual(take(all, first.next ?? '').items, ['c', 'd']);
  assert.deepEqual(take(rows('a', 'c', 'd', 'e'), first.next ?? '').items, ['c', 'd']);
  assert.deepEqual(take(rows('0', 'a', 'b', 'c', 'd', 'e'), first.next ?? '').items, ['c', 'd']);
  const last = take(all, '4.d');
  assert.deepEqual([last.items, last.next, last.total], [['e'], null, 5]);
});
