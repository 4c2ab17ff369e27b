/** A sink that keeps what it is given, for tests. */

import type { SampleSink } from './measuring.ts';

export interface RecordingSink extends SampleSink {
  /** Value by `metric` or `metric/sub`; of VMs with `id:` before it. A second sample of one series is a failure. */
  readonly values: ReadonlyMap<string, number>;
  /** What collectors said of how often it is measured, by the same names. */
  readonly periodsMs: ReadonlyMap<string, number>;
  clear(): void;
}

export function createRecordingSink(): RecordingSink {
  const values = new Map<string, number>();
  const periodsMs = new Map<string, number>();
  return {
    values,
    periodsMs,
    clear() {
      values.clear();
      periodsMs.clear();
    },
    put(owner, _kind, sub, metric, value, periodMs) {
      if (value === null) return;
      const key = `${owner.type === 'vm' ? `${owner.id}:` : ''}${metric}${sub === '' ? '' : `/${sub}`}`;
      if (values.has(key)) throw new Error(`${key} was put twice`);
      values.set(key, value);
      if (periodMs !== undefined) periodsMs.set(key, periodMs);
    },
  };
}
