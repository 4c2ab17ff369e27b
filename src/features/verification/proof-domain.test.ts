import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attribute, buildDomainXml, child, children, parseXml, readDomain } from '#libvirt/index.ts';
import { operationOfProof, type ProofDomainSpec, proofDomain, proofName } from './proof-domain.ts';

const OPERATION = 'op-01kabcdefghjkmnpqrstvwxyz0';
const UUID = '11111111-2222-4333-8444-555555555555';

const spec = (change: Partial<ProofDomainSpec> = {}): ProofDomainSpec => ({
  operationId: OPERATION,
  uuid: UUID,
  accel: 'tcg',
  maxMemoryKib: 1024 * 1024,
  maxVcpus: 2,
  disks: [{ target: 'vda', overlayPath: '/proofs/vda.qcow2' }],
  media: new Map(),
  network: proofName(OPERATION),
  uefi: null,
  ...change,
});

const ordinary = buildDomainXml({
  name: 'web1',
  uuid: '99999999-2222-4333-8444-555555555555',
  virtType: 'kvm',
  memoryKib: 8 * 1024 * 1024,
  vcpus: 8,
  firmware: { kind: 'bios' },
  disks: [
    { path: '/disks/web1.qcow2', format: 'qcow2', bootOrder: 1, serial: 'root' },
    { path: '/disks/data.qcow2', format: 'qcow2' },
    { device: 'cdrom', path: '/isos/install.iso' },
  ],
  nics: [
    { mac: '52:54:00:00:00:01', source: { kind: 'bridge', bridge: 'br0' }, filter: { name: 'f', parameters: {} } },
  ],
  serialLogPath: '/serial/web1.log',
  tpm: true,
});

/** Everything that a definition can use to reach out of the guest. */
const HOSTILE = `<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>evil</name><uuid>99999999-2222-4333-8444-555555555555</uuid>
  <metadata><other:x xmlns:other='urn:x'>secret-metadata</other:x></metadata>
  <memory unit='GiB'>512</memory><vcpu>400</vcpu>
  <memoryBacking><hugepages/><source type='file'/></memoryBacking>
  <cputune><vcpupin vcpu='0' cpuset='0'/></cputune><resource><partition>/reach-partition</partition></resource>
  <sysinfo type='fwcfg'><entry name='opt/x' file='/reach/fwcfg'/></sysinfo>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><loader readonly='yes' type='pflash'>/reach/loader</loader>
    <nvram template='/reach/template'>/reach/nvram</nvram><kernel>/reach/kernel</kernel><initrd>/reach/initrd</initrd>
    <cmdline>reach=1</cmdline><dtb>/reach/dtb</dtb><acpi><table type='slic'>/reach/slic</table></acpi>
    <boot dev='network'/><boot dev='hd'/></os>
  <features><acpi/><hyperv><relaxed state='on'/></hyperv></features>
  <cpu mode='host-passthrough'><topology sockets='400' cores='1' threads='1'/><cache mode='passthrough'/></cpu>
  <on_poweroff>restart</on_poweroff><on_reboot>restart</on_reboot><on_crash>preserve</on_crash>
  <devices>
    <emulator>/reach/emulator</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw' iothread='1'/><source file='/reach/disk' startupPolicy='optional'>
      <reservations managed='no'><source type='unix' path='/reach/pr.sock' mode='client'/></reservations></source>
      <backingStore type='file'><format type='raw'/><source file='/reach/backing'/></backingStore>
      <mirror type='file'><source file='/reach/mirror'/></mirror><target dev='vda' bus='virtio'/><shareable/></disk>
    <disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='reach-nbd'><host name='reach.example'/></source><target dev='vdb' bus='virtio'/></disk>
    <disk type='block' device='lun'><source dev='/dev/reach'/><target dev='sda' bus='scsi'/></disk>
    <disk type='file' device='cdrom'><source file='/reach/cdrom.iso'/><target dev='sdb' bus='sata'/></disk>
    <disk type='file' device='floppy'><source file='/reach/floppy.img'/><target dev='fda' bus='fdc'/></disk>
    <filesystem type='mount'><source dir='/reach/fs'/><target dir='t'/></filesystem>
    <filesystem type='mount'><driver type='virtiofs'/><binary path='/reach/virtiofsd'/><source dir='/reach/fs2'/><target dir='u'/></filesystem>
    <interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='reach-br'/><script path='/reach/script'/><model type='e1000'/>
      <link state='up'/><filterref filter='reach-filter'/><backend tap='/reach/tap' vhost='/reach/vhost'/></interface>
    <interface type='direct'><source dev='reach-eth'/><mac address='52:54:00:00:00:03'/></interface>
    <interface type='hostdev'><source><address type='pci' domain='0' bus='1' slot='0' function='0'/></source><mac address='52:54:00:00:00:04'/></interface>
    <interface type='user'><mac address='52:54:00:00:00:05'/></interface>
    <interface type='vhostuser'><source type='unix' path='/reach/vhu.sock' mode='client'/><mac address='52:54:00:00:00:06'/></interface>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>
    <redirdev bus='usb' type='tcp'><source mode='connect' host='reach.example' service='1'/></redirdev>
    <shmem name='reach-shmem'><server path='/reach/shmem.sock'/></shmem>
    <serial type='tcp'><source mode='connect' host='reach.example' service='2'/></serial>
    <serial type='file'><source path='/reach/serial.log'/></serial>
    <parallel type='dev'><source path='/dev/reach'/></parallel>
    <console type='unix'><source mode='bind' path='/reach/console.sock'/></console>
    <channel type='unix'><source mode='bind' path='/reach/agent.sock'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
    <graphics type='spice' port='5999' listen='0.0.0.0' passwd='reach-password'><listen type='address' address='0.0.0.0'/></graphics>
    <graphics type='egl-headless'><gl rendernode='/dev/reach-render'/></graphics>
    <video><driver name='vhostuser'/><model type='virtio' heads='1'><acceleration accel3d='yes'/></model></video>
    <tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/reach-tpm'/></backend></tpm>
    <rng model='virtio'><backend model='egd' type='udp'><source mode='connect' host='reach.example' service='3'/></backend></rng>
    <watchdog model='i6300esb' action='dump'/><vsock model='virtio'><cid auto='yes'/></vsock>
    <memory model='nvdimm'><source><path>/reach/nvdimm</path></source><target><size>1</size></target></memory>
    <sound model='ich9'/><audio id='1' type='file' path='/reach/audio.wav'/><input type='passthrough' bus='virtio'><source evdev='/dev/reach'/></input>
    <controller type='pci' index='0' model='pcie-root'/><controller type='xenbus'/>
    <controller type='scsi' index='0' model='virtio-scsi'><driver iothread='1'/></controller>
  </devices>
  <seclabel type='none'/>
  <qemu:commandline><qemu:arg value='reach-argument'/></qemu:commandline>
  <qemu:override><qemu:device alias='x'><qemu:frontend><qemu:property name='y' type='string' value='reach-override'/></qemu:frontend></qemu:device></qemu:override>
</domain>`;

test('G7: nothing of a hostile definition reaches out', () => {
  const { xml, notes } = proofDomain(HOSTILE, spec({ media: new Map() }));
  assert.doesNotMatch(xml, /reach|qemu:|passthrough|evil|secret-metadata|0\.0\.0\.0|spice|nvdimm|vsock|virtiofs/);
  const root = parseXml(xml);
  assert.deepEqual(
    children(root).map(({ nodeName }) => nodeName),
    [
      ...['name', 'uuid', 'metadata', 'memory', 'currentMemory', 'vcpu', 'os', 'features', 'cpu'],
      ...['on_poweroff', 'on_reboot', 'on_crash', 'devices'],
    ],
  );
  const facts = readDomain(xml);
  assert.deepEqual(
    facts.disks.map(({ target, source }) => [target, source]),
    [
      ['vda', '/proofs/vda.qcow2'],
      ['sdb', null],
    ],
  );
  assert.deepEqual(
    new Set(facts.nics.map(({ sourceType, source }) => `${sourceType} ${source}`)),
    new Set([`network ${proofName(OPERATION)}`]),
  );
  for (const words of [
    'a host device',
    'a shared folder',
    'a redirected USB device',
    'shared memory',
    'the TPM',
    'the disk vdb',
  ])
    assert.ok(
      notes.some((note) => note.includes(words)),
      words,
    );
});

test('G7: the test VM has a name and UUID of its own, ceilings, and ends for good whatever happens', () => {
  const { xml, name } = proofDomain(ordinary, spec());
  const facts = readDomain(xml);
  assert.equal(name, `hyp-proof-${OPERATION}`);
  assert.equal(operationOfProof(name), OPERATION);
  assert.equal(operationOfProof('web1'), null);
  assert.deepEqual(
    [facts.name, facts.uuid, facts.virtType, facts.memoryKib, facts.vcpus, facts.metadata['op']],
    [name, UUID, 'qemu', 1024 * 1024, 2, OPERATION],
  );
  const root = parseXml(xml);
  for (const event of ['on_poweroff', 'on_reboot', 'on_crash'])
    assert.equal(child(root, event)?.textContent, 'destroy');
});

test('what the guest would notice stays: cards by MAC and model, disks by name and serial, its CPU under KVM', () => {
  const { xml, notes } = proofDomain(ordinary, spec({ accel: 'kvm' }));
  const facts = readDomain(xml);
  assert.deepEqual(
    facts.nics.map(({ mac, model, filter }) => [mac, model, filter]),
    [['52:54:00:00:00:01', 'virtio', null]],
  );
  assert.deepEqual([facts.virtType, facts.cpuMode], ['kvm', 'host-passthrough']);
  assert.equal(child(parseXml(xml), 'devices', 'disk', 'serial')?.textContent, 'root');
  assert.deepEqual(facts.bootOrder, ['vda']);
  assert.ok(facts.hasAgentChannel && facts.hasSerial);
  assert.equal(facts.serialLogPath, null);
  assert.ok(notes.includes('The test VM goes without the disk vdb, which is not in the point.'));
  assert.ok(notes.some((note) => note.includes('1024 MiB of memory instead of 8192 MiB')));
});

test('without a packet filter there is no card at all', () => {
  assert.deepEqual(readDomain(proofDomain(ordinary, spec({ network: null })).xml).nics, []);
});

test('a BIOS speaks on the serial port; UEFI comes from this host, with the copy of the variables', () => {
  assert.match(proofDomain(ordinary, spec()).xml, /<bios useserial="yes"\/>/);
  const uefi = { codePath: '/fw/code.fd', templatePath: '/fw/vars.fd', nvramPath: '/proofs/nvram.fd', isSecure: false };
  const facts = readDomain(proofDomain(ordinary, spec({ uefi })).xml);
  assert.deepEqual([facts.firmware, facts.nvramPath], ['uefi', '/proofs/nvram.fd']);
});

test('a drive holds what cloud-init reads, and nothing that was not named', () => {
  const { xml } = proofDomain(ordinary, spec({ media: new Map([['sda', '/disks/op-seed.iso']]) }));
  const drive = children(child(parseXml(xml), 'devices') ?? parseXml(xml), 'disk').find(
    (disk) => attribute(disk, 'device') === 'cdrom',
  );
  assert.equal(attribute(drive === undefined ? null : child(drive, 'source'), 'file'), '/disks/op-seed.iso');
});

test('text that is no definition is refused', () => {
  assert.throws(() => proofDomain('<!DOCTYPE x><domain/>', spec()), { code: 'invalid_definition' });
  assert.throws(() => proofDomain('no xml', spec()), { code: 'invalid_definition' });
});
