/** Follows VMs and charges, and writes down each minute what they used. What is not written when the daemon is killed is counted again
 *  after its start, from what was known at the last minute. */

import type { Vm } from '#contract/vms.ts';
import { isOnState } from '#features/inventory/index.ts';
import type { OwnedHolding } from '#features/quotas/index.ts';
import { MIB } from '#kernel/units.ts';
import type { AccountingClock } from './clock.ts';
import { createMeter, type Sample } from './meter.ts';
import { type AccountingStore, isSame } from './store.ts';

export interface Accounting {
  /** Takes up what an earlier life left. */
  load(holdings: readonly OwnedHolding[]): Promise<void>;
  /** Objects hold something else now. */
  charged(holdings: readonly OwnedHolding[]): void;
  /** A VM changed or is gone. */
  vmChanged(id: string): void;
  /** Counts everything up to now and writes it down. @throws AppError unavailable; nothing is lost then */
  tick(): Promise<void>;
}

export interface AccountingOptions {
  readonly store: AccountingStore;
  readonly time: AccountingClock;
  readonly vm: (id: string) => Vm | null;
  readonly vms: () => readonly Vm[];
  /** Whether what is told of VMs is so now. */
  readonly isCurrent: () => boolean;
  /** When each guest was started, in milliseconds since the host booted. */
  readonly runs: () => Promise<ReadonlyMap<string, number>>;
  /** Of a VM that is not charged yet. */
  readonly defaultProject: string;
}

/** Resources that accounting looks at. */
type Held = { project: string; owner: string | null; vms: number; disk: number; backups: number };

export function createAccounting(options: AccountingOptions): Accounting {
  const { store, time, isCurrent, defaultProject } = options;
  const meter = createMeter({ wallAt: time.wallAt, axisAtBoot: time.axisAtBoot });
  const held = new Map<string, Held>();
  /** As the meter has them; a VM's figures change often, and what is counted of it seldom. */
  const seen = new Map<string, Sample>();
  let isLoaded = false;
  let isDoubted = true;

  const hold = (holdings: readonly OwnedHolding[]) => {
    for (const { objectId, resource, project, owner, amount } of holdings) {
      if (resource !== 'vms' && resource !== 'disk' && resource !== 'backups') continue;
      const before = held.get(objectId) ?? { project, owner, vms: 0, disk: 0, backups: 0 };
      held.set(objectId, { ...before, project, owner, [resource]: amount });
    }
  };

  const sampleOf = (objectId: string, run: number | null): Sample | null => {
    const charge = held.get(objectId);
    const vm = options.vm(objectId);
    if (vm === null && (charge === undefined || charge.disk + charge.backups === 0)) return null;
    const isOn = vm !== null && isOnState(vm.state);
    return {
      objectId,
      project: charge?.project ?? defaultProject,
      owner: charge?.owner ?? null,
      isOn,
      vcpus: vm?.vcpus ?? 0,
      // Guests with a balloon give back and take some KiB all the time; nobody is charged for that.
      memoryBytes: Math.round((vm?.memoryBytes ?? 0) / MIB) * MIB,
      diskBytes: charge?.disk ?? 0,
      backupBytes: charge?.backups ?? 0,
      runStartedBootMs: isOn ? run : null,
    };
  };

  const refresh = (objectId: string, run: number | null) => {
    if (options.vm(objectId)?.state === 'unknown') return;
    const sample = sampleOf(objectId, run);
    const before = seen.get(objectId);
    if (sample === null) {
      meter.remove(objectId, time.nowMs());
      seen.delete(objectId);
      held.delete(objectId);
      return;
    }
    const isStillOn = !isDoubted && sample.isOn && before?.isOn === true && sample.runStartedBootMs === null;
    const now = isStillOn ? { ...sample, runStartedBootMs: before.runStartedBootMs } : sample;
    if (!isDoubted && isSame(before, now)) return;
    meter.observe(now, time.nowMs());
    seen.set(objectId, now);
  };

  const doubt = () => {
    if (!isDoubted) meter.doubt(time.nowMs());
    isDoubted = true;
  };

  /** Looks at everything, with what tells one run of a guest from the next. */
  const lookAtAll = async () => {
    const runs = await options.runs();
    if (!isCurrent()) return;
    const ids = new Set([...seen.keys(), ...held.keys(), ...options.vms().map(({ id }) => id)]);
    for (const id of ids) refresh(id, runs.get(id) ?? null);
    isDoubted = false;
  };

  return {
    async load(holdings) {
      await time.look();
      hold(holdings);
      const { mark, samples } = await store.load();
      if (mark !== null) {
        const { atMs, isSameBoot } = time.goOnFrom(mark);
        const known = isSameBoot ? samples : samples.map((sample) => ({ ...sample, isOn: false }));
        meter.resume(known, atMs);
        for (const sample of known) seen.set(sample.objectId, sample);
      }
      isLoaded = true;
    },
    charged(holdings) {
      hold(holdings);
      if (!isLoaded || isDoubted) return;
      for (const objectId of new Set(holdings.map((holding) => holding.objectId))) refresh(objectId, null);
    },
    vmChanged(id) {
      if (!isLoaded) return;
      if (!isCurrent()) doubt();
      else if (!isDoubted) refresh(id, null);
    },
    async tick() {
      if (!isLoaded) return;
      await time.look();
      if (isCurrent()) await lookAtAll();
      else doubt();
      meter.advance(time.nowMs());
      const mark = time.mark();
      const buckets = meter.take();
      try {
        await store.save(buckets, meter.samples(), mark);
      } catch (error) {
        meter.giveBack(buckets);
        throw error;
      }
    },
  };
}
