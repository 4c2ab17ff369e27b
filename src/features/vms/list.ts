/** Filters, sorts and pages the VMs of the inventory. The usual question (all, by name) answers with the inventory's own array. */

import type { Vm } from '#contract/vms.ts';
import { AppError } from '#kernel/errors.ts';
import type { JsonTextReply } from '#platform/feature.ts';

export interface VmQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly q?: string | undefined;
  readonly state?: string | undefined;
  readonly tag?: string | undefined;
  readonly sort: 'name' | '-name' | 'state' | '-state' | 'cpu' | '-cpu' | 'memory' | '-memory';
}

export interface VmPage {
  items: Vm[];
  next: string | null;
  total: number;
}

const STATES: readonly string[] = [
  'running',
  'idle',
  'paused',
  'shutting_down',
  'off',
  'crashed',
  'suspended',
  'unknown',
] satisfies Vm['state'][];

/** @param all sorted by name
 *  @throws AppError invalid_input for an unknown state or cursor */
export function listVms(all: readonly Vm[], query: VmQuery): VmPage {
  const found = sortVms(matching(all, query), query.sort);
  const from = query.cursor === undefined ? 0 : positionOf(query.cursor);
  const items = found.slice(from, from + query.limit);
  const end = from + items.length;
  return { items, next: end < found.length ? String(end) : null, total: found.length };
}

/** As `listVms`; the usual question is answered with the text that was made for it when a VM last changed. */
export function createListAnswer(): (all: readonly Vm[], query: VmQuery) => VmPage | JsonTextReply {
  // The inventory gives the same array until something changes, and drops it then.
  const texts = new WeakMap<readonly Vm[], Buffer>();
  return (all, query) => {
    if (!isUsual(query) || query.limit < all.length) return listVms(all, query);
    const known = texts.get(all);
    if (known) return { jsonText: known };
    const jsonText = Buffer.from(JSON.stringify(listVms(all, query)));
    texts.set(all, jsonText);
    return { jsonText };
  };
}

const isUsual = ({ cursor, q, state, tag, sort }: VmQuery): boolean =>
  cursor === undefined && (q ?? '') === '' && (state ?? '') === '' && (tag ?? '') === '' && sort === 'name';

function matching(all: readonly Vm[], { q, state, tag }: VmQuery): readonly Vm[] {
  let found = all;
  if (state !== undefined && state !== '') {
    const wanted = new Set(state.split(','));
    for (const name of wanted) {
      if (!STATES.includes(name))
        throw refused('state', `"${name.slice(0, 40)}" is no state`, `use ${STATES.join(', ')}`);
    }
    found = found.filter((vm) => wanted.has(vm.state));
  }
  if (tag !== undefined && tag !== '') {
    const wanted = tag.split(',');
    found = found.filter((vm) => wanted.every((one) => vm.tags.includes(one)));
  }
  const needle = q?.trim().toLowerCase() ?? '';
  return needle === '' ? found : found.filter((vm) => textsOf(vm).some((text) => text.toLowerCase().includes(needle)));
}

function textsOf(vm: Vm): string[] {
  return [
    vm.name,
    vm.id,
    vm.title ?? '',
    vm.description ?? '',
    ...vm.tags,
    ...vm.nics.flatMap((nic) => [nic.mac, ...nic.addresses.map((address) => address.address)]),
  ];
}

function sortVms(vms: readonly Vm[], sort: VmQuery['sort']): readonly Vm[] {
  if (sort === 'name') return vms;
  const isDown = sort.startsWith('-');
  const key = sort.replace('-', '');
  const sortKey = (vm: Vm): string | number => {
    if (key === 'state') return vm.state;
    if (key === 'cpu') return vm.usage?.cpuRatio ?? -1;
    return key === 'memory' ? vm.memoryBytes : vm.name;
  };
  return [...vms].sort((a, b) => {
    const [left, right] = [sortKey(a), sortKey(b)];
    const order = left < right ? -1 : left > right ? 1 : 0;
    return isDown ? -order : order;
  });
}

function positionOf(cursor: string): number {
  if (!/^\d{1,9}$/.test(cursor))
    throw refused('cursor', 'it is not one that a page gave', 'use `next` of the page before');
  return Number(cursor);
}

function refused(path: string, problem: string, mend: string): AppError {
  return new AppError('invalid_input', { detail: `${path}: ${problem}; ${mend}.`, fields: [{ path, problem, mend }] });
}
