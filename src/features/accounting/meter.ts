/** Adds up what objects use over time, by month, project and user. Pure: time comes in as numbers. All times of one meter are on one
 *  axis that never steps (monotonic milliseconds); only which month an hour belongs to is taken from the wall clock. */

import { GIB } from '#kernel/units.ts';

/** What is known of one object at one time. */
export interface Sample {
  readonly objectId: string;
  readonly project: string;
  readonly owner: string | null;
  readonly isOn: boolean;
  readonly vcpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly backupBytes: number;
  /** When the guest that runs was started, in milliseconds since the host booted; null = off, or not known. Tells one run from the next. */
  readonly runStartedBootMs: number | null;
}

export interface Amounts {
  readonly vcpuHours: number;
  readonly memoryGibHours: number;
  readonly diskGibHours: number;
  readonly backupGibHours: number;
}

export interface Bucket extends Amounts {
  readonly month: string;
  readonly project: string;
  readonly owner: string | null;
}

interface Entry {
  sample: Sample;
  /** Up to here what exists is counted. */
  existsUntilMs: number;
  /** Up to here what runs is counted. */
  runsUntilMs: number;
  /** False while nobody knows whether it still runs. */
  isSure: boolean;
}

export interface Meter {
  /** Takes over what an earlier life knew at `atMs`; whether guests still run is not known until they are seen. */
  resume(samples: readonly Sample[], atMs: number): void;
  /** Counts the object up to now as it was, and goes on with it as it is. */
  observe(sample: Sample, nowMs: number): void;
  /** It is gone: counts up to now and forgets it. */
  remove(objectId: string, nowMs: number): void;
  /** Whether guests run is not known from now on. */
  doubt(nowMs: number): void;
  /** Counts everything up to now. */
  advance(nowMs: number): void;
  /** What was counted since the last time. */
  take(): readonly Bucket[];
  /** Counts again what could not be written. */
  giveBack(buckets: readonly Bucket[]): void;
  samples(): readonly Sample[];
}

const HOUR_MS = 3_600_000;
/** Start times of processes are told in hundredths of seconds. */
const SAME_RUN_MS = 50;

export interface MeterOptions {
  /** The wall time at this point of the axis. */
  readonly wallAt: (ms: number) => number;
  /** This point of the axis as milliseconds since the host booted, and back; null where that is not known. */
  readonly axisAtBoot: (bootMs: number) => number | null;
}

export function createMeter({ wallAt, axisAtBoot }: MeterOptions): Meter {
  const entries = new Map<string, Entry>();
  let buckets = new Map<string, Bucket>();

  const addTo = (bucket: Bucket) => {
    const key = `${bucket.month} ${bucket.project} ${bucket.owner ?? ''}`;
    const known = buckets.get(key);
    buckets.set(
      key,
      known
        ? {
            ...known,
            vcpuHours: known.vcpuHours + bucket.vcpuHours,
            memoryGibHours: known.memoryGibHours + bucket.memoryGibHours,
            diskGibHours: known.diskGibHours + bucket.diskGibHours,
            backupGibHours: known.backupGibHours + bucket.backupGibHours,
          }
        : bucket,
    );
  };

  /** Books from one time to another, split where a month ends. */
  const book = ({ project, owner }: Sample, fromMs: number, toMs: number, perHour: Amounts) => {
    if (toMs <= fromMs) return;
    const endWall = wallAt(toMs);
    let wall = endWall - (toMs - fromMs);
    while (wall < endWall) {
      const until = Math.min(endWall, monthEnd(wall));
      const hours = (until - wall) / HOUR_MS;
      addTo({
        month: monthOf(wall),
        project,
        owner,
        vcpuHours: perHour.vcpuHours * hours,
        memoryGibHours: perHour.memoryGibHours * hours,
        diskGibHours: perHour.diskGibHours * hours,
        backupGibHours: perHour.backupGibHours * hours,
      });
      wall = until;
    }
  };

  const countExisting = (entry: Entry, nowMs: number) => {
    const { sample } = entry;
    const perHour = { diskGibHours: sample.diskBytes / GIB, backupGibHours: sample.backupBytes / GIB };
    book(sample, entry.existsUntilMs, nowMs, { vcpuHours: 0, memoryGibHours: 0, ...perHour });
    entry.existsUntilMs = Math.max(entry.existsUntilMs, nowMs);
  };
  const countRunning = (entry: Entry, nowMs: number) => {
    const { sample } = entry;
    if (sample.isOn) {
      const perHour = { vcpuHours: sample.vcpus, memoryGibHours: sample.memoryBytes / GIB };
      book(sample, entry.runsUntilMs, nowMs, { ...perHour, diskGibHours: 0, backupGibHours: 0 });
    }
    entry.runsUntilMs = Math.max(entry.runsUntilMs, nowMs);
  };
  const count = (entry: Entry, nowMs: number) => {
    countExisting(entry, nowMs);
    if (entry.isSure) countRunning(entry, nowMs);
  };

  /** A guest that was started while nobody looked has run since its start, as far as that is known. */
  const beganAt = (sample: Sample, notBeforeMs: number, nowMs: number): number => {
    const startedMs = sample.runStartedBootMs === null ? null : axisAtBoot(sample.runStartedBootMs);
    return startedMs === null ? nowMs : Math.min(nowMs, Math.max(notBeforeMs, startedMs));
  };

  return {
    resume(samples, atMs) {
      for (const sample of samples)
        entries.set(sample.objectId, { sample, existsUntilMs: atMs, runsUntilMs: atMs, isSure: false });
    },
    observe(sample, nowMs) {
      const entry = entries.get(sample.objectId);
      if (!entry) {
        entries.set(sample.objectId, { sample, existsUntilMs: nowMs, runsUntilMs: nowMs, isSure: true });
        return;
      }
      const wasSure = entry.isSure;
      countExisting(entry, nowMs);
      if (wasSure || isSameRun(entry.sample, sample)) countRunning(entry, nowMs);
      else if (sample.isOn) entry.runsUntilMs = beganAt(sample, entry.runsUntilMs, nowMs);
      else entry.runsUntilMs = nowMs;
      entry.isSure = true;
      // The time of its start is found out a moment after the start.
      const isStillOn = wasSure && sample.isOn && entry.sample.isOn && sample.runStartedBootMs === null;
      entry.sample = isStillOn ? { ...sample, runStartedBootMs: entry.sample.runStartedBootMs } : sample;
      countRunning(entry, nowMs);
    },
    remove(objectId, nowMs) {
      const entry = entries.get(objectId);
      if (!entry) return;
      count(entry, nowMs);
      entries.delete(objectId);
    },
    doubt(nowMs) {
      for (const entry of entries.values()) {
        count(entry, nowMs);
        entry.isSure = false;
      }
    },
    advance(nowMs) {
      for (const entry of entries.values()) count(entry, nowMs);
    },
    take() {
      const taken = [...buckets.values()];
      buckets = new Map();
      return taken;
    },
    giveBack(given) {
      for (const bucket of given) addTo(bucket);
    },
    samples: () => [...entries.values()].map(({ sample }) => sample),
  };
}

function isSameRun(before: Sample, now: Sample): boolean {
  if (!before.isOn || !now.isOn || before.runStartedBootMs === null || now.runStartedBootMs === null) return false;
  return Math.abs(before.runStartedBootMs - now.runStartedBootMs) <= SAME_RUN_MS;
}

/** As `2026-11`, in UTC. */
export function monthOf(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 7);
}

function monthEnd(wallMs: number): number {
  const date = new Date(wallMs);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}
