/** The figures of this moment, as rules see them. */

import type { Vm } from '#contract/vms.ts';
import type { Figures, Series, Tick } from '../figures.ts';
import type { Labels, SampleView, SeriesEntity } from '../rule-language.ts';

interface Dependencies {
  readonly figures: Figures;
  readonly vms: () => readonly Vm[];
  /** What the value of a series will be; null when nobody can say. */
  readonly forecast: (series: number, horizonMs: number) => number | null;
}

type Existing = { readonly entity: SeriesEntity; readonly labels: Labels; readonly sinceMs: number };

export function createLiveView({ figures, vms, forecast }: Dependencies): (tick: Tick) => SampleView {
  const seen = (series: Series) => ({
    series: series.id,
    entity: { owner: series.owner, kind: series.kind, sub: series.sub },
    labels: figures.labelsOf(series),
  });

  const existingVms = (): Existing[] =>
    vms().map(({ id, createdAt }) => {
      const entity = { owner: { type: 'vm' as const, id }, kind: 'vm' as const, sub: '' };
      return {
        entity,
        labels: figures.labelsOf({ ...entity, metric: 'vm_state' }),
        sinceMs: createdAt === null ? 0 : Date.parse(createdAt),
      };
    });
  const existingHosts = (): Existing[] =>
    figures
      .seriesOf('libvirt_up')
      .map(({ owner }) => ({ owner, kind: 'host' as const, sub: '' }))
      .map((entity) => ({ entity, labels: figures.labelsOf({ ...entity, metric: 'libvirt_up' }), sinceMs: 0 }));

  return (tick) => ({
    nowMs: tick.atMs,
    entities: (metric) => figures.seriesOf(metric).map(seen),
    latest: figures.latest,
    periodMs: figures.periodMs,
    window: figures.window,
    existing: (kind) => (kind === 'vm' ? existingVms() : kind === 'host' ? existingHosts() : []),
    forecast,
  });
}
