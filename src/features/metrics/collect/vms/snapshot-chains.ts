/** How many files the disks of VMs lie on, and how old their snapshots are. Asked beside the ticks: for the files libvirt asks every QEMU. */

import { mapLimit } from '#kernel/async.ts';
import { isNotFound, parseXml, textAt } from '#libvirt/index.ts';
import type { SlowReader } from '../slow-reader.ts';
import { numberOf, textOf, type Values } from './stat-values.ts';

const BATCH = 50;
const PARALLEL_QUESTIONS = 2;
const MAX_ENTRIES = 2_048;
const MAX_XML_BYTES = 2 ** 22;

/** Files of the longest chain; libvirt gives each file an entry of its own, with the name of the disk. null without disks. */
export function longestChain(values: Values): number | null {
  const lengths = new Map<string, number>();
  const count = Math.min(numberOf(values, 'block.count') ?? 0, MAX_ENTRIES);
  for (let n = 0; n < count; n += 1) {
    const name = textOf(values, `block.${n}.name`);
    if (name !== null) lengths.set(name, (lengths.get(name) ?? 0) + 1);
  }
  return lengths.size === 0 ? null : Math.max(...lengths.values());
}

/** When a snapshot was made, seconds since 1970; null where its description does not tell. */
export function snapshotTime(xml: string): number | null {
  const seconds = Number(textAt(parseXml(xml, MAX_XML_BYTES), 'creationTime') ?? Number.NaN);
  return Number.isSafeInteger(seconds) && seconds > 0 ? seconds : null;
}

export interface ChainFigures {
  readonly chain: number | null;
  /** When its oldest snapshot was made, seconds since 1970; null without snapshots. */
  readonly oldestSnapshotAt: number | null;
}

export interface SnapshotChainPorts {
  /** All VMs; `isAsked` for those whose QEMU runs and answers. */
  vms(): readonly { readonly id: string; readonly isAsked: boolean }[];
  /** Statistics of disks with the files that they lie on. */
  blockStats(uuids: readonly string[]): Promise<ReadonlyMap<string, Values>>;
  snapshots(uuid: string): Promise<readonly string[]>;
  snapshotXml(uuid: string, name: string): Promise<string>;
  nowSeconds(): number;
}

export function snapshotChainsReader(ports: SnapshotChainPorts): SlowReader<ReadonlyMap<string, ChainFigures>> {
  /** Times of snapshots by VM and name: they do not change. */
  let times = new Map<string, ReadonlyMap<string, number | null>>();

  const timesOf = async (uuid: string): Promise<ReadonlyMap<string, number | null>> => {
    const known = times.get(uuid);
    const found = new Map<string, number | null>();
    for (const name of await ports.snapshots(uuid)) {
      const before = known?.get(name);
      found.set(name, before === undefined ? snapshotTime(await ports.snapshotXml(uuid, name)) : before);
    }
    return found;
  };

  return {
    name: 'snapshot chains',
    periodMs: 60_000,
    async read(signal) {
      const vms = ports.vms();
      const chains = new Map<string, number | null>();
      const asked = vms.filter(({ isAsked }) => isAsked).map(({ id }) => id);
      for (let at = 0; at < asked.length && !signal.aborted; at += BATCH)
        for (const [uuid, values] of await ports.blockStats(asked.slice(at, at + BATCH)))
          chains.set(uuid, longestChain(values));
      const present = new Map<string, ReadonlyMap<string, number | null>>();
      await mapLimit(vms, PARALLEL_QUESTIONS, async ({ id }) => {
        if (signal.aborted) return;
        try {
          present.set(id, await timesOf(id));
        } catch (error) {
          // The VM or the snapshot went away while it was looked at.
          if (!isNotFound(error)) throw error;
        }
      });
      times = present;
      return new Map(
        vms.map(({ id }) => {
          const known = [...(present.get(id)?.values() ?? [])].filter((time) => time !== null);
          return [
            id,
            { chain: chains.get(id) ?? null, oldestSnapshotAt: known.length > 0 ? Math.min(...known) : null },
          ];
        }),
      );
    },
    put(sink, figures) {
      for (const [id, { chain, oldestSnapshotAt }] of figures) {
        const owner = { type: 'vm', id } as const;
        sink.put(owner, 'vm', '', 'snapshot_chain', chain);
        sink.put(
          owner,
          'vm',
          '',
          'snapshot_age',
          oldestSnapshotAt === null ? null : Math.max(0, ports.nowSeconds() - oldestSnapshotAt),
        );
      }
    },
  };
}
