/** What libvirt tells of a job on a VM, as figures. Names by virDomainGetJobStats, numbers of operations by virDomainJobOperation. */

import type { LibvirtJob } from '#contract/libvirt-jobs.ts';
import { METRICS } from '#contract/metric-catalogue.ts';
import type { SampleSink } from '../measuring.ts';
import { enumNumber } from '../sinks.ts';

/** As libvirt's `domainGetJobStats` gives it. */
export interface JobInfo {
  readonly type: 'none' | 'bounded' | 'unbounded' | 'completed' | 'failed' | 'cancelled';
  readonly params: readonly { readonly name: string; readonly value: unknown }[];
}

export type JobKind = LibvirtJob['kind'];
export type JobFigures = Pick<
  LibvirtJob,
  'kind' | 'ratio' | 'doneBytes' | 'totalBytes' | 'remainingBytes' | 'elapsedMs' | 'remainingMs'
>;

/** By libvirt's number; 0 is unknown. The catalogue has them in the same order. */
const KINDS: readonly JobKind[] = ['other', ...METRICS.vm_libvirt_job.values.slice(1, -1)];

/** null when no job runs. */
export function jobFiguresOf({ type, params }: JobInfo): JobFigures | null {
  if (type !== 'bounded' && type !== 'unbounded') return null;
  const known = new Map(params.map(({ name, value }) => [name, value]));
  const number = (name: string): number | null => {
    const value = known.get(name);
    const plain = typeof value === 'bigint' ? Number(value) : value;
    return typeof plain === 'number' && Number.isSafeInteger(plain) && plain >= 0 ? plain : null;
  };
  // `data` is memory and disks together; a backup has disks alone.
  const part = (['data', 'memory', 'disk'] as const).find((name) => (number(`${name}_total`) ?? 0) > 0) ?? null;
  const totalBytes = part === null ? null : number(`${part}_total`);
  const doneBytes = part === null ? null : number(`${part}_processed`);
  const told = part === null ? null : number(`${part}_remaining`);
  const remainingBytes =
    told ?? (totalBytes === null || doneBytes === null ? null : Math.max(0, totalBytes - doneBytes));
  return {
    kind: KINDS[number('operation') ?? 0] ?? 'other',
    // What a guest changed while it was copied is copied again: more may be done than there was to do.
    ratio: totalBytes === null || remainingBytes === null ? null : Math.max(0, 1 - remainingBytes / totalBytes),
    doneBytes,
    totalBytes,
    remainingBytes,
    elapsedMs: number('time_elapsed'),
    remainingMs: number('time_remaining'),
  };
}

/** @param job null = none runs */
export function putJob(sink: SampleSink, vmId: string, job: JobFigures | null): void {
  const owner = { type: 'vm', id: vmId } as const;
  sink.put(owner, 'vm', '', 'vm_libvirt_job', enumNumber('vm_libvirt_job', job?.kind ?? 'none'));
  if (job === null) return;
  sink.put(owner, 'vm', '', 'vm_job_progress', job.ratio);
  sink.put(owner, 'vm', '', 'vm_job_remaining', job.remainingBytes);
  sink.put(owner, 'vm', '', 'vm_job_elapsed', job.elapsedMs === null ? null : job.elapsedMs / 1000);
}
