/** Proofs as figures for other systems. What is known of each VM is its newest proof and its newest good one. */

import type { MetricFamily } from '#platform/feature.ts';
import type { ProofRow } from './migrations.ts';

export interface ProofFigures {
  readonly newest: readonly ProofRow[];
  readonly passed: readonly ProofRow[];
}

export function proofMetrics({ newest, passed }: ProofFigures): MetricFamily[] {
  const seconds = (iso: string) => new Date(iso).getTime() / 1000;
  const gauge = (
    name: string,
    unit: MetricFamily['unit'],
    help: string,
    rows: readonly ProofRow[],
    value: (row: ProofRow) => number | null,
  ): MetricFamily => ({
    name,
    type: 'gauge',
    unit: unit ?? null,
    help,
    samples: rows.flatMap((row) => {
      const figure = value(row);
      return figure === null ? [] : [{ labels: { vm: row.vm_name, vm_id: row.vm_id }, value: figure }];
    }),
  });
  return [
    gauge(
      'hyper_backup_proof_boot_seconds',
      'seconds',
      'How long the last good test start of a restore point took, until what was asked for was seen.',
      passed,
      (row) => row.boot_seconds,
    ),
    gauge(
      'hyper_backup_proof_recovery_seconds',
      'seconds',
      'From the decision to a running guest, as last measured: export, definition and start.',
      passed,
      (row) => row.recovery_seconds,
    ),
    gauge(
      'hyper_backup_proof_last_pass_timestamp_seconds',
      'seconds',
      'When a restore point was last proven.',
      passed,
      (row) => seconds(row.finished_at),
    ),
    gauge(
      'hyper_backup_proof_level',
      null,
      'Level that the last proof reached; -1 = none.',
      newest,
      (row) => row.level ?? -1,
    ),
    {
      name: 'hyper_backup_proof_verdict',
      type: 'state_set',
      help: 'How the last proof of each VM ended.',
      samples: newest.flatMap((row) =>
        (['pass', 'fail', 'inconclusive'] as const).map((state) => ({
          labels: { vm: row.vm_name, vm_id: row.vm_id, state },
          value: row.verdict === state ? 1 : 0,
        })),
      ),
    },
  ];
}
