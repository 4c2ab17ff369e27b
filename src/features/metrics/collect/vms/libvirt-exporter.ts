/** The figures of VMs under the names of another exporter, for dashboards that were made for it: github.com/Tinkoff/libvirt-exporter 2.3.3
 *  (names, labels and units of that version; exporters of this family differ in them). What it would have to ask libvirt for beside
 *  the statistics is left out: limits of disks, the processor that a vCPU runs on, versions. */

import type { Pool } from '#contract/networks.ts';
import type { Vm, VmState } from '#contract/vms.ts';
import { labelOf } from '../names.ts';
import { counter, familiesOf, gauge, type RawFamily, type RawSink, type RawSource } from '../raw-families.ts';
import type { QemuFigures } from './qemu-processes.ts';
import { blocksOf, nicsOf, numberOf, type Values, vcpusOf } from './stat-values.ts';
import type { VmReadings } from './vm-figures.ts';

const info = (help: string) => gauge(null, help);

const FAMILIES = {
  libvirt_up: info('1 while libvirt answers.'),
  libvirt_pool_info_capacity_bytes: gauge('bytes', 'Size of the storage pool.'),
  libvirt_pool_info_allocation_bytes: gauge('bytes', 'Space of the storage pool in use.'),
  libvirt_pool_info_available_bytes: gauge('bytes', 'Space of the storage pool that is left.'),
  libvirt_domain_info_meta: info('The VM.'),
  libvirt_domain_info_maximum_memory_bytes: gauge('bytes', 'Memory that the VM may have.'),
  libvirt_domain_info_memory_usage_bytes: gauge('bytes', 'Memory that the VM has now.'),
  libvirt_domain_info_virtual_cpus: gauge(null, 'vCPUs of the VM.'),
  libvirt_domain_info_cpu_time_seconds_total: counter('seconds', 'Processor time of the VM.'),
  libvirt_domain_info_vstate: gauge(null, 'State of the VM as the number of libvirt (virDomainState).'),
  libvirt_domain_vcpu_time_seconds_total: counter('seconds', 'Processor time of the vCPU.'),
  libvirt_domain_vcpu_delay_seconds_total: counter('seconds', 'Time that the vCPU was ready and waited.'),
  libvirt_domain_vcpu_wait_seconds_total: counter('seconds', 'Time that the vCPU waited for input or output.'),
  libvirt_domain_vcpu_state: gauge(null, 'State of the vCPU as the number of libvirt (virVcpuState).'),
  libvirt_domain_block_meta: info('The disk.'),
  libvirt_domain_block_stats_read_bytes_total: counter('bytes', 'Bytes read.'),
  libvirt_domain_block_stats_read_requests_total: counter(null, 'Reads.'),
  libvirt_domain_block_stats_read_time_seconds_total: counter('seconds', 'Time of reads.'),
  libvirt_domain_block_stats_write_bytes_total: counter('bytes', 'Bytes written.'),
  libvirt_domain_block_stats_write_requests_total: counter(null, 'Writes.'),
  libvirt_domain_block_stats_write_time_seconds_total: counter('seconds', 'Time of writes.'),
  libvirt_domain_block_stats_flush_requests_total: counter(null, 'Flushes.'),
  libvirt_domain_block_stats_flush_time_seconds_total: counter('seconds', 'Time of flushes.'),
  libvirt_domain_block_stats_allocation: gauge(null, 'Highest byte that was written.'),
  libvirt_domain_block_stats_capacity_bytes: gauge('bytes', 'Size as the guest sees it.'),
  libvirt_domain_block_stats_physicalsize_bytes: gauge('bytes', 'Size of what holds it.'),
  libvirt_domain_interface_meta: info('The network card.'),
  libvirt_domain_interface_stats_receive_bytes_total: counter('bytes', 'Bytes received.'),
  libvirt_domain_interface_stats_receive_packets_total: counter(null, 'Packets received.'),
  libvirt_domain_interface_stats_receive_errors_total: counter(null, 'Packets lost to errors.'),
  libvirt_domain_interface_stats_receive_drops_total: counter(null, 'Packets dropped.'),
  libvirt_domain_interface_stats_transmit_bytes_total: counter('bytes', 'Bytes sent.'),
  libvirt_domain_interface_stats_transmit_packets_total: counter(null, 'Packets sent.'),
  libvirt_domain_interface_stats_transmit_errors_total: counter(null, 'Packets lost to errors.'),
  libvirt_domain_interface_stats_transmit_drops_total: counter(null, 'Packets dropped.'),
  libvirt_domain_memory_stats_major_fault_total: counter(null, 'Page faults of the guest that read from a disk.'),
  libvirt_domain_memory_stats_minor_fault_total: counter(null, 'Page faults of the guest that did not.'),
  libvirt_domain_memory_stats_unused_bytes: gauge('bytes', 'Memory that the guest uses for nothing.'),
  libvirt_domain_memory_stats_available_bytes: gauge('bytes', 'Memory that the guest sees.'),
  libvirt_domain_memory_stats_actual_balloon_bytes: gauge('bytes', 'Memory that the VM has now.'),
  libvirt_domain_memory_stats_rss_bytes: gauge('bytes', 'Memory of the host that the QEMU process holds.'),
  libvirt_domain_memory_stats_usable_bytes: gauge('bytes', 'Memory that programs of the guest can still get.'),
  libvirt_domain_memory_stats_disk_cache_bytes: gauge('bytes', 'Memory of the guest that caches disks.'),
  libvirt_domain_memory_stats_used_percent: gauge(null, 'Memory of the guest in use, percent.'),
} as const;

type Name = keyof typeof FAMILIES;
type Sink = RawSink<Name>;
type Labels = Readonly<Record<string, string>>;

export interface LibvirtExporterParts {
  readonly readings: VmReadings;
  qemus(): ReadonlyMap<string, QemuFigures>;
  isUp(): boolean;
  /** What libvirt calls it: unlike the name of a VM it is there once on a host. */
  domainName(vm: Vm): string;
  projectName(id: string): string;
}

/** What the asker may see. */
export interface LibvirtExporterView {
  readonly vms: readonly Vm[];
  readonly pools: readonly Pick<Pool, 'name' | 'capacityBytes' | 'allocatedBytes' | 'availableBytes'>[];
}

/** libvirt's numbers (virDomainState). */
const STATE_NUMBERS: Readonly<Record<VmState, number>> = {
  unknown: 0,
  running: 1,
  idle: 2,
  paused: 3,
  shutting_down: 4,
  off: 5,
  crashed: 6,
  suspended: 7,
};

const BLOCK_FIELDS: readonly (readonly [string, Name, number])[] = [
  ['rd.bytes', 'libvirt_domain_block_stats_read_bytes_total', 1],
  ['rd.reqs', 'libvirt_domain_block_stats_read_requests_total', 1],
  ['rd.times', 'libvirt_domain_block_stats_read_time_seconds_total', 1e9],
  ['wr.bytes', 'libvirt_domain_block_stats_write_bytes_total', 1],
  ['wr.reqs', 'libvirt_domain_block_stats_write_requests_total', 1],
  ['wr.times', 'libvirt_domain_block_stats_write_time_seconds_total', 1e9],
  ['fl.reqs', 'libvirt_domain_block_stats_flush_requests_total', 1],
  ['fl.times', 'libvirt_domain_block_stats_flush_time_seconds_total', 1e9],
  ['allocation', 'libvirt_domain_block_stats_allocation', 1],
  ['capacity', 'libvirt_domain_block_stats_capacity_bytes', 1],
  ['physical', 'libvirt_domain_block_stats_physicalsize_bytes', 1],
];

const NIC_FIELDS: readonly (readonly [string, Name])[] = [
  ['rx.bytes', 'libvirt_domain_interface_stats_receive_bytes_total'],
  ['rx.pkts', 'libvirt_domain_interface_stats_receive_packets_total'],
  ['rx.errs', 'libvirt_domain_interface_stats_receive_errors_total'],
  ['rx.drop', 'libvirt_domain_interface_stats_receive_drops_total'],
  ['tx.bytes', 'libvirt_domain_interface_stats_transmit_bytes_total'],
  ['tx.pkts', 'libvirt_domain_interface_stats_transmit_packets_total'],
  ['tx.errs', 'libvirt_domain_interface_stats_transmit_errors_total'],
  ['tx.drop', 'libvirt_domain_interface_stats_transmit_drops_total'],
];

const VCPU_FIELDS: readonly (readonly [string, Name, number])[] = [
  ['time', 'libvirt_domain_vcpu_time_seconds_total', 1e9],
  ['delay', 'libvirt_domain_vcpu_delay_seconds_total', 1e9],
  ['wait', 'libvirt_domain_vcpu_wait_seconds_total', 1e9],
  ['state', 'libvirt_domain_vcpu_state', 1],
];

const KIB = 1024;

export function libvirtExporterFamilies(
  parts: LibvirtExporterParts,
  { vms, pools }: LibvirtExporterView,
): readonly RawFamily[] {
  const source: RawSource<Name> = (sink) => {
    sink.add('libvirt_up', {}, Number(parts.isUp()));
    for (const pool of pools) {
      const labels = { pool: labelOf(pool.name) };
      sink.add('libvirt_pool_info_capacity_bytes', labels, pool.capacityBytes);
      sink.add('libvirt_pool_info_allocation_bytes', labels, pool.allocatedBytes);
      sink.add('libvirt_pool_info_available_bytes', labels, pool.availableBytes);
    }
    for (const vm of vms) {
      const domain = labelOf(parts.domainName(vm));
      addInfo(sink, vm, domain, parts.projectName(vm.project));
      const plain = parts.readings.plain.get(vm.id);
      if (plain) addNetwork(sink, vm, domain, plain.values);
      const monitor = parts.readings.monitor.get(vm.id);
      if (monitor) addMonitor(sink, vm, domain, monitor.values);
      const toldKib = monitor ? numberOf(monitor.values, 'balloon.rss') : null;
      const rssBytes = parts.qemus().get(vm.id)?.rssBytes ?? (toldKib === null ? null : toldKib * KIB);
      sink.add('libvirt_domain_memory_stats_rss_bytes', { domain }, rssBytes);
    }
  };
  return familiesOf<Name>(FAMILIES, [source]);
}

/** What that exporter reads of OpenStack's own words in a definition is empty, but for the names. */
function addInfo(sink: Sink, vm: Vm, domain: string, projectName: string): void {
  const meta: Labels = {
    domain,
    uuid: vm.id,
    instance_name: labelOf(vm.name),
    flavor: '',
    user_name: '',
    user_uuid: '',
    project_name: projectName,
    project_uuid: '',
    root_type: '',
    root_uuid: '',
  };
  sink.add('libvirt_domain_info_meta', meta, 1);
  sink.add('libvirt_domain_info_maximum_memory_bytes', { domain }, vm.memoryBytes);
  sink.add('libvirt_domain_info_virtual_cpus', { domain }, vm.vcpus);
  sink.add('libvirt_domain_info_vstate', { domain }, STATE_NUMBERS[vm.state]);
}

function addNetwork(sink: Sink, vm: Vm, domain: string, values: Values): void {
  const nics = nicsOf(values);
  for (const [n, { name, prefix }] of nics.entries()) {
    const device = labelOf(name);
    if (device === '') continue;
    const nic = nics.length === vm.nics.length ? vm.nics[n] : undefined;
    if (nic?.sourceType === 'bridge' && nic.source !== null) {
      const meta = { domain, source_bridge: labelOf(nic.source), target_device: device, virtual_interface: '' };
      sink.add('libvirt_domain_interface_meta', meta, 1);
    }
    for (const [field, family] of NIC_FIELDS)
      sink.add(family, { domain, target_device: device }, numberOf(values, prefix + field));
  }
}

function addMonitor(sink: Sink, vm: Vm, domain: string, values: Values): void {
  const scaled = (name: string, divisor: number) => {
    const value = numberOf(values, name);
    return value === null ? null : value / divisor;
  };
  const kib = (name: string) => scaled(`balloon.${name}`, 1 / KIB);
  sink.add('libvirt_domain_info_memory_usage_bytes', { domain }, kib('current'));
  sink.add('libvirt_domain_info_cpu_time_seconds_total', { domain }, scaled('cpu.time', 1e9));
  for (const n of vcpusOf(values))
    for (const [field, family, divisor] of VCPU_FIELDS)
      sink.add(family, { domain, vcpu: String(n) }, scaled(`vcpu.${n}.${field}`, divisor));
  for (const [target, prefix] of blocksOf(values)) {
    const device = labelOf(target);
    const disk = vm.disks.find((one) => one.target === target);
    const meta: Labels = {
      domain,
      target_device: device,
      source_file: labelOf(disk?.source ?? ''),
      serial: '',
      bus: disk?.bus ?? '',
      disk_type: '',
      driver_type: disk?.format ?? '',
      cache: '',
      discard: '',
    };
    sink.add('libvirt_domain_block_meta', meta, 1);
    for (const [field, family, divisor] of BLOCK_FIELDS)
      sink.add(family, { domain, target_device: device }, scaled(prefix + field, divisor));
  }
  sink.add('libvirt_domain_memory_stats_actual_balloon_bytes', { domain }, kib('current'));
  // Without a driver in the guest the others are not of the guest.
  if ((numberOf(values, 'balloon.last-update') ?? 0) === 0) return;
  const [available, usable] = [kib('available'), kib('usable')];
  sink.add('libvirt_domain_memory_stats_major_fault_total', { domain }, numberOf(values, 'balloon.major_fault'));
  sink.add('libvirt_domain_memory_stats_minor_fault_total', { domain }, numberOf(values, 'balloon.minor_fault'));
  sink.add('libvirt_domain_memory_stats_unused_bytes', { domain }, kib('unused'));
  sink.add('libvirt_domain_memory_stats_available_bytes', { domain }, available);
  sink.add('libvirt_domain_memory_stats_usable_bytes', { domain }, usable);
  sink.add('libvirt_domain_memory_stats_disk_cache_bytes', { domain }, kib('disk_caches'));
  const used = available && usable !== null ? ((available - usable) / available) * 100 : null;
  sink.add('libvirt_domain_memory_stats_used_percent', { domain }, used);
}
