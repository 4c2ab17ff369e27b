/** The counters of VMs as they were last read, for exports. */

import type { Vm } from '#contract/vms.ts';
import { vmStateSchema } from '#contract/vms.ts';
import { type EventCounts, RAW_VM_COUNTS, VM_COUNTS } from '../event-counts.ts';
import { labelOf } from '../names.ts';
import type { RawFamilyName, RawSink, RawSource } from '../raw-families.ts';
import type { QemuFigures } from './qemu-processes.ts';
import { blocksOf, nicsOf, numberOf, type Values, vcpusOf } from './stat-values.ts';
import type { VmReadings } from './vm-figures.ts';

export interface RawVmParts {
  vms(): readonly Vm[];
  readonly readings: VmReadings;
  qemus(): ReadonlyMap<string, QemuFigures>;
  readonly counts: EventCounts;
  systemOf(uuid: string): string | null;
  /** Bytes per second. */
  dirtyRateOf(uuid: string): number | null;
  hostName(): string;
  projectName(id: string): string;
}

type Labels = Readonly<Record<string, string>>;

const BLOCK_FAMILIES: readonly (readonly [string, RawFamilyName, number])[] = [
  ['rd.bytes', 'hyper_vm_block_read_bytes_total', 1],
  ['wr.bytes', 'hyper_vm_block_write_bytes_total', 1],
  ['rd.reqs', 'hyper_vm_block_read_requests_total', 1],
  ['wr.reqs', 'hyper_vm_block_write_requests_total', 1],
  ['fl.reqs', 'hyper_vm_block_flush_requests_total', 1],
  ['rd.times', 'hyper_vm_block_read_seconds_total', 1e9],
  ['wr.times', 'hyper_vm_block_write_seconds_total', 1e9],
  ['fl.times', 'hyper_vm_block_flush_seconds_total', 1e9],
  ['capacity', 'hyper_vm_block_capacity_bytes', 1],
  ['allocation', 'hyper_vm_block_allocation_bytes', 1],
];

const NET_FAMILIES: readonly (readonly [string, RawFamilyName])[] = [
  ['rx.bytes', 'hyper_vm_net_receive_bytes_total'],
  ['tx.bytes', 'hyper_vm_net_transmit_bytes_total'],
  ['rx.pkts', 'hyper_vm_net_receive_packets_total'],
  ['tx.pkts', 'hyper_vm_net_transmit_packets_total'],
  ['rx.errs', 'hyper_vm_net_receive_errors_total'],
  ['tx.errs', 'hyper_vm_net_transmit_errors_total'],
  ['rx.drop', 'hyper_vm_net_receive_drops_total'],
  ['tx.drop', 'hyper_vm_net_transmit_drops_total'],
];

export function rawVms(parts: RawVmParts): RawSource {
  return (sink) => {
    for (const vm of parts.vms()) {
      const labels = {
        host: parts.hostName(),
        vm: labelOf(vm.name),
        uuid: vm.id,
        project: parts.projectName(vm.project),
      };
      sink.add('hyper_vm_info', { ...labels, os: parts.systemOf(vm.id) ?? '' }, 1);
      for (const state of vmStateSchema.options)
        sink.add('hyper_vm_state', { ...labels, state }, Number(vm.state === state));
      for (const metric of VM_COUNTS) sink.add(RAW_VM_COUNTS[metric], labels, parts.counts.count(vm.id, metric));
      sink.add('hyper_vm_memory_dirty_rate', labels, vm.state === 'running' ? parts.dirtyRateOf(vm.id) : null);
      const plain = parts.readings.plain.get(vm.id);
      const monitor = parts.readings.monitor.get(vm.id);
      const qemu = parts.qemus().get(vm.id);
      if (plain) addNetwork(sink, labels, plain.values, vm);
      if (monitor) addMonitor(sink, labels, monitor.values);
      if (qemu) addQemu(sink, labels, qemu);
      const toldKib = monitor ? numberOf(monitor.values, 'balloon.rss') : null;
      sink.add('hyper_vm_memory_rss_bytes', labels, qemu?.rssBytes ?? (toldKib === null ? null : toldKib * 1024));
    }
  };
}

function addNetwork(sink: RawSink, labels: Labels, values: Values, vm: Vm): void {
  const nics = nicsOf(values);
  for (const [n, { name, prefix }] of nics.entries()) {
    const interfaceName = labelOf((nics.length === vm.nics.length && vm.nics[n]?.mac) || name);
    for (const [field, family] of NET_FAMILIES)
      sink.add(family, { ...labels, interface: interfaceName }, numberOf(values, prefix + field));
  }
}

function addMonitor(sink: RawSink, labels: Labels, values: Values): void {
  const scaled = (name: string, divisor: number) => {
    const value = numberOf(values, name);
    return value === null ? null : value / divisor;
  };
  const kib = (name: string) => scaled(`balloon.${name}`, 1 / 1024);
  sink.add('hyper_vm_cpu_seconds_total', labels, scaled('cpu.time', 1e9));
  sink.add('hyper_vm_vcpus', labels, numberOf(values, 'vcpu.current'));
  for (const n of vcpusOf(values)) {
    const vcpu = String(n);
    sink.add('hyper_vm_vcpu_seconds_total', { ...labels, vcpu }, scaled(`vcpu.${n}.time`, 1e9));
    sink.add('hyper_vm_vcpu_delay_seconds_total', { ...labels, vcpu }, scaled(`vcpu.${n}.delay`, 1e9));
  }
  sink.add('hyper_vm_memory_current_bytes', labels, kib('current'));
  // Without a driver in the guest these are not of the guest.
  if ((numberOf(values, 'balloon.last-update') ?? 0) > 0) {
    sink.add('hyper_vm_memory_available_bytes', labels, kib('available'));
    sink.add('hyper_vm_memory_usable_bytes', labels, kib('usable'));
  }
  for (const [target, prefix] of blocksOf(values))
    for (const [field, family, divisor] of BLOCK_FAMILIES)
      sink.add(family, { ...labels, device: labelOf(target) }, scaled(prefix + field, divisor));
}

function addQemu(sink: RawSink, labels: Labels, { group }: QemuFigures): void {
  if (group === null) return;
  sink.add('hyper_vm_throttled_periods_total', labels, group.throttledPeriods);
  sink.add('hyper_vm_oom_kills_total', labels, group.oomKills);
  for (const [resource, pressure] of group.pressures)
    for (const type of ['some', 'full'] as const) {
      const micros = pressure[type];
      sink.add('hyper_vm_pressure_seconds_total', { ...labels, resource, type }, micros === null ? null : micros / 1e6);
    }
}
