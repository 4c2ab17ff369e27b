/** Stands in for the slices that measure and that send, until they are connected in index.ts. */

import type { Figures } from './figures.ts';
import type { Announcer } from './notices.ts';

export const NO_FIGURES: Figures = {
  onTick: () => () => undefined,
  seriesOf: () => [],
  latest: () => null,
  window: () => ({ atMs: [], values: [] }),
  read: async () => ({ stepMs: 10_000, tier: 'raw', series: [] }),
  labelsOf: () => ({}),
};

export const NOBODY_TOLD: Announcer = {
  announce: async () => undefined,
  announceEvent: async () => undefined,
  acknowledge: async () => undefined,
};
