/** Reads libvirt's statistics by name. What is missing is unknown, never 0. */

import type { DomainCounters } from '#features/inventory/index.ts';

export type Values = DomainCounters['values'];

export function numberOf(values: Values, name: string): number | null {
  const value = values.get(name);
  if (typeof value === 'number') return value;
  // Beyond that a number would not be exact; the answer is then as good as none.
  return typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER
    ? Number(value)
    : null;
}

export function textOf(values: Values, name: string): string | null {
  const value = values.get(name);
  return typeof value === 'string' ? value : null;
}

/** null when nothing is known of any part. */
export function sumOf(...parts: readonly (number | null)[]): number | null {
  const known = parts.filter((part) => part !== null);
  return known.length === 0 ? null : known.reduce((sum, part) => sum + part, 0);
}

const MAX_BLOCKS = 64;
const MAX_NICS = 32;
const MAX_VCPUS = 1024;

/** Disks by target, as `vda`, with the beginning of their fields' names. Files that a disk lies on have its name too, and come after it. */
export function blocksOf(values: Values): ReadonlyMap<string, string> {
  const blocks = new Map<string, string>();
  const count = Math.min(numberOf(values, 'block.count') ?? 0, MAX_BLOCKS);
  for (let n = 0; n < count; n += 1) {
    const name = textOf(values, `block.${n}.name`);
    if (name !== null && !blocks.has(name)) blocks.set(name, `block.${n}.`);
  }
  return blocks;
}

/** Network cards in the order of the definition; one without figures (user networking) has a place and no fields. */
export function nicsOf(values: Values): readonly { readonly name: string; readonly prefix: string }[] {
  const count = Math.min(numberOf(values, 'net.count') ?? 0, MAX_NICS);
  return Array.from({ length: count }, (_, n) => ({
    name: textOf(values, `net.${n}.name`) ?? '',
    prefix: `net.${n}.`,
  }));
}

/** Numbers of the vCPUs that have figures: with some unplugged there are holes. */
export function vcpusOf(values: Values): readonly number[] {
  const most = Math.min(numberOf(values, 'vcpu.maximum') ?? numberOf(values, 'vcpu.current') ?? 0, MAX_VCPUS);
  return Array.from({ length: most }, (_, n) => n).filter((n) => values.has(`vcpu.${n}.time`));
}
