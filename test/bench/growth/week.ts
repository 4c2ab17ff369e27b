/** The process whose memory is measured: a large host whose alerts come and go. Prints a line for each day: bytes that are in use. */

import { METRICS } from '#contract/metric-catalogue.ts';
import { loadOf } from '../metrics/load.ts';
import { openLiveHouse } from '../rules/live.ts';

const TICKS_PER_HOUR = 360;
const TICKS_PER_DAY = 24 * TICKS_PER_HOUR;
const DAYS = 7;
const VMS = 200;
const SERIES_OF_VM = 24;
const CRASHED = METRICS.vm_state.values.indexOf('crashed');
/** So many VMs lie there crashed in the first half of each hour, other ones in each hour; as many others are too busy. */
const TROUBLED_VMS = 3;
/** Longer than the rules below wait. */
const TROUBLE_TICKS = 180;

const all = loadOf(VMS, 1, 'calm');
const perVm = all.length / VMS;
const series = all
  .map((each, n) => ({ ...each, vm: Math.floor(n / perVm) }))
  .filter((_, n) => n % perVm < SERIES_OF_VM);
const vmIds = [...new Set(series.map(({ owner }) => owner.id))];
await using house = await openLiveHouse({
  vmIds,
  rules: [
    { name: 'busy', condition: 'avg(cpu_usage{kind=vm}, 5m) > 97%' },
    { name: 'stolen', condition: 'cpu_steal > 50% unless vm_job == backup' },
  ],
  hasDefaults: true,
});

const usedBytes = () => {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

for (let tick = 1; tick <= DAYS * TICKS_PER_DAY; tick += 1) {
  const hour = Math.floor(tick / TICKS_PER_HOUR);
  const isTrouble = tick % TICKS_PER_HOUR < TROUBLE_TICKS;
  /** 0 to 2 of those that are troubled in this hour, else less or more. */
  const placeOf = (vm: number) => (vm + VMS - ((hour * 2 * TROUBLED_VMS) % VMS)) % VMS;
  await house.tick((sink) => {
    sink.put({ type: 'host', id: 'host1' }, 'host', '', 'libvirt_up', 1);
    for (const { vm, owner, kind, sub, metric, next } of series) {
      const value = next();
      const place = isTrouble ? placeOf(vm) : VMS;
      const isDown = place < TROUBLED_VMS && metric === 'vm_state';
      const isBusy = place >= TROUBLED_VMS && place < 2 * TROUBLED_VMS && metric.startsWith('cpu_');
      sink.put(owner, kind, sub, metric, isDown ? CRASHED : isBusy ? 1 : value);
    }
  });
  if (tick % TICKS_PER_DAY === 0)
    process.stdout.write(`${JSON.stringify({ usedBytes: usedBytes(), tick, changes: house.changes })}\n`);
}
