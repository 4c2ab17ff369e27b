/** What a tick of alert rules costs: 50 rules over 200 VMs, and those that come with the program; beside a plain interpretation of the same rules and beside Prometheus.
 *  And what a thousand alerts cost on their way to people, beside Alertmanager. */

import assert from 'node:assert/strict';
import { checkRule } from '#contract/rules/rule.ts';
import { compileRule, evaluateRules } from '#features/alerts/expressions/evaluate.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { referenceOutcomes } from '../support/rule-reference.ts';
import { loadOf } from './metrics/load.ts';
import { houseView, METRICS_OF_VM, RULES, VMS, valueAt } from './rules/house.ts';
import { openLiveHouse } from './rules/live.ts';
import { measureMessages } from './rules/messages.ts';
import { measurePrometheus } from './rules/prometheus.ts';

const TICKS = 60;
const WARM_UP = 20;
const PLAIN_TICKS = 1;
/** Sixteen minutes: longer than most rules wait. */
const LIVE_WARM_UP = 100;
const LIVE_TICKS = 30;

/** Takes about two minutes, most of them Prometheus and Alertmanager. */
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
  const live = [await measureLive('our 50 rules'), await measureLive('the rules that come with the program')];
  const prometheus = await measurePrometheus();
  return [
    ...live,
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
    await measureMessages(),
  ];
}

/** The same through history, live engine and state machines, in moments at which no alert begins or ends. */
async function measureLive(which: 'our 50 rules' | 'the rules that come with the program'): Promise<Measurement> {
  const isOurs = which === 'our 50 rules';
  const vmIds = Array.from({ length: VMS }, (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`);
  await using house = await openLiveHouse({
    vmIds,
    rules: isOurs ? RULES.map(([condition], n) => ({ name: `rule${n}`, condition })) : [],
    hasDefaults: !isOurs,
  });
  const series = isOurs ? [] : loadOf(VMS, 1, 'calm');
  const costs: number[] = [];
  let changes = 0;
  // What stands still changes nothing: values are those of one moment, after a time in which windows fill and alerts begin.
  const still = Float64Array.from(series, (each) => each.next() ?? Number.NaN);
  for (let tick = 0; tick < LIVE_WARM_UP + LIVE_TICKS; tick += 1) {
    await house.tick(
      (sink) => {
        sink.put({ type: 'host', id: 'host1' }, 'host', '', 'libvirt_up', 1);
        for (const [n, { owner, kind, sub, metric }] of series.entries())
          sink.put(owner, kind, sub, metric, still[n] ?? Number.NaN);
        if (!isOurs) return;
        for (const [vm, id] of vmIds.entries())
          for (const metric of METRICS_OF_VM) sink.put({ type: 'vm', id }, 'vm', '', metric, valueAt(metric, vm, 0));
      },
      async (evaluate) => {
        const before = process.cpuUsage();
        await evaluate();
        const { user, system } = process.cpuUsage(before);
        if (tick >= LIVE_WARM_UP) costs.push((user + system) / 1000);
      },
    );
    if (tick === LIVE_WARM_UP - 1) changes = house.changes;
  }
  assert.equal(house.changes, changes, 'an alert began or ended while its evaluation was measured');
  return {
    name: `live engine, ${which} (${house.rules}) over ${VMS} VMs: CPU a tick`,
    ours: costs.sort((a, b) => a - b)[costs.length >> 1] ?? 0,
    rival: null,
    ratio: null,
    bar: '≤ 20',
    unit: 'ms',
  };
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
