/** Statistics of a VM as libvirt 9.0 gives them, for tests. */

import type { Values } from './stat-values.ts';

const GIB = 2 ** 20;

/** A Linux guest with its balloon's driver, one disk, one network card and two vCPUs. */
export const COUNTERS: Readonly<Record<string, number | bigint | string>> = {
  'state.state': 1,
  'state.reason': 1,
  'cpu.time': 100_000_000_000,
  'cpu.user': 4_000_000_000,
  'cpu.system': 9_000_000_000,
  'balloon.current': GIB,
  'balloon.maximum': GIB,
  'balloon.swap_in': 0,
  'balloon.swap_out': 1_000,
  'balloon.available': 1_000_000,
  'balloon.usable': 250_000,
  'balloon.unused': 100_000,
  'balloon.last-update': 1_767_225_600,
  'balloon.rss': 300_000,
  'vcpu.current': 2,
  'vcpu.maximum': 4,
  'vcpu.0.state': 1,
  'vcpu.0.time': 40_000_000_000,
  'vcpu.0.delay': 1_000_000_000,
  'vcpu.3.state': 1,
  'vcpu.3.time': 30_000_000_000,
  'vcpu.3.delay': 2_000_000_000,
  'net.count': 1,
  'net.0.name': 'vnet7',
  'net.0.rx.bytes': 1_000,
  'net.0.rx.pkts': 10,
  'net.0.rx.errs': 0,
  'net.0.rx.drop': 1,
  'net.0.tx.bytes': 2_000,
  'net.0.tx.pkts': 20,
  'net.0.tx.errs': 0,
  'net.0.tx.drop': 0,
  'block.count': 1,
  'block.0.name': 'vda',
  'block.0.path': '/pool/web1.qcow2',
  'block.0.rd.reqs': 100,
  'block.0.rd.bytes': 1_000_000,
  'block.0.rd.times': 50_000_000,
  'block.0.wr.reqs': 10,
  'block.0.wr.bytes': 500_000,
  'block.0.wr.times': 40_000_000,
  'block.0.fl.reqs': 5,
  'block.0.fl.times': 10_000_000,
  'block.0.allocation': 700_000,
  'block.0.capacity': 10_737_418_240,
  'block.0.physical': 800_000,
};

export function countersWith(change: Readonly<Record<string, number | bigint | string>> = {}): Values {
  return new Map(Object.entries({ ...COUNTERS, ...change }));
}

/** What is left of it while its QEMU stands still. */
export const REDUCED: Values = new Map<string, number | string>([
  ['cpu.time', 100_000_000_000],
  ['balloon.current', GIB],
  ['balloon.maximum', GIB],
  ['vcpu.current', 2],
  ['block.count', 2],
  ['block.0.name', 'vda'],
  ['block.0.path', '/pool/web1.qcow2'],
  ['block.1.name', 'sda'],
]);
