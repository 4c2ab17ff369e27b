/** Statistics and jobs of domains. Asked in batches, because decoding a thousand VMs at once would block the event loop. */

import type { StatValues, TypedParam } from '../codec.ts';
import { P } from '../table.ts';
import { type Caller, type CallOptions, flagsOf } from './caller.ts';
import { type DomainRef, domainOf, domainRef } from './domain.ts';

const GROUPS = {
  state: 1,
  cpu: 2,
  balloon: 4,
  vcpu: 8,
  interface: 16,
  block: 32,
  perf: 64,
  iothread: 128,
  memory: 256,
  dirtyrate: 512,
  vm: 1024,
} as const;

export type StatGroup = keyof typeof GROUPS;

/** Groups that libvirt answers without asking QEMU: they did not hang on a stopped QEMU (measured, 9.0). */
const PLAIN_GROUPS: ReadonlySet<StatGroup> = new Set(['state', 'interface']);

/** `values` by libvirt's names, as `balloon.current`. A missing value is unknown, never 0. */
export interface DomainStats {
  readonly domain: DomainRef;
  readonly values: StatValues;
}

export interface StatsOptions extends CallOptions {
  readonly backingChain?: boolean;
  /** Domains per call, default 64. Only with a list of UUIDs. */
  readonly batchSize?: number;
}

export interface JobInfo {
  readonly type: 'none' | 'bounded' | 'unbounded' | 'completed' | 'failed' | 'cancelled';
  readonly params: readonly TypedParam[];
}

const JOB_TYPES = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const;
// Bits of the getter's flags: without NOWAIT one busy VM makes all others wait.
const NOWAIT = 0x20000000;
const BACKING_CHAIN = 0x40000000;

export function createStatsApi({ call, callForStats, callForMonitorStats }: Caller) {
  async function read(
    doms: readonly { name: string; uuid: string; id: number }[],
    groups: readonly StatGroup[],
    options: StatsOptions,
  ): Promise<DomainStats[]> {
    const flags = flagsOf(NOWAIT, options.backingChain && BACKING_CHAIN);
    const stats = flagsOf(...groups.map((group) => GROUPS[group]));
    const ask = groups.every((group) => PLAIN_GROUPS.has(group)) ? callForStats : callForMonitorStats;
    const { retStats } = await ask(P.connectGetAllDomainStats, { doms, stats, flags }, options);
    return retStats.map(({ dom, values }) => ({ domain: domainRef(dom), values }));
  }

  return {
    /** Cheap groups: state, interface, memory, perf. The others cost some milliseconds in each QEMU.
     *  @param which 'all', or UUIDs; a domain that vanished is left out
     *  @param options.deadlineMs per batch, default 5,000 */
    async stats(
      which: 'all' | readonly string[],
      groups: readonly StatGroup[],
      options: StatsOptions = {},
    ): Promise<DomainStats[]> {
      if (which === 'all') return read([], groups, options);
      const batchSize = Math.max(1, options.batchSize ?? 64);
      const all: DomainStats[] = [];
      for (let at = 0; at < which.length; at += batchSize) {
        const batch = await read(which.slice(at, at + batchSize).map(domainOf), groups, options);
        for (const stats of batch) all.push(stats);
      }
      return all;
    },
    /** Progress of the job that runs (`completed`: of the last one). QEMU is asked.
     *  @param options.deadlineMs default 5,000 */
    async job(uuid: string, options: CallOptions & { readonly completed?: boolean } = {}): Promise<JobInfo> {
      const { type, params } = await callForMonitorStats(
        P.domainGetJobStats,
        { dom: domainOf(uuid), flags: flagsOf(options.completed && 1, options.completed && 2) },
        options,
      );
      return { type: JOB_TYPES[type] ?? 'none', params };
    },
    /** Lets QEMU count for so long which pages the guest changes; what it found is in the group `dirtyrate` afterwards. It looks at a
     *  sample of the pages, which the guest does not feel. Returns when it has begun.
     *  @param seconds 1 to 60 @param options.deadlineMs default 5,000; a QEMU that does not answer, or a job on the VM, holds the call */
    async startDirtyRate(uuid: string, seconds: number, options: CallOptions = {}): Promise<void> {
      await callForMonitorStats(P.domainStartDirtyRateCalc, { dom: domainOf(uuid), seconds, flags: 0 }, options);
    },
    /** Ends a running save, migration or backup. */
    async abortJob(uuid: string, options?: CallOptions): Promise<void> {
      await call(P.domainAbortJob, { dom: domainOf(uuid) }, options);
    },
  };
}
