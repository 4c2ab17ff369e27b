import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDomain } from './domain.ts';
import { restoredDomain, withoutPasswords } from './restored.ts';

const XML = `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web1</name><uuid>11111111-1111-4111-8111-111111111111</uuid><genid>22222222-2222-4222-8222-222222222222</genid>
  <metadata><hyper:vm xmlns:hyper='urn:hyper-nixos:1' op='op-old'/><other:thing xmlns:other='urn:other'/></metadata>
  <memory unit='KiB'>65536</memory><vcpu>1</vcpu>
  <sysinfo type='smbios'><system><entry name='uuid'>11111111-1111-4111-8111-111111111111</entry></system></sysinfo>
  <os><type arch='x86_64' machine='q35'>hvm</type><nvram template='/vars'>/nvram/old.fd</nvram></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2' discard='unmap'/><source file='/old/vda'><seclabel model='dac'/></source>
      <backingStore/><target dev='vda' bus='virtio'/><boot order='1'/></disk>
    <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/lv'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='x'/><target dev='vdc' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><source file='/iso/a'/><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='file' device='cdrom'><source file='/iso/b'/><target dev='sdb' bus='sata'/><readonly/></disk>
    <interface type='network'><mac address='52:54:00:AA:BB:CC'/><source network='default' portid='p'/><target dev='vnet0'/></interface>
    <serial type='pty'><log file='/serial/old' append='on'/></serial>
    <graphics type='vnc' passwd='secret' passwdValidTo='2030-01-01T00:00:00'/>
    <hostdev mode='subsystem' type='pci'/>
  </devices>
</domain>`;

test('passwords of screens do not go into a backup', () => {
  const kept = withoutPasswords(XML);
  assert.doesNotMatch(kept, /secret|passwd/);
  assert.match(kept, /<graphics type="vnc"\/>|<graphics type='vnc'\/>/);
});

test('a restored VM has its own identity and files, and keeps what nobody asked about', () => {
  const uuid = '33333333-3333-4333-8333-333333333333';
  const xml = restoredDomain(XML, {
    uuid,
    name: 'p3-copy',
    operationId: 'op-new',
    disks: {
      vda: { path: '/new/0.qcow2', format: 'qcow2' },
      vdb: { path: '/new/1.raw', format: 'raw' },
    },
    media: { sda: '/iso/a' },
    macs: { '52:54:00:aa:bb:cc': '52:54:00:00:00:01' },
    nvramPath: '/nvram/new.fd',
    serialLogPath: '/serial/new',
  });
  const facts = readDomain(xml);
  assert.equal(facts.uuid, uuid);
  assert.equal(facts.name, 'p3-copy');
  assert.deepEqual({ ...facts.metadata }, { op: 'op-new' });
  assert.equal(facts.nvramPath, '/nvram/new.fd');
  assert.equal(facts.serialLogPath, '/serial/new');
  assert.deepEqual(
    facts.disks.map(({ target, sourceType, source, format }) => ({ target, sourceType, source, format })),
    [
      { target: 'vda', sourceType: 'file', source: '/new/0.qcow2', format: 'qcow2' },
      { target: 'vdb', sourceType: 'file', source: '/new/1.raw', format: 'raw' },
      { target: 'sda', sourceType: 'file', source: '/iso/a', format: null },
      { target: 'sdb', sourceType: 'file', source: null, format: null },
    ],
  );
  assert.deepEqual(
    facts.nics.map(({ mac, target }) => ({ mac, target })),
    [{ mac: '52:54:00:00:00:01', target: null }],
  );
  assert.doesNotMatch(xml, /11111111|22222222|backingStore|seclabel|portid/);
  assert.match(xml, /urn:other/, 'elements of others stay');
  assert.match(xml, /<hostdev/, 'what may not be there is for the policy to refuse, not to be lost in silence');
  assert.match(xml, /discard=.unmap./);
});
