import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { definitionOf, type EntityKind, type MetricName } from '#contract/metric-catalogue.ts';
import { checkRule } from '#contract/rules/rule.ts';
import { compileRule, evaluateRule } from '#features/alerts/expressions/evaluate.ts';
import { FakeView } from '#features/alerts/expressions/fake-view.ts';
import { nameOfEntity, referenceOutcomes } from './rule-reference.ts';

const VMS = ['a', 'b', 'db1', 'db2'] as const;
const HOSTS = ['h1', 'h2'] as const;

/** Metrics of every kind of dimension, of hosts, VMs and their disks. */
const NUMBERS: readonly (readonly [MetricName, string])[] = [
  ['cpu_usage', '50%'],
  ['mem_usage', '40%'],
  ['cpu_steal', '20%'],
  ['load15_per_core', '2'],
  ['disk_latency', '500 ms'],
  ['snapshot_chain', '2'],
  ['vm_agent_up', '1'],
];

const selector = fc.constantFrom(
  '',
  '',
  '',
  '{vm=a}',
  '{vm!=a}',
  '{vm=~"d*"}',
  '{tag=t}',
  '{tag!=t}',
  '{kind=vm}',
  '{host=h1}',
  '{kind=host}',
);
const relation = fc.constantFrom('>', '>=', '<', '<=', '==', '!=');
const numeric = fc.constantFrom(...NUMBERS);
const comparison = fc.oneof(
  fc.tuple(numeric, selector, relation).map(([[metric, limit], braces, op]) => `${metric}${braces} ${op} ${limit}`),
  fc
    .tuple(fc.constantFrom('avg', 'min', 'max'), selector, relation, fc.constantFrom('cpu_usage', 'mem_usage'))
    .map(([name, braces, op, metric]) => `${name}(${metric}${braces}, 40s) ${op} 50%`),
  fc.tuple(fc.constantFrom('increase', 'changes'), relation).map(([name, op]) => `${name}(vm_crash_total, 1m) ${op} 1`),
  fc
    .tuple(fc.constantFrom('running', 'off', 'crashed'), fc.constantFrom('==', '!='))
    .map(([name, op]) => `vm_state ${op} ${name}`),
  fc.constantFrom(
    'vm_state != vm_state_desired',
    'vm_job == backup',
    'rate(oom_kill_total, 1m) > 0',
    'cpu_usage + mem_usage > 1',
    'mem_usage / cpu_usage > 1',
    'cpu_usage * 2 < mem_usage',
  ),
);
const condition = fc.letrec<{ test: string }>((tie) => ({
  test: fc.oneof(
    { maxDepth: 3 },
    comparison,
    fc
      .tuple(tie('test'), fc.constantFrom('and', 'or', 'unless'), tie('test'))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie('test').map((inner) => `not (${inner})`),
  ),
})).test;

interface Samples {
  readonly metric: MetricName;
  readonly kind: EntityKind;
  readonly owner: string;
  readonly sub: string;
  readonly ages: readonly number[];
  readonly values: readonly number[];
}

const READ: readonly MetricName[] = [
  ...NUMBERS.map(([metric]) => metric),
  'vm_crash_total',
  'vm_state',
  'vm_state_desired',
  'vm_job',
  'oom_kill_total',
];

const samples: fc.Arbitrary<Samples> = fc.constantFrom(...READ).chain((metric) => {
  const { dimension, kinds, values } = definitionOf(metric);
  const value =
    values !== undefined
      ? fc.nat({ max: Math.min(5, values.length - 1) })
      : dimension === 'ratio' || dimension === 'seconds'
        ? fc.constantFrom(0, 0.2, 0.4, 0.5, 0.9)
        : fc.nat({ max: 3 });
  return fc.constantFrom(...kinds).chain((kind) =>
    fc.record({
      metric: fc.constant(metric),
      kind: fc.constant(kind),
      owner: fc.constantFrom(...(kind === 'host' || kind === 'disk' ? HOSTS : VMS)),
      sub: fc.constantFrom(...(kind === 'vdisk' || kind === 'disk' ? ['vda', 'vdb'] : [''])),
      // Gaps, and figures that are too old.
      ages: fc.subarray([50, 40, 30, 20, 10, 0], { minLength: 1 }),
      values: fc.array(value, { minLength: 6, maxLength: 6 }),
    }),
  );
});

function viewOf(all: readonly Samples[]): FakeView {
  const view = new FakeView().host('h1').host('h2');
  for (const vm of VMS) view.vm(vm, { host: vm === 'b' ? 'h2' : 'h1', tags: vm === 'a' ? 't,u' : '' });
  const taken = new Set<string>();
  for (const { metric, kind, owner, sub, ages, values } of all) {
    const key = `${metric} ${kind} ${owner} ${sub}`;
    if (taken.has(key)) continue;
    taken.add(key);
    for (const [n, age] of ages.entries()) view.put(metric, kind, owner, values[n] ?? 0, age * 1000, sub);
  }
  return view;
}

test('every rule over any samples means what the slow and plain reading of it says', (context) => {
  let judged = 0;
  let rules = 0;
  const seen = { true: 0, false: 0, null: 0 };
  fc.assert(
    fc.property(condition, fc.array(samples, { maxLength: 40 }), fc.boolean(), (text, all, desiredOnly) => {
      const { rule } = checkRule(text, { desiredOnly });
      // Not all metrics can be joined.
      if (rule === null) return;
      rules += 1;
      const view = viewOf(all);
      const found = evaluateRule(compileRule(rule), view);
      const expected = referenceOutcomes(rule, view);
      judged += expected.size;
      for (const truth of expected.values()) seen[`${truth}`] += 1;
      assert.deepEqual(new Map(found.map((one) => [nameOfEntity(one), one.truth])), new Map(expected), text);
      for (const { truth, isClear } of found)
        assert.ok(truth !== true || isClear === false, `${text} fires and clears`);
    }),
    { numRuns: 3000 },
  );
  assert.ok(rules > 500, `${rules} rules could be judged`);
  assert.ok(
    Object.values(seen).every((times) => times > 100),
    JSON.stringify(seen),
  );
  context.diagnostic(`count: ${rules} rules, ${judged} outcomes: ${JSON.stringify(seen)}`);
});
