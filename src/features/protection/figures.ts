/** Puts how backups stand into the history, so that graphs and rules know of them. Once a minute: they change by the hour. */

import { METRICS, type MetricName } from '#contract/metric-catalogue.ts';
import type { VmPosture } from '#contract/protection.ts';
import type { KnownPoint } from '#features/backups/index.ts';
import type { Collector } from '#features/metrics/index.ts';
import type { Clock } from '#kernel/clock.ts';

const EVERY_MS = 60_000;

export interface FigureDependencies {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  postures(): readonly VmPosture[];
  points(): readonly KnownPoint[];
  /** Its proofs in a row that showed nothing. */
  inconclusiveProofs(vmId: string): number;
  /** Whether its backup is under way now. */
  isRunning(vmId: string): boolean;
}

const OVERDUE: ReadonlySet<string> = new Set(['newest_too_old', 'newest_far_too_old']);

export function backupCollector({
  clock,
  postures,
  points,
  inconclusiveProofs,
  isRunning,
}: FigureDependencies): Collector {
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    name: 'backups',
    collect(sink) {
      const nowMs = clock.monotonicMs();
      if (nowMs - lastMs < EVERY_MS) return;
      lastMs = nowMs;
      const bad = new Map<string, number>();
      for (const { vmId, isGood } of points()) if (!isGood) bad.set(vmId, (bad.get(vmId) ?? 0) + 1);
      for (const row of postures()) {
        const put = (metric: MetricName, value: number | null) =>
          sink.put({ type: 'vm', id: row.vmId }, 'vm', '', metric, value, EVERY_MS);
        put('backup_state', METRICS.backup_state.values.indexOf(stateOf(row, isRunning(row.vmId))));
        put('backup_last_success', secondsOf(row.newestAt));
        put('backup_last_verified', secondsOf(row.provenAt));
        put('backup_verify_level', row.proof?.level ?? null);
        put('backup_proofs_unsure', row.proof === null ? null : inconclusiveProofs(row.vmId));
        put('backup_points_bad', row.points === 0 ? null : (bad.get(row.vmId) ?? 0));
      }
    },
  };
}

const secondsOf = (iso: string | null): number | null => (iso === null ? null : Math.floor(Date.parse(iso) / 1000));

function stateOf(
  { lastRun, reasons, newestAt }: VmPosture,
  isRunning: boolean,
): (typeof METRICS.backup_state.values)[number] {
  if (isRunning) return 'running';
  if (lastRun?.state === 'failed') return 'failed';
  if (reasons.some(({ code }) => OVERDUE.has(code))) return 'missed';
  return newestAt === null ? 'none' : 'ok';
}
