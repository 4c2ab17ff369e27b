/** What every reader needs: the shape of samples, and the time from tick to tick. */

export { TICK_MS } from '#contract/metric-catalogue.ts';
export type { Collector, Owner, SampleSink } from '../sample.ts';
