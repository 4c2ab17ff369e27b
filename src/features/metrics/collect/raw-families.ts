/** Counters and gauges as they were last read, for exports: names and units as monitoring systems expect them, in no particular text form. */

import type { MetricFamily } from '#platform/feature.ts';

export interface RawSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface RawFamily extends MetricFamily {
  readonly unit: NonNullable<MetricFamily['unit']> | null;
  readonly samples: readonly RawSample[];
}

export const counter = (unit: RawFamily['unit'], help: string) => ({ type: 'counter', unit, help }) as const;
export const gauge = (unit: RawFamily['unit'], help: string) => ({ type: 'gauge', unit, help }) as const;

/** All that are exported, in the order in which they are. */
const RAW_FAMILIES = {
  hyper_vm_info: { type: 'info', unit: null, help: 'The VM and the system of its guest, where the agent tells it.' },
  hyper_vm_state: { type: 'state_set', unit: null, help: 'State of the VM.' },
  hyper_vm_cpu_seconds_total: counter('seconds', 'Processor time of the VM, with what QEMU itself needs.'),
  hyper_vm_vcpu_seconds_total: counter('seconds', 'Processor time of each vCPU.'),
  hyper_vm_vcpu_delay_seconds_total: counter('seconds', 'Time that the vCPU was ready and waited for a processor.'),
  hyper_vm_vcpus: gauge(null, 'vCPUs that the VM has now.'),
  hyper_vm_memory_current_bytes: gauge('bytes', 'Memory that the VM has now.'),
  hyper_vm_memory_available_bytes: gauge('bytes', 'Memory that the guest sees.'),
  hyper_vm_memory_usable_bytes: gauge('bytes', 'Memory that programs of the guest can still get.'),
  hyper_vm_memory_rss_bytes: gauge('bytes', 'Memory of the host that the QEMU process holds.'),
  hyper_vm_memory_dirty_rate: gauge(
    null,
    'Memory that the guest changes, bytes per second; measured every 15 minutes.',
  ),
  hyper_vm_block_read_bytes_total: counter('bytes', 'Bytes read.'),
  hyper_vm_block_write_bytes_total: counter('bytes', 'Bytes written.'),
  hyper_vm_block_read_requests_total: counter(null, 'Reads.'),
  hyper_vm_block_write_requests_total: counter(null, 'Writes.'),
  hyper_vm_block_read_seconds_total: counter('seconds', 'Time of reads.'),
  hyper_vm_block_write_seconds_total: counter('seconds', 'Time of writes.'),
  hyper_vm_block_flush_requests_total: counter(null, 'Flushes.'),
  hyper_vm_block_flush_seconds_total: counter('seconds', 'Time of flushes.'),
  hyper_vm_block_capacity_bytes: gauge('bytes', 'Size of the disk as the guest sees it.'),
  hyper_vm_block_allocation_bytes: gauge('bytes', 'Space that the disk takes.'),
  hyper_vm_net_receive_bytes_total: counter('bytes', 'Bytes that the guest received.'),
  hyper_vm_net_transmit_bytes_total: counter('bytes', 'Bytes that the guest sent.'),
  hyper_vm_net_receive_packets_total: counter(null, 'Packets that the guest received.'),
  hyper_vm_net_transmit_packets_total: counter(null, 'Packets that the guest sent.'),
  hyper_vm_net_receive_errors_total: counter(null, 'Packets to the guest lost to errors.'),
  hyper_vm_net_transmit_errors_total: counter(null, 'Packets of the guest lost to errors.'),
  hyper_vm_net_receive_drops_total: counter(null, 'Packets to the guest dropped.'),
  hyper_vm_net_transmit_drops_total: counter(null, 'Packets of the guest dropped.'),
  hyper_vm_pressure_seconds_total: counter('seconds', 'Time that the VM waited for a resource of the host.'),
  hyper_vm_throttled_periods_total: counter(null, 'Periods in which the VM was held to its limit of processor time.'),
  hyper_vm_oom_kills_total: counter(null, 'Programs in the group of the VM that the kernel ended for want of memory.'),
  hyper_vm_crashes_total: counter(null, 'Crashes of the VM.'),
  hyper_vm_restarts_total: counter(null, 'Restarts of the guest by itself, and of the VM after a crash.'),
  hyper_vm_io_errors_total: counter(null, 'Errors of its disks that QEMU told of.'),
  hyper_vm_watchdog_total: counter(null, 'Times that its watchdog ran out.'),
  hyper_host_pressure_seconds_total: counter('seconds', 'Time that something waited for a resource.'),
  hyper_host_cpu_seconds_total: counter('seconds', 'Time of all processors, by what they did.'),
  hyper_host_cpus: gauge(null, 'Processors.'),
  hyper_host_load15: gauge(null, 'Load average of 15 minutes.'),
  hyper_host_memory_size_bytes: gauge('bytes', 'Memory of the host.'),
  hyper_host_memory_used_bytes: gauge('bytes', 'Memory that programs and guests hold.'),
  hyper_host_memory_available_bytes: gauge('bytes', 'Memory that programs can still get without swapping.'),
  hyper_host_swap_used_bytes: gauge('bytes', 'Swap space in use.'),
  hyper_host_swap_out_bytes_total: counter('bytes', 'Memory written to swap.'),
  hyper_host_ksm_saved_bytes: gauge('bytes', 'Memory that is saved because equal pages are kept once (KSM).'),
  hyper_host_hugepages_size_bytes: gauge('bytes', 'Memory set aside as huge pages.'),
  hyper_host_hugepages_free_bytes: gauge('bytes', 'Huge pages that are neither in use nor promised.'),
  hyper_host_oom_kills_total: counter(null, 'Programs that the kernel ended because memory ran out.'),
  hyper_host_conntrack_entries: gauge(null, 'Connections that the kernel tracks.'),
  hyper_host_disk_read_bytes_total: counter('bytes', 'Bytes read.'),
  hyper_host_disk_write_bytes_total: counter('bytes', 'Bytes written.'),
  hyper_host_disk_read_requests_total: counter(null, 'Reads.'),
  hyper_host_disk_write_requests_total: counter(null, 'Writes.'),
  hyper_host_disk_seconds_total: counter('seconds', 'Time of reads and writes.'),
  hyper_host_net_receive_bytes_total: counter('bytes', 'Bytes received.'),
  hyper_host_net_transmit_bytes_total: counter('bytes', 'Bytes sent.'),
  hyper_host_net_errors_total: counter(null, 'Packets lost to errors.'),
  hyper_host_net_drops_total: counter(null, 'Packets dropped.'),
  hyper_host_bond_cards: gauge(null, 'Cards of the bond.'),
  hyper_host_bond_cards_down: gauge(null, 'Cards of the bond that have no link.'),
  hyper_pool_capacity_bytes: gauge('bytes', 'Size of the storage pool.'),
  hyper_pool_allocation_bytes: gauge('bytes', 'Space of the storage pool in use.'),
  hyper_collector_period_seconds: gauge('seconds', 'How often QEMUs are asked for figures now.'),
  hyper_collector_lost_calls_total: counter(null, 'Questions to QEMUs that were given up.'),
  hyper_collector_rejected_total: counter(
    null,
    'Samples refused: numbers too large to be exact, or one entity too many.',
  ),
} as const satisfies Readonly<Record<string, Omit<RawFamily, 'name' | 'samples'>>>;

export type RawFamilyName = keyof typeof RAW_FAMILIES;

/** For whoever draws them: also those that this machine has no samples of. */
export const RAW_FAMILY_NAMES: readonly string[] = Object.keys(RAW_FAMILIES);

/** Takes samples while families are put together. */
export interface RawSink<Name extends string = RawFamilyName> {
  /** null is no sample. */
  add(name: Name, labels: Readonly<Record<string, string>>, value: number | null): void;
}

/** Something that knows raw figures. Never waits. */
export type RawSource<Name extends string = RawFamilyName> = (sink: RawSink<Name>) => void;

/** Our families that have samples now. */
export function readFamilies(sources: readonly RawSource[]): readonly RawFamily[] {
  return familiesOf(RAW_FAMILIES, sources);
}

/** Families of a table that have samples now, in its order. */
export function familiesOf<Name extends string>(
  table: Readonly<Record<Name, Omit<RawFamily, 'name' | 'samples'>>>,
  sources: readonly RawSource<Name>[],
): readonly RawFamily[] {
  const samples = new Map<string, RawSample[]>();
  const sink: RawSink<Name> = {
    add(name, labels, value) {
      if (value === null || !Number.isFinite(value)) return;
      const mine = samples.get(name);
      if (mine === undefined) samples.set(name, [{ labels, value }]);
      else mine.push({ labels, value });
    },
  };
  for (const source of sources) source(sink);
  return Object.entries<Omit<RawFamily, 'name' | 'samples'>>(table).flatMap(([name, family]) => {
    const mine = samples.get(name);
    return mine === undefined ? [] : [{ name, ...family, samples: mine }];
  });
}
