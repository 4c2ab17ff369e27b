/** Which VMs the list shows and in which order, as written in the address. Pure: tested without a browser. */

import type { Vm, VmState } from '#contract/vms.ts';

export const VM_STATES: readonly VmState[] = [
  'running',
  'idle',
  'paused',
  'shutting_down',
  'suspended',
  'off',
  'crashed',
  'unknown',
];
export const SORT_KEYS = ['name', 'state', 'cpu', 'memory', 'disk', 'network'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export interface VmFilter {
  /** Words that must all be found, lower case. */
  readonly words: readonly string[];
  /** Empty = all. */
  readonly states: readonly VmState[];
  /** Id of the only project shown; null = all. */
  readonly project: string | null;
  /** Tags that a VM must all have. */
  readonly tags: readonly string[];
  readonly only: 'all' | 'managed' | 'foreign' | 'pending' | 'headless' | 'tcg';
  readonly sort: SortKey;
  readonly isDescending: boolean;
}

const ONLY: readonly VmFilter['only'][] = ['managed', 'foreign', 'pending', 'headless', 'tcg'];

/** Reads the filter from a query; what it does not know is left out. */
export function readFilter(query: URLSearchParams): VmFilter {
  const sort = query.get('sort') ?? 'name';
  const wantedStates = (query.get('state') ?? '').split(',');
  return {
    words: (query.get('q') ?? '').toLowerCase().split(/\s+/).filter(Boolean),
    states: VM_STATES.filter((state) => wantedStates.includes(state)),
    project: query.get('project') || null,
    tags: (query.get('tag') ?? '').split(',').filter(Boolean),
    only: ONLY.find((only) => only === query.get('only')) ?? 'all',
    sort: SORT_KEYS.find((key) => key === sort.replace(/^-/, '')) ?? 'name',
    isDescending: sort.startsWith('-'),
  };
}

/** The VMs that fit, in order; equal ones by name. */
export function applyFilter(vms: readonly Vm[], filter: VmFilter): Vm[] {
  const direction = filter.isDescending ? -1 : 1;
  const compare = COMPARE[filter.sort];
  return vms.filter((vm) => fits(vm, filter)).sort((a, b) => direction * compare(a, b) || byName(a, b));
}

/** Keeps the order that is shown while the pointer rests on the list; new ones come last, removed ones go. */
export function holdOrder(shown: readonly string[], wanted: readonly Vm[]): Vm[] {
  const places = new Map(shown.map((id, index) => [id, index]));
  return wanted.toSorted((a, b) => (places.get(a.id) ?? shown.length) - (places.get(b.id) ?? shown.length));
}

/** All tags of these VMs, the most used first. */
export function tagsOf(vms: Iterable<Pick<Vm, 'tags'>>): readonly (readonly [tag: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const { tags } of vms) for (const tag of tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  return [...counts].sort(([a, most], [b, more]) => more - most || collator.compare(a, b));
}

function fits(vm: Vm, filter: VmFilter): boolean {
  if (filter.states.length > 0 && !filter.states.includes(vm.state)) return false;
  if (filter.project !== null && vm.project !== filter.project) return false;
  if (!filter.tags.every((tag) => vm.tags.includes(tag))) return false;
  if (filter.only === 'managed' && !vm.managed) return false;
  if (filter.only === 'foreign' && vm.managed) return false;
  if (filter.only === 'pending' && vm.pending.length === 0) return false;
  if (filter.only === 'headless' && vm.hasVnc) return false;
  if (filter.only === 'tcg' && vm.accel !== 'tcg') return false;
  if (filter.words.length === 0) return true;
  const haystack = [
    vm.name,
    vm.title,
    vm.description,
    vm.id,
    ...vm.tags,
    ...vm.nics.flatMap((nic) => [nic.mac, ...nic.addresses.map((entry) => entry.address)]),
  ]
    .join(' ')
    .toLowerCase();
  return filter.words.every((word) => haystack.includes(word));
}

const collator = new Intl.Collator('en', { numeric: true });

function byName(a: Vm, b: Vm): number {
  return collator.compare(a.name, b.name);
}

const COMPARE: Readonly<Record<SortKey, (a: Vm, b: Vm) => number>> = {
  name: byName,
  state: (a, b) => VM_STATES.indexOf(a.state) - VM_STATES.indexOf(b.state),
  cpu: (a, b) => (a.usage?.cpuRatio ?? -1) - (b.usage?.cpuRatio ?? -1),
  memory: (a, b) => a.memoryBytes - b.memoryBytes,
  disk: (a, b) => diskBytes(a) - diskBytes(b),
  network: (a, b) => netRate(a) - netRate(b),
};

function diskBytes(vm: Vm): number {
  return vm.disks.reduce((total, disk) => total + (disk.device === 'disk' ? (disk.sizeBytes ?? 0) : 0), 0);
}

function netRate(vm: Vm): number {
  return (vm.usage?.netReceiveBytesPerSecond ?? -1) + (vm.usage?.netTransmitBytesPerSecond ?? 0);
}
