/** Things that happen seldom and must not be forgotten by a restart: crashes, restarts, I/O errors, watchdogs of VMs, and refused sign-ins.
 *  Counted from events, kept in the table `metric_count`, written with the tick after they happened. */

import type { MetricName } from '#contract/metric-catalogue.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtEvent } from '#libvirt/index.ts';
import type { Database, Migration } from '#platform/db/database.ts';
import type { SampleSink } from '../sample.ts';
import type { RawFamilyName } from './raw-families.ts';

export const eventCountMigrations: readonly Migration[] = [
  {
    id: '001-metric-count',
    statements: [
      'CREATE TABLE metric_count(owner TEXT NOT NULL, metric TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY(owner, metric)) STRICT, WITHOUT ROWID',
    ],
  },
];

interface Tables {
  metric_count: { owner: string; metric: string; count: number };
}

export const VM_COUNTS = ['vm_crash_total', 'vm_restart_total', 'vm_io_error_total', 'vm_watchdog_total'] as const;
export type VmCount = (typeof VM_COUNTS)[number];

export const RAW_VM_COUNTS: Readonly<Record<VmCount, RawFamilyName>> = {
  vm_crash_total: 'hyper_vm_crashes_total',
  vm_restart_total: 'hyper_vm_restarts_total',
  vm_io_error_total: 'hyper_vm_io_errors_total',
  vm_watchdog_total: 'hyper_vm_watchdog_total',
};

export interface EventCounts {
  load(): Promise<void>;
  onLibvirtEvent(event: LibvirtEvent): void;
  /** Adds one. @param owner UUID of a VM, or `host` */
  add(owner: string, metric: MetricName): void;
  count(owner: string, metric: MetricName): number;
  /** Whether QEMU stopped for want of space the last time that a disk of the VM failed. */
  isOutOfSpace(uuid: string): boolean;
  /** Puts the counts of a VM when they are others than the last ones. */
  put(sink: SampleSink, uuid: string): void;
  /** Forgets the counts of a VM that is gone. */
  forget(uuid: string): void;
  /** Forgets the counts of all VMs but these: they went while nothing listened. */
  keep(uuids: ReadonlySet<string>): void;
  /** Writes what changed. */
  save(): Promise<void>;
}

/** Owner of what is counted of the machine itself. */
const HOST = 'host';
/** A guest that dies can be told of twice: by its panic and by the end of its QEMU. */
const SAME_CRASH_MS = 10_000;
/** A start so soon after a crash is a restart. */
const RESTART_MS = 600_000;

export function createEventCounts({
  db,
  clock,
  log,
}: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
}): EventCounts {
  const counts = new Map<string, Map<string, number>>();
  const changed = new Map<string, Set<string>>();
  const gone = new Set<string>();
  const lastPut = new Map<string, Map<string, number>>();
  const crashedAtMs = new Map<string, number>();
  const outOfSpace = new Set<string>();

  const count = (owner: string, metric: string) => counts.get(owner)?.get(metric) ?? 0;

  const add = (owner: string, metric: MetricName) => {
    const mine = counts.get(owner) ?? new Map<string, number>();
    mine.set(metric, (mine.get(metric) ?? 0) + 1);
    counts.set(owner, mine);
    changed.set(owner, (changed.get(owner) ?? new Set()).add(metric));
    gone.delete(owner);
  };

  const onCrash = (uuid: string) => {
    const nowMs = clock.monotonicMs();
    const beforeMs = crashedAtMs.get(uuid);
    if (beforeMs === undefined || nowMs - beforeMs > SAME_CRASH_MS) add(uuid, 'vm_crash_total');
    crashedAtMs.set(uuid, nowMs);
  };

  const onLifecycle = ({ domain: { uuid }, event, reason }: Extract<LibvirtEvent, { type: 'domain-lifecycle' }>) => {
    if (event === 'crashed' || (event === 'stopped' && (reason === 'crashed' || reason === 'failed'))) onCrash(uuid);
    if (event === 'resumed') outOfSpace.delete(uuid);
    if (event !== 'started') return;
    outOfSpace.delete(uuid);
    const crashedMs = crashedAtMs.get(uuid);
    crashedAtMs.delete(uuid);
    if (crashedMs !== undefined && clock.monotonicMs() - crashedMs <= RESTART_MS) add(uuid, 'vm_restart_total');
  };

  const forget = (uuid: string) => {
    if (counts.delete(uuid)) gone.add(uuid);
    changed.delete(uuid);
    lastPut.delete(uuid);
    crashedAtMs.delete(uuid);
    outOfSpace.delete(uuid);
  };

  return {
    async load() {
      for (const { owner, metric, count: stored } of await db
        .tables<Tables>()
        .selectFrom('metric_count')
        .selectAll()
        .execute()) {
        const mine = counts.get(owner) ?? new Map<string, number>();
        // What happened before the table was read counts on top.
        mine.set(metric, (mine.get(metric) ?? 0) + stored);
        counts.set(owner, mine);
      }
    },
    onLibvirtEvent(event) {
      if (event.type === 'domain-lifecycle') onLifecycle(event);
      else if (event.type === 'domain-rebooted') add(event.domain.uuid, 'vm_restart_total');
      else if (event.type === 'domain-watchdog') add(event.domain.uuid, 'vm_watchdog_total');
      else if (event.type === 'domain-io-error') {
        add(event.domain.uuid, 'vm_io_error_total');
        if (event.reason === 'enospc') outOfSpace.add(event.domain.uuid);
        else outOfSpace.delete(event.domain.uuid);
      }
    },
    add,
    count,
    isOutOfSpace: (uuid) => outOfSpace.has(uuid),
    put(sink, uuid) {
      const before = lastPut.get(uuid) ?? new Map<string, number>();
      for (const metric of VM_COUNTS) {
        const now = count(uuid, metric);
        if (before.get(metric) === now) continue;
        sink.put({ type: 'vm', id: uuid }, 'vm', '', metric, now);
        before.set(metric, now);
      }
      lastPut.set(uuid, before);
    },
    forget,
    keep(uuids) {
      for (const known of [counts, lastPut, crashedAtMs])
        for (const owner of known.keys()) if (owner !== HOST && !uuids.has(owner)) forget(owner);
      for (const uuid of outOfSpace) if (!uuids.has(uuid)) outOfSpace.delete(uuid);
    },
    async save() {
      const rows = [...changed].flatMap(([owner, metrics]) =>
        [...metrics].map((metric) => ({ owner, metric, count: count(owner, metric) })),
      );
      const removed = [...gone];
      if (rows.length === 0 && removed.length === 0) return;
      changed.clear();
      gone.clear();
      try {
        await db.transaction(async (tx) => {
          const tables = tx.tables<Tables>();
          if (removed.length > 0) await tables.deleteFrom('metric_count').where('owner', 'in', removed).execute();
          for (const row of rows)
            await tables
              .insertInto('metric_count')
              .values(row)
              .onConflict((conflict) => conflict.columns(['owner', 'metric']).doUpdateSet({ count: row.count }))
              .execute();
        });
      } catch (error) {
        for (const { owner, metric } of rows) changed.set(owner, (changed.get(owner) ?? new Set()).add(metric));
        for (const owner of removed) gone.add(owner);
        log.warn({ err: error }, 'counts of events could not be kept; they are tried again with the next tick');
      }
    },
  };
}
