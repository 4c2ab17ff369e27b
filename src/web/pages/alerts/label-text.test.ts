import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labelsText, parseLabels } from './label-text.ts';

test('labels are read as they are written, and written as they are read', () => {
  const labels = parseLabels(' team=shop,tier != 1 , vm=web-* ');
  assert.deepEqual(labels, [
    { label: 'team', value: 'shop', isNot: false },
    { label: 'tier', value: '1', isNot: true },
    { label: 'vm', value: 'web-*', isNot: false },
  ]);
  assert.deepEqual(parseLabels(labelsText(labels ?? [])), labels);
  assert.deepEqual(parseLabels(''), []);
});

test('what is not name=value is refused', () => {
  for (const text of ['team', '=shop', 'team=', '1team=x', 'a=b, c']) assert.equal(parseLabels(text), null, text);
});
