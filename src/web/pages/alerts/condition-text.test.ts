import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRule } from '#contract/rules/rule.ts';
import { mended, pieces } from './condition-text.ts';

test('the pieces are the text, and mistakes are marked where they are', () => {
  const text = 'cpu_usge > 90';
  const { errors } = checkRule(text);
  const parts = pieces(text, errors, []);
  assert.equal(parts.map((part) => part.text).join(''), text);
  assert.deepEqual(
    parts.filter(({ mark }) => mark === 'error').map((part) => part.text),
    ['cpu_usge'],
  );
});

test('what is missing at the end marks the last character; an empty text has no pieces', () => {
  const text = 'cpu_usage >';
  assert.deepEqual(pieces(text, checkRule(text).errors, []).at(-1), { text: '>', mark: 'error' });
  assert.deepEqual(pieces('', checkRule('').errors, []), []);
});

test('each suggestion mends its mistake', () => {
  const texts = [
    'cpu_usge > 90%',
    'cpu_usage > 90',
    'cpu_usage > 90%for 5m',
    'vm_state = running',
    'vm_state != runing',
    'avg(cpu_usage) > 90%',
    'cpu_usage > 90% for 8d',
  ];
  for (const text of texts) {
    const [error] = checkRule(text).errors;
    assert.ok(error?.suggestion, text);
    const after = mended(text, error);
    assert.deepEqual(checkRule(after.text).errors, [], `${text} -> ${after.text}`);
    assert.ok(after.cursor <= after.text.length);
  }
});
