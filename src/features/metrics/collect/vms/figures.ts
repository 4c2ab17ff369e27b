/** libvirt's counters of one VM as figures of the catalogue. Pure but for the memory of the counters before. */

import type { OwnCounters } from '../counter-memory.ts';
import type { SampleSink } from '../measuring.ts';
import { labelOf } from '../names.ts';
import { blocksOf, nicsOf, numberOf, sumOf, type Values, vcpusOf } from './stat-values.ts';

export interface Look {
  readonly uuid: string;
  readonly values: Values;
  /** Monotonic. */
  readonly atMs: number;
  readonly periodMs: number;
  readonly counters: OwnCounters;
}

/** @param macs of the VM's network cards in the order of its definition */
export function putNetwork(sink: SampleSink, look: Look, macs: readonly string[]): void {
  const owner = { type: 'vm', id: look.uuid } as const;
  const nics = nicsOf(look.values);
  for (const [n, { name, prefix }] of nics.entries()) {
    // A card that was plugged in since the definition was read moves the others: then the host's name is all that is sure.
    const sub = labelOf((nics.length === macs.length && macs[n]) || name);
    if (sub === '') continue;
    const rate = (...fields: readonly string[]) =>
      sumOf(
        ...fields.map((field) =>
          look.counters.rate(`net/${sub}/${field}`, numberOf(look.values, prefix + field), look.atMs, look.periodMs),
        ),
      );
    sink.put(owner, 'vnic', sub, 'net_rx', rate('rx.bytes'));
    sink.put(owner, 'vnic', sub, 'net_tx', rate('tx.bytes'));
    sink.put(owner, 'vnic', sub, 'net_rx_packets', rate('rx.pkts'));
    sink.put(owner, 'vnic', sub, 'net_tx_packets', rate('tx.pkts'));
    sink.put(owner, 'vnic', sub, 'net_errors', rate('rx.errs', 'tx.errs'));
    sink.put(owner, 'vnic', sub, 'net_drops', rate('rx.drop', 'tx.drop'));
  }
}

/** @param isCpuKnown the processor time was already told by the VM's control group */
export function putProcessors(sink: SampleSink, look: Look, isCpuKnown: boolean): void {
  const owner = { type: 'vm', id: look.uuid } as const;
  const vcpus = numberOf(look.values, 'vcpu.current');
  if (vcpus === null || vcpus < 1) return;
  if (!isCpuKnown) {
    const busy = look.counters.rate('cpu', numberOf(look.values, 'cpu.time'), look.atMs, look.periodMs);
    sink.put(owner, 'vm', '', 'cpu_usage', busy === null ? null : busy / 1e9 / vcpus);
  }
  const delayed = sumOf(
    ...vcpusOf(look.values).map((n) =>
      look.counters.rate(`delay/${n}`, numberOf(look.values, `vcpu.${n}.delay`), look.atMs, look.periodMs),
    ),
  );
  sink.put(owner, 'vm', '', 'cpu_steal', delayed === null ? null : Math.min(1, delayed / 1e9 / vcpus));
}

const KIB = 1024;
/** The guest's driver reports every ten seconds; after three left out its figures are old. */
const STALE_SECONDS = 30;

/** @param atWallMs wall time of the look, in which the guest's driver stamps its reports */
export function putMemory(sink: SampleSink, look: Look, atWallMs: number, isRssKnown: boolean): void {
  const owner = { type: 'vm', id: look.uuid } as const;
  const kib = (name: string) => {
    const value = numberOf(look.values, `balloon.${name}`);
    return value === null ? null : value * KIB;
  };
  sink.put(owner, 'vm', '', 'mem_balloon', kib('current'));
  if (!isRssKnown) sink.put(owner, 'vm', '', 'mem_rss', kib('rss'));
  // 0 without a driver in the guest; then the other numbers say nothing of it.
  const reportedAt = numberOf(look.values, 'balloon.last-update') ?? 0;
  if (reportedAt === 0 || Math.abs(atWallMs / 1000 - reportedAt) > STALE_SECONDS) return;
  const available = kib('available');
  const usable = kib('usable');
  if (available !== null && usable !== null && available > 0) {
    const used = Math.max(0, available - usable);
    sink.put(owner, 'vm', '', 'mem_usage', used / available);
    sink.put(owner, 'vm', '', 'mem_used', used);
    sink.put(owner, 'vm', '', 'mem_available', usable);
  }
  const swapOut = look.counters.rate('swap-out', kib('swap_out'), look.atMs, look.periodMs);
  sink.put(owner, 'vm', '', 'swap_out', swapOut);
}

/** @param isSizeDue sizes are told less often than what a disk does */
export function putDisks(sink: SampleSink, look: Look, isSizeDue: boolean): void {
  const owner = { type: 'vm', id: look.uuid } as const;
  for (const [target, prefix] of blocksOf(look.values)) {
    const sub = labelOf(target);
    const at = (field: string) => numberOf(look.values, prefix + field);
    const growth = (field: string) =>
      look.counters.growth(`block/${target}/${field}`, at(field), look.atMs, look.periodMs);
    const [reads, writes, flushes] = [growth('rd.reqs'), growth('wr.reqs'), growth('fl.reqs')];
    const perSecond = (grown: ReturnType<typeof growth>) => (grown === null ? null : grown.amount / grown.seconds);
    sink.put(owner, 'vdisk', sub, 'disk_read', perSecond(growth('rd.bytes')));
    sink.put(owner, 'vdisk', sub, 'disk_write', perSecond(growth('wr.bytes')));
    sink.put(owner, 'vdisk', sub, 'disk_read_ops', perSecond(reads));
    sink.put(owner, 'vdisk', sub, 'disk_write_ops', perSecond(writes));
    const times = [growth('rd.times'), growth('wr.times'), growth('fl.times')];
    const requests = sumOf(...[reads, writes, flushes].map((grown) => grown?.amount ?? null));
    const nanoseconds = sumOf(...times.map((grown) => grown?.amount ?? null));
    sink.put(
      owner,
      'vdisk',
      sub,
      'disk_latency',
      requests && nanoseconds !== null ? nanoseconds / requests / 1e9 : null,
    );
    if (!isSizeDue) continue;
    sink.put(owner, 'vdisk', sub, 'disk_allocated', at('allocation'));
    sink.put(owner, 'vdisk', sub, 'disk_capacity', at('capacity'));
  }
}
