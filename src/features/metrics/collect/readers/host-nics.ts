/** Network cards of the machine: real ones, and the bonds, bridges and VLANs made of them. What libvirt plugs in for VMs is not here:
 *  it is told by VM. Formats: proc(5) and the kernel's Documentation/ABI/testing/sysfs-class-net. */

import { mapLimit } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { CounterMemory } from '../counter-memory.ts';
import { type KernelFiles, numberIn } from '../kernel-files.ts';
import { type Collector, type Owner, TICK_MS } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { RawSource } from '../raw-families.ts';

const MAX_NICS = 64;
const PARALLEL_READS = 4;
/** The loopback, and ends of cables that lead into VMs and containers. */
const NO_CARD = /^(lo|vnet\d|macvtap\d|tap|veth|cali|docker|br-[0-9a-f]{12})/;

interface NicCounters {
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly errors: number;
  readonly drops: number;
}

export function nicCounters(netDev: string): ReadonlyMap<string, NicCounters> {
  const nics = new Map<string, NicCounters>();
  for (const line of netDev.split('\n')) {
    const [, name, rest] = /^\s*([^\s:]+):\s*(.+)$/.exec(line) ?? [];
    const fields = rest?.trim().split(/\s+/).map(Number) ?? [];
    if (name === undefined || fields.length < 16 || fields.some(Number.isNaN)) continue;
    const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDrops = 0] = fields;
    const [txBytes = 0, txPackets = 0, txErrors = 0, txDrops = 0] = fields.slice(8);
    nics.set(name, {
      rxBytes,
      rxPackets,
      txBytes,
      txPackets,
      errors: rxErrors + txErrors,
      drops: rxDrops + txDrops,
    });
  }
  return nics;
}

export interface HostNicsOptions {
  readonly host: Owner;
  readonly files: KernelFiles;
  readonly clock: Clock;
  readonly memory: CounterMemory;
}

export function createHostNics({
  host,
  files,
  clock,
  memory,
}: HostNicsOptions): Collector & { readonly raw: RawSource } {
  let latest: ReadonlyMap<string, NicCounters> = new Map();

  return {
    name: 'host-nics',
    async collect(sink) {
      const text = await files.read('/proc/net/dev');
      const atMs = clock.monotonicMs();
      latest = new Map([...nicCounters(text ?? '')].filter(([name]) => !NO_CARD.test(name)).slice(0, MAX_NICS));
      const counters = memory.of('host');
      for (const [name, nic] of latest) {
        const sub = labelOf(name);
        const rate = (key: keyof NicCounters) => counters.rate(`nic/${name}/${key}`, nic[key], atMs, TICK_MS);
        sink.put(host, 'nic', sub, 'net_rx', rate('rxBytes'));
        sink.put(host, 'nic', sub, 'net_tx', rate('txBytes'));
        sink.put(host, 'nic', sub, 'net_rx_packets', rate('rxPackets'));
        sink.put(host, 'nic', sub, 'net_tx_packets', rate('txPackets'));
        sink.put(host, 'nic', sub, 'net_errors', rate('errors'));
        sink.put(host, 'nic', sub, 'net_drops', rate('drops'));
      }
      await mapLimit([...latest.keys()], PARALLEL_READS, async (name) => {
        const sub = labelOf(name);
        const state = (await files.read(`/sys/class/net/${name}/operstate`))?.trim() ?? 'unknown';
        // Drivers that do not know leave it at unknown; then nothing is said.
        sink.put(host, 'nic', sub, 'nic_up', state === 'unknown' ? null : Number(state === 'up'));
        // In Mbit/s; -1 or an error while there is no link, and for what has no speed.
        const megabits = numberIn(await files.read(`/sys/class/net/${name}/speed`));
        sink.put(host, 'nic', sub, 'nic_speed', megabits === null || megabits <= 0 ? null : (megabits * 1e6) / 8);
      });
    },
    raw(sink) {
      for (const [name, nic] of latest) {
        const labels = { interface: labelOf(name) };
        sink.add('hyper_host_net_receive_bytes_total', labels, nic.rxBytes);
        sink.add('hyper_host_net_transmit_bytes_total', labels, nic.txBytes);
        sink.add('hyper_host_net_errors_total', labels, nic.errors);
        sink.add('hyper_host_net_drops_total', labels, nic.drops);
      }
    },
  };
}
