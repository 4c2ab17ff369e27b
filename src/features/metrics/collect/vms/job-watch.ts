/** Watches for jobs of libvirt. That a VM has none libvirt says without asking QEMU; only of one that runs QEMU is asked how far it is. VMs
 *  on which an operation works are looked at in each tick, the others in turn; while a job runs, it is looked at every two seconds.
 *  A VM whose QEMU does not answer is left alone (measured on libvirt 9.0: `domainGetControlInfo` tells of short jobs, not of these). */

import { mapLimit } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Collector } from '../measuring.ts';
import { type JobFigures, type JobInfo, jobFiguresOf, putJob } from './job-figures.ts';
import { type Control, isAskable } from './monitor-watch.ts';

/** Of VMs on which nothing of ours works so many are looked at in a tick. */
const MAX_OTHERS = 32;
const PARALLEL_QUESTIONS = 2;
const FOLLOW_MS = 2_000;
/** What was learned is worth nothing after this: with a thousand VMs each has its turn within it. */
const STALE_MS = 330_000;
const STALE_JOB_MS = 30_000;

export interface JobWatchPorts {
  readonly clock: Clock;
  readonly log: Logger;
  /** VMs that have a QEMU; none while libvirt does not answer. */
  vms(): readonly string[];
  /** Whether an operation of ours works on it. */
  isWorkedOn(uuid: string): boolean;
  /** Resolves when it is known for this tick which QEMUs answer. */
  asked(): Promise<void>;
  /** Whether its QEMU is known not to answer. */
  isStuck(uuid: string): boolean;
  control(uuid: string): Promise<Control>;
  job(uuid: string): Promise<JobInfo>;
  /** A job began, got on or ended (null). */
  changed(uuid: string, job: JobFigures | null): void;
}

export interface JobWatch extends Collector {
  /** Jobs that run, by VM. */
  readonly jobs: ReadonlyMap<string, JobFigures>;
  stop(): Promise<void>;
}

export function createJobWatch(ports: JobWatchPorts): JobWatch {
  const { clock, log } = ports;
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const jobs = new Map<string, JobFigures>();
  /** When it was last known whether a VM has a job. */
  const knownMs = new Map<string, number>();
  /** When libvirt was last asked for it. */
  const askedMs = new Map<string, number>();
  let looking: Promise<void> | null = null;
  let following: Promise<void> | null = null;

  const learn = (uuid: string, job: JobFigures | null) => {
    knownMs.set(uuid, clock.monotonicMs());
    const had = jobs.has(uuid);
    if (job === null) jobs.delete(uuid);
    else jobs.set(uuid, job);
    if (job !== null || had) ports.changed(uuid, job);
  };

  const look = async (uuid: string): Promise<void> => {
    askedMs.set(uuid, clock.monotonicMs());
    try {
      if (ports.isStuck(uuid)) return;
      const control = await ports.control(uuid);
      if (isAskable(control) || control.control === 'job') learn(uuid, jobFiguresOf(await ports.job(uuid)));
    } catch (error) {
      log.debug({ vm: uuid, err: error }, `whether libvirt works on a VM is not known: ${messageOf(error)}`);
    }
  };

  const lookAt = (uuids: readonly string[]) =>
    mapLimit(uuids, PARALLEL_QUESTIONS, async (uuid) => {
      if (!stopping.signal.aborted) await look(uuid);
    });

  const forgetOthers = (present: ReadonlySet<string>) => {
    for (const uuid of [...jobs.keys()]) if (!present.has(uuid)) learn(uuid, null);
    for (const known of [knownMs, askedMs]) for (const uuid of known.keys()) if (!present.has(uuid)) known.delete(uuid);
  };

  const lookAround = async (): Promise<void> => {
    await Promise.race([ports.asked(), stopped]);
    if (stopping.signal.aborted) return;
    const all = ports.vms();
    forgetOthers(new Set(all));
    const isUrgent = (uuid: string) => ports.isWorkedOn(uuid) || jobs.has(uuid);
    const sinceMs = (uuid: string) => askedMs.get(uuid) ?? Number.NEGATIVE_INFINITY;
    const others = all.filter((uuid) => !isUrgent(uuid)).sort((a, b) => (sinceMs(a) < sinceMs(b) ? -1 : 1));
    await lookAt([...all.filter(isUrgent), ...others.slice(0, MAX_OTHERS)]);
  };

  const follow = async (): Promise<void> => {
    while (jobs.size > 0) {
      await clock.sleep(FOLLOW_MS, stopping.signal);
      await lookAt([...jobs.keys()]);
    }
  };

  const beside = (work: () => Promise<void>): Promise<void> =>
    work().catch((error: unknown) => {
      if (!stopping.signal.aborted) log.warn({ err: error }, `jobs of libvirt are not known: ${messageOf(error)}`);
    });

  return {
    name: 'jobs of libvirt',
    jobs,
    collect(sink) {
      const nowMs = clock.monotonicMs();
      for (const uuid of ports.vms()) {
        const job = jobs.get(uuid) ?? null;
        const ageMs = nowMs - (knownMs.get(uuid) ?? Number.NEGATIVE_INFINITY);
        if (ageMs <= (job === null ? STALE_MS : STALE_JOB_MS)) putJob(sink, uuid, job);
      }
      if (stopping.signal.aborted) return;
      looking ??= beside(lookAround).finally(() => {
        looking = null;
      });
      following ??= beside(follow).finally(() => {
        following = null;
      });
    },
    async stop() {
      stopping.abort(new Error('the daemon stops'));
      await Promise.all([looking, following]);
    },
  };
}
