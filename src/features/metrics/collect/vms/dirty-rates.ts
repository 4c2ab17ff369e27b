/** How fast guests change their memory, which says how long a migration would take. QEMU hashes a sample of the pages (512 of each GiB),
 *  waits a second and looks again. Gentle: a VM is measured every 15 minutes, few at a time and few in a minute, never while something else
 *  works on it, and never one whose QEMU is not known to answer. Measured on libvirt 9.0 and QEMU 7.2, also without KVM. */

import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { SlowReader } from '../slow-reader.ts';
import { type Control, isAskable } from './monitor-watch.ts';
import { numberOf, type Values } from './stat-values.ts';

const MEASURE_SECONDS = 1;
/** At a time. */
const BATCH = 4;
const EVERY_MS = 900_000;
const ROUND_MS = 60_000;
/** More VMs than have their turn within 15 minutes are measured less often. */
const MAX_IN_ROUND = 32;
/** Rounds come at their time give or take this. */
const SLACK_MS = 30_000;
/** The second, and what a loaded host takes to begin and end. */
const WAIT_MS = 1_300;
const LOOKS = 3;
/** Of larger guests the sample itself would be gigabytes to read. */
const MAX_MEMORY_BYTES = 512 * 2 ** 30;
const MIB = 2 ** 20;
/** `dirtyrate.calc_status` of a measurement that ended. */
const MEASURED = 2;

/** Bytes per second; null while it is measured, or when it was not. */
export function dirtyRateOf(values: Values): number | null {
  if (numberOf(values, 'dirtyrate.calc_status') !== MEASURED) return null;
  const mebibytes = numberOf(values, 'dirtyrate.megabytes_per_second');
  return mebibytes === null || mebibytes < 0 ? null : mebibytes * MIB;
}

export interface DirtyRatePorts {
  readonly clock: Clock;
  readonly log: Logger;
  vms(): readonly { readonly id: string; readonly memoryBytes: number }[];
  /** Whether its guest runs, nothing works on it, and its QEMU is known to answer. */
  isFree(uuid: string): boolean;
  control(uuid: string): Promise<Control>;
  start(uuid: string, seconds: number): Promise<void>;
  stats(uuids: readonly string[]): Promise<ReadonlyMap<string, Values>>;
}

export function dirtyRatesReader(
  ports: DirtyRatePorts,
): SlowReader<ReadonlyMap<string, number>> & { rateOf(uuid: string): number | null } {
  const { clock, log } = ports;
  const latest = new Map<string, { readonly rate: number; readonly atMs: number }>();
  let vmCount = 0;

  /** @returns whether QEMU counts now */
  const begin = async (uuid: string): Promise<boolean> => {
    try {
      // A job of another program would hold the question until it ends.
      if (!isAskable(await ports.control(uuid))) return false;
      await ports.start(uuid, MEASURE_SECONDS);
      return true;
    } catch (error) {
      // The VM went away, is measured by somebody else, or its QEMU has just stopped to answer: then there is no figure.
      log.debug({ vm: uuid, err: error }, `its dirty rate is not measured: ${messageOf(error)}`);
      return false;
    }
  };

  /** Those whose turn it is, the longest waiting first; what did not work out is tried again in the next round. */
  const due = (): readonly string[] => {
    const vms = ports.vms().filter(({ memoryBytes }) => memoryBytes <= MAX_MEMORY_BYTES);
    const present = new Set(vms.map(({ id }) => id));
    for (const uuid of latest.keys()) if (!present.has(uuid)) latest.delete(uuid);
    vmCount = vms.length;
    const sinceMs = (uuid: string) => latest.get(uuid)?.atMs ?? Number.NEGATIVE_INFINITY;
    return [...present]
      .filter((uuid) => clock.monotonicMs() - sinceMs(uuid) >= EVERY_MS - SLACK_MS && ports.isFree(uuid))
      .sort((a, b) => (sinceMs(a) < sinceMs(b) ? -1 : 1))
      .slice(0, MAX_IN_ROUND);
  };

  return {
    name: 'dirty rates',
    periodMs: ROUND_MS,
    async read(signal) {
      const rates = new Map<string, number>();
      const asked = due();
      for (let at = 0; at < asked.length; at += BATCH) {
        const begun: string[] = [];
        for (const uuid of asked.slice(at, at + BATCH))
          if (!signal.aborted && ports.isFree(uuid) && (await begin(uuid))) begun.push(uuid);
        for (let look = 0; look < LOOKS && begun.length > 0; look += 1) {
          await clock.sleep(WAIT_MS, signal);
          for (const [uuid, values] of await ports.stats(begun)) {
            const rate = dirtyRateOf(values);
            if (rate === null) continue;
            rates.set(uuid, rate);
            latest.set(uuid, { rate, atMs: clock.monotonicMs() });
            begun.splice(begun.indexOf(uuid), 1);
          }
        }
      }
      return rates;
    },
    put(sink, rates) {
      const periodMs = Math.max(EVERY_MS, Math.ceil(vmCount / MAX_IN_ROUND) * ROUND_MS);
      for (const [id, rate] of rates) sink.put({ type: 'vm', id }, 'vm', '', 'dirty_rate', rate, periodMs);
    },
    rateOf: (uuid) => latest.get(uuid)?.rate ?? null,
  };
}
