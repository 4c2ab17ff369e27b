import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { alertRuleSpecSchema } from '#contract/alert-rule-spec.ts';
import { definitionOf } from '#contract/metric-catalogue.ts';
import { checkRule as checkSource } from '#contract/rules/rule.ts';
import { compileRule, evaluateRule } from '../expressions/evaluate.ts';
import { FakeView } from '../expressions/fake-view.ts';
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

test('three proofs in a row that showed nothing, and a restore point without its second copy for a day, are told', () => {
  const truth = (name: string, put: (view: FakeView) => FakeView) => {
    const rule = checkSource(DEFAULT_RULES.find((spec) => spec.name === name)?.condition ?? '', { desiredOnly: true });
    assert.ok(rule.rule, name);
    return evaluateRule(compileRule(rule.rule), put(new FakeView().host('h1').vm('web'))).map((one) => one.truth);
  };
  const proofs = (count: number) => (view: FakeView) => view.put('backup_proofs_unsure', 'vm', 'web', count);
  assert.deepEqual(
    [2, 3, 4].map((count) => truth('backup_proof_unsure', proofs(count))),
    [[false], [true], [true]],
  );
  const wait = (hours: number) => (view: FakeView) => view.put('backup_copy_wait', 'host', 'h1', hours * 3600);
  assert.deepEqual(
    [0, 23, 25].map((hours) => truth('backup_copy_late', wait(hours))),
    [[false], [false], [true]],
  );
});

/** Read by rules that come with the program before there is somebody who measures them. */
const AWAITED = /^(backup_.*|dirty_rate)$/;
/** Measured less often than the catalogue says where things are at their slowest: SMART, and QEMUs of a host with many VMs. */
const SMART_PERIOD_MS = 1_800_000;
const OF_SMART: readonly string[] = ['smart_state', 'wear', 'temperature'];
const MONITOR_PERIOD_MS = 60_000;

test('every figure that a rule reads is measured by somebody, or awaited', async () => {
  const root = join(import.meta.dirname, '../..');
  const files = (await readdir(root, { recursive: true })).filter(
    (name) =>
      name.endsWith('.ts') && !name.includes('test') && (!name.startsWith('alerts/') || name.endsWith('-collector.ts')),
  );
  const sources = (await Promise.all(files.map((name) => readFile(join(root, name), 'utf8')))).join('\n');
  const read = new Set(DEFAULT_RULES.flatMap((spec) => checkRule(spec).metrics));
  const unmeasured = [...read].filter((metric) => !AWAITED.test(metric) && !sources.includes(`'${metric}'`));
  assert.deepEqual(unmeasured, []);
});

test('every window of a rule holds two samples though they come as seldom as they ever do', () => {
  const tooShort = DEFAULT_RULES.filter((spec) => {
    const { compiled } = checkRule(spec);
    if (compiled === null || compiled.windowMs === 0) return false;
    const periods = compiled.requires
      .map((metric) => ({ metric, periodMs: definitionOf(metric).periodSeconds * 1000 }))
      // What is written when it changes needs no second sample.
      .filter(({ periodMs }) => periodMs > 0)
      .map(({ metric, periodMs }) =>
        Math.max(periodMs, OF_SMART.includes(metric) ? SMART_PERIOD_MS : MONITOR_PERIOD_MS),
      );
    return periods.some((periodMs) => compiled.windowMs < 2 * periodMs);
  });
  assert.deepEqual(
    tooShort.map(({ name, condition }) => `${name}: ${condition}`),
    [],
  );
});
