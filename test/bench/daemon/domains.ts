/** What the measured hosts hold: a file for libvirt's test driver, and QEMU guests so small that starting one is mostly libvirt's work. */

import { newUuid } from '#kernel/ids.ts';

const SHUT_OFF = 5;

/** The file behind `test:///path`: every fifth VM runs, each has the devices of an ordinary one. */
export function testHostXml(count: number): string {
  const domains = Array.from({ length: count }, (_, n) => testDomainXml(n));
  return `<node>\n${domains.join('\n')}\n</node>\n`;
}

function testDomainXml(n: number): string {
  const name = `vm-${String(n).padStart(4, '0')}`;
  const mac = `52:54:00:00:${hex(n >> 8)}:${hex(n & 255)}`;
  const runState = n % 5 === 0 ? '' : `<test:runstate>${SHUT_OFF}</test:runstate>`;
  return `<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
  <name>${name}</name><title>Machine ${n}</title><description>Number ${n} of many</description>
  <memory unit='MiB'>2048</memory><vcpu>2</vcpu>
  <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/libvirt/images/${name}.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><source file='/var/lib/libvirt/images/installer.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='network'><mac address='${mac}'/><source network='default'/><model type='virtio'/></interface>
    <serial type='pty'/><console type='pty'/><graphics type='vnc'/>
  </devices>
  ${runState}
</domain>`;
}

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** A QEMU guest under software emulation with nothing to boot. */
export function tinyGuestXml(name: string, { uuid = newUuid(), title = 'Tiny' } = {}): string {
  return `<domain type='qemu'>
  <name>${name}</name><uuid>${uuid}</uuid><title>${title}</title>
  <memory unit='MiB'>16</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><controller type='usb' model='none'/><memballoon model='none'/></devices>
</domain>
`;
}
