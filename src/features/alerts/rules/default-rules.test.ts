import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alertRuleSpecSchema } from '#contract/alert-rule-spec.ts';
import { DEFAULT_RULES } from './default-rules.ts';
import { checkRule } from './registry.ts';

test('every rule that comes with the program holds together and says what to do', () => {
  const wrong = DEFAULT_RULES.flatMap((spec) =>
    checkRule(spec).problems.map(({ column, message }) => `${spec.name}: ${spec.condition} ${column}: ${message}`),
  );
  assert.deepEqual(wrong, []);
  for (const spec of DEFAULT_RULES) {
    assert.deepEqual(alertRuleSpecSchema.parse(spec), spec);
    assert.ok((spec.description ?? '').length > 10, spec.name);
  }
  assert.equal(new Set(DEFAULT_RULES.map(({ name }) => name)).size, DEFAULT_RULES.length);
});
