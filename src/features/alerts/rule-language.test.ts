import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileRule } from './rule-language.ts';

const textOf = (condition: string, value: number): string => {
  const { rule } = compileRule({ condition, clear: null, desiredOnly: true });
  assert.ok(rule, condition);
  return rule.valueText(value);
};

test('a value is told in the unit of its figure, and not at all where it can only be 0 or 1', () => {
  assert.equal(textOf('cpu_usage > 90% for 5m', 0.972), '97.2 %');
  assert.equal(textOf('vm_monitor_stuck > 30s', 45), '45 s');
  assert.equal(textOf('count(libvirt_up == 0) > 1', 2), '2');
  assert.equal(textOf('libvirt_up == 0 for 1m', 0), '');
});
