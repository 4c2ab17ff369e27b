/** All VMs, and the last minutes of each one's figures as they came in. */

import { computed } from '@preact/signals';
import type { Vm } from '#contract/vms.ts';
import { api } from './api.ts';
import { createCollection, readAllPages } from './collection.ts';
import { onEvent } from './live.ts';

export const vms = createCollection(
  () => readAllPages((cursor) => api('GET /vms', { query: { limit: 1000, cursor } })),
  'vm.changed',
  ['vm.removed'],
);

export const vmList = computed(() => [...(vms.data.value?.values() ?? [])]);

/** Of the host, as its VMs tell it: the API says it of VMs only, and they run what the host is. */
export const hostArchitecture = computed(() => {
  const counts = new Map<string, number>();
  for (const { arch } of vmList.value) counts.set(arch, (counts.get(arch) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? USUAL_ARCHITECTURE;
});

const USUAL_ARCHITECTURE = 'x86_64';

/** One measurement. Ratios are 0 to 1 or null where not measured; rates are bytes per second. */
export interface Sample {
  readonly at: string;
  readonly cpuRatio: number | null;
  readonly memoryRatio: number | null;
  readonly diskRate: number | null;
  readonly netRate: number | null;
}

const KEPT_SAMPLES = 60;
const histories = new Map<string, Sample[]>();

onEvent('vm.changed', (vm) => {
  if (!vm.usage) return;
  const history = histories.get(vm.id) ?? [];
  histories.set(vm.id, history);
  if (history.at(-1)?.at === vm.usage.measuredAt) return;
  history.push({
    at: vm.usage.measuredAt,
    cpuRatio: vm.usage.cpuRatio,
    memoryRatio: vm.usage.memoryUsedBytes === null ? null : vm.usage.memoryUsedBytes / vm.memoryBytes,
    diskRate: sum(vm.usage.diskReadBytesPerSecond, vm.usage.diskWriteBytesPerSecond),
    netRate: sum(vm.usage.netReceiveBytesPerSecond, vm.usage.netTransmitBytesPerSecond),
  });
  if (history.length > KEPT_SAMPLES) history.splice(0, history.length - KEPT_SAMPLES);
});
onEvent('vm.removed', ({ id }) => histories.delete(id));

/** What came in for a VM since this page was opened, oldest first, at most 60 samples. */
export function historyOf(id: string): readonly Sample[] {
  return histories.get(id) ?? [];
}

/** The VM is executing or could go on without a boot. */
export function isOn(vm: Pick<Vm, 'state'>): boolean {
  return vm.state !== 'off' && vm.state !== 'crashed' && vm.state !== 'unknown';
}

/** The addresses of all NICs, the ones people use first: IPv4 before IPv6, no link-local ones. */
export function addressesOf(vm: Pick<Vm, 'nics'>): string[] {
  const all = vm.nics.flatMap((nic) => nic.addresses.map((entry) => entry.address));
  const useful = all.filter((address) => !/^fe80:|^169\.254\.|^127\.|^::1$/i.test(address));
  return useful.toSorted((a, b) => Number(a.includes(':')) - Number(b.includes(':')));
}

/** Size of all writable disks together, null when none is known. */
export function diskBytesOf(vm: Pick<Vm, 'disks'>): number | null {
  const sizes = vm.disks.filter((disk) => disk.device === 'disk').map((disk) => disk.sizeBytes);
  return sizes.some((size) => size !== null) ? sizes.reduce<number>((total, size) => total + (size ?? 0), 0) : null;
}

function sum(a: number | null, b: number | null): number | null {
  return a === null && b === null ? null : (a ?? 0) + (b ?? 0);
}
