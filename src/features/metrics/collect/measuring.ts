/** What every reader needs: the shape of samples, and the time from tick to tick. */

import { TICK_SECONDS } from '../sample.ts';

export type { Collector, Owner, SampleSink } from '../sample.ts';

export const TICK_MS = TICK_SECONDS * 1000;
