/** What a tick of alert rules costs: 50 rules over 200 VMs, beside a plain interpretation of the same rules and beside Prometheus. */

import assert from 'node:assert/strict';
import { checkRule } from '#contract/rules/rule.ts';
import { compileRule, evaluateRules } from '#features/alerts/expressions/evaluate.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { referenceOutcomes } from '../support/rule-reference.ts';
import { houseView, RULES, VMS } from './rules/house.ts';
import { measurePrometheus } from './rules/prometheus.ts';

const TICKS = 60;
const WARM_UP = 20;
const PLAIN_TICKS = 1;

/** Takes about a minute, most of it Prometheus. */
export async function run(): Promise<Measurement[]> {
  const view = houseView();
  const rules = RULES.map(([text]) => {
    const { rule, errors } = checkRule(text);
    assert.ok(rule, `${text}: ${JSON.stringify(errors)}`);
    return rule;
  });
  const compiled = rules.map(compileRule);
  const outcomes = evaluateRules(compiled, view).reduce((sum, all) => sum + all.length, 0);
  assert.ok(outcomes > 40 * VMS, `${outcomes} outcomes`);
  const ours = cpuMs(TICKS, WARM_UP, () => evaluateRules(compiled, view));
  const plain = cpuMs(PLAIN_TICKS, 0, () => {
    for (const rule of rules) referenceOutcomes(rule, view);
  });
  assert.ok(plain / ours > 10, `compiled rules cost ${ours} ms, a plain reading of them ${plain} ms`);
  const prometheus = await measurePrometheus();
  return [
    {
      name: '50 rules over 200 VMs: CPU a tick | plain interpretation',
      ours,
      rival: plain,
      ratio: ours / plain,
      bar: '≤ 0.1×, ≤ 20 ms',
      unit: 'ms',
    },
    {
      name: '50 rules over 200 VMs: CPU a tick | Prometheus, wall time of the rule group',
      ours,
      rival: prometheus,
      ratio: prometheus === null ? null : ours / prometheus,
      bar: '≤ 1×',
      unit: 'ms',
    },
  ];
}

/** Median CPU time of one call, milliseconds. */
function cpuMs(times: number, warmUp: number, work: () => unknown): number {
  for (let n = 0; n < warmUp; n += 1) work();
  const costs = Array.from({ length: times }, () => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return costs.sort((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
}
