/** Bonds: network cards that stand in for one another. Format: the kernel's Documentation/networking/bonding.rst. */

import type { KernelFiles } from '../kernel-files.ts';
import type { Collector, Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { RawSource } from '../raw-families.ts';

const FOLDER = '/proc/net/bonding';
const MAX_BONDS = 32;

export interface Bond {
  readonly cards: number;
  /** Without a link, or not yet trusted to have one. */
  readonly down: number;
}

/** null for what is no text of a bond. */
export function bondOf(text: string | null): Bond | null {
  const [head, ...cards] = (text ?? '').split(/^Slave Interface:/m);
  if (head === undefined || !/^Bonding Mode:/m.test(head)) return null;
  return { cards: cards.length, down: cards.filter((card) => !/^MII Status: up$/m.test(card)).length };
}

export function createBonds({
  host,
  files,
}: {
  readonly host: Owner;
  readonly files: KernelFiles;
}): Collector & { readonly raw: RawSource } {
  let latest: ReadonlyMap<string, Bond> = new Map();

  return {
    name: 'bonds',
    async collect(sink) {
      const found = new Map<string, Bond>();
      for (const name of (await files.list(FOLDER)).slice(0, MAX_BONDS)) {
        const bond = bondOf(await files.read(`${FOLDER}/${name}`));
        if (bond !== null) found.set(name, bond);
      }
      latest = found;
      for (const [name, { cards, down }] of found) {
        const sub = labelOf(name);
        sink.put(host, 'nic', sub, 'bond_cards', cards);
        sink.put(host, 'nic', sub, 'bond_cards_down', down);
      }
    },
    raw(sink) {
      for (const [name, { cards, down }] of latest) {
        const labels = { interface: labelOf(name) };
        sink.add('hyper_host_bond_cards', labels, cards);
        sink.add('hyper_host_bond_cards_down', labels, down);
      }
    },
  };
}
