/** The process whose memory is measured. Prints bytes that are in use after a day and after the week. */

import { METRICS } from '#contract/metric-catalogue.ts';
import { loadOf } from '../metrics/load.ts';
import { openLiveHouse } from '../rules/live.ts';

const TICKS_PER_DAY = 8640;
const DAYS = 7;
/** Fewer than a large host has: what stays behind by tick or by alert shows with few, and a week of 200 takes twenty minutes. */
const VMS = 20;
const SERIES_OF_VM = 24;
const CRASHED = METRICS.vm_state.values.indexOf('crashed');

const all = loadOf(VMS, 1, 'calm');
const perVm = all.length / VMS;
const series = all.filter((_, n) => n % perVm < SERIES_OF_VM);
const vmIds = [...new Set(series.map(({ owner }) => owner.id))];
await using house = await openLiveHouse({ vmIds, rules: [], hasDefaults: true });

const usedBytes = () => {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
let afterADay = 0;
for (let tick = 1; tick <= DAYS * TICKS_PER_DAY; tick += 1) {
  // At noon of each day one VM lies there crashed for an hour, so that alerts begin and end.
  const isDown = Math.floor((tick % TICKS_PER_DAY) / 360) === 12;
  await house.tick((sink) => {
    sink.put({ type: 'host', id: 'host1' }, 'host', '', 'libvirt_up', 1);
    for (const { owner, kind, sub, metric, next } of series)
      sink.put(owner, kind, sub, metric, isDown && owner.id === vmIds[0] && metric === 'vm_state' ? CRASHED : next());
  });
  if (tick === TICKS_PER_DAY) afterADay = usedBytes();
}
const result = { afterADay, afterAWeek: usedBytes(), ticks: DAYS * TICKS_PER_DAY, changes: house.changes };
process.stdout.write(JSON.stringify(result));
