import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOMParser, type Element } from '@xmldom/xmldom';
import fc from 'fast-check';
import { AppError } from '#kernel/errors.ts';
import { buildDomainXml, type DomainSpec } from './build.ts';
import { readDomain } from './domain.ts';
import { type DomainEdits, definitionDigest, editDomain } from './edit.ts';
import { children, parseXml } from './parse.ts';
import { element, serialize } from './tree.ts';

const SPEC: DomainSpec = {
  name: 'web-1',
  uuid: '01234567-89ab-cdef-0123-456789abcdef',
  title: 'Web',
  virtType: 'qemu',
  memoryKib: 524_288,
  vcpus: 2,
  firmware: { kind: 'bios' },
  disks: [
    { path: '/pool/web-1.qcow2', format: 'qcow2', bootOrder: 2 },
    { device: 'cdrom', path: '/iso/a.iso', bootOrder: 1 },
  ],
  nics: [{ mac: '52:54:00:aa:bb:cc', source: { kind: 'network', network: 'default' }, bootOrder: 3 }],
  metadata: { operation: 'op-1' },
};

const FOREIGN = `<?xml version='1.0'?>
<!-- made by hand -->
<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>odd &lt;img&gt;</name>
  <uuid>01234567-89ab-cdef-0123-456789abcdef</uuid>
  <metadata>
    <other:thing xmlns:other='urn:other' a='1'><other:deep/></other:thing>
    <h:vm xmlns:h='urn:hyper-nixos:1' operation='op-9'/>
  </metadata>
  <memory unit='GiB'>2</memory>
  <currentMemory unit='MiB'>1024</currentMemory>
  <vcpu placement='static' current='1'>4</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/><boot dev='cdrom'/></os>
  <cpu mode='host-passthrough'><topology sockets='1' dies='1' cores='2' threads='2'/></cpu>
  <devices>
    <!-- the system disk -->
    <disk type='block' device='disk'><driver name='qemu' type='raw' io='native'/><source dev='/dev/vg/a' unknown='x'/><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <disk type='network' device='disk'><source protocol='rbd' name='pool/img'/><target dev='vdb' bus='virtio'/></disk>
    <interface type='bridge'><mac address='52:54:00:AA:BB:CC'/><source bridge='br0'/><target dev='vnet3'/><model type='virtio'/></interface>
    <hostdev mode='subsystem' type='pci'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source><boot order='1'/></hostdev>
    <graphics type='vnc' socket='/run/vnc.sock'><listen type='socket' socket='/run/vnc.sock'/></graphics>
    <graphics type='spice' port='5901' listen='127.0.0.1'><listen type='address' address='127.0.0.1'/></graphics>
    <tpm model='tpm-crb'/>
    <strange-device><with attr="&quot;'&#10;"/></strange-device>
  </devices>
  <qemu:commandline><qemu:arg value='-device'/></qemu:commandline>
</domain>
`;

test('a built definition reads back as the same facts', () => {
  const facts = readDomain(buildDomainXml(SPEC));
  assert.equal(facts.name, 'web-1');
  assert.equal(facts.memoryKib, 524_288);
  assert.equal(facts.vcpus, 2);
  assert.equal(facts.firmware, 'bios');
  assert.equal(facts.cpuMode, 'maximum');
  assert.deepEqual(facts.bootOrder, ['sda', 'vda', '52:54:00:aa:bb:cc']);
  assert.deepEqual({ ...facts.metadata }, { operation: 'op-1' });
  assert.deepEqual(
    facts.disks.map(({ target, bus, format, isReadOnly }) => [target, bus, format, isReadOnly]),
    [
      ['vda', 'virtio', 'qcow2', false],
      ['sda', 'sata', 'raw', true],
    ],
  );
  assert.deepEqual([facts.hasSerial, facts.hasAgentChannel, facts.hasTpm], [true, true, false]);
});

test('F5: no definition of ours listens on TCP', () => {
  const xml = buildDomainXml(SPEC);
  assert.match(xml, /<listen type="socket"\/>/);
  assert.doesNotMatch(xml, /port="5900"|autoport|listen="/);
  assert.doesNotMatch(buildDomainXml({ ...SPEC, graphics: 'none' }), /<graphics|<video/);
});

test('UEFI, secure boot and TPM are written where libvirt wants them', () => {
  const firmware = {
    kind: 'uefi',
    loaderPath: '/o/CODE.fd',
    nvramTemplatePath: '/o/VARS.fd',
    nvramPath: '/n/web-1.fd',
    secureBoot: true,
  } as const;
  const facts = readDomain(buildDomainXml({ ...SPEC, firmware, tpm: true, virtType: 'kvm' }));
  assert.deepEqual(
    [facts.firmware, facts.isSecureBoot, facts.nvramPath, facts.hasTpm],
    ['uefi', true, '/n/web-1.fd', true],
  );
  assert.equal(facts.cpuMode, 'host-passthrough');
});

test('line and paragraph separators of Unicode stay what they are', () => {
  const title = 'a\u2028b\u2029c\u0085d';
  assert.equal(readDomain(buildDomainXml({ ...SPEC, title })).title, title);
});

test('text of users never becomes markup', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'binary' }), (title, description) => {
      let xml: string;
      try {
        xml = buildDomainXml({ ...SPEC, title, description, metadata: { note: description } });
      } catch (error) {
        assert.ok(error instanceof AppError);
        return;
      }
      const facts = readDomain(xml);
      assert.equal(facts.title, title);
      assert.equal(facts.description ?? '', description);
      assert.equal(facts.metadata['note'] ?? '', description);
      assert.equal(facts.disks.length, 2);
    }),
  );
});

test('an injection through a name stays a name', () => {
  const name = "x</name><devices><disk type='file'><source file='";
  assert.throws(() => buildDomainXml({ ...SPEC, name }), AppError); // a slash
  const title = "</title><devices><disk><source file='/etc/shadow'/></disk></devices>";
  const facts = readDomain(buildDomainXml({ ...SPEC, title }));
  assert.equal(facts.title, title);
  assert.equal(facts.disks.length, 2);
});

test('a disk without a stated format is refused: guessing would trust the guest', () => {
  assert.throws(
    () => buildDomainXml({ ...SPEC, disks: [{ path: 'relative', device: 'disk' }] }),
    (error) => error instanceof AppError && error.fields.length === 2,
  );
});

test('a foreign definition gives its facts', () => {
  const facts = readDomain(FOREIGN);
  assert.equal(facts.name, 'odd <img>');
  assert.deepEqual(
    [facts.memoryKib, facts.currentMemoryKib, facts.maxVcpus, facts.vcpus],
    [2_097_152, 1_048_576, 4, 1],
  );
  assert.equal(facts.firmware, 'uefi');
  assert.deepEqual(
    facts.disks.map(({ source, sourceType }) => [sourceType, source]),
    [
      ['block', '/dev/vg/a'],
      ['file', null],
      ['network', 'pool/img'],
    ],
  );
  assert.equal(facts.nics[0]?.mac, '52:54:00:aa:bb:cc');
  assert.equal(facts.nics[0]?.target, 'vnet3');
  assert.equal(facts.graphics[0]?.socketPath, '/run/vnc.sock');
  assert.equal(facts.graphics[1]?.port, 5901);
  assert.deepEqual(facts.bootDevices, ['hd', 'cdrom']);
  assert.equal(facts.metadata['operation'], 'op-9');
});

test('hardly anything is needed to be readable', () => {
  const facts = readDomain('<domain><name>a</name></domain>');
  assert.deepEqual([facts.name, facts.memoryKib, facts.uuid, facts.disks.length], ['a', null, null, 0]);
});

test('DOCTYPE, size, depth and malformed text are refused', () => {
  const bad = [
    '<!DOCTYPE domain [<!ENTITY x SYSTEM "file:///etc/passwd">]><domain>&x;</domain>',
    `<domain>${'<a>'.repeat(64)}${'</a>'.repeat(64)}</domain>`,
    '<domain><name></domain>',
    '<domain/><domain/>',
    '',
    'text',
    '<domain a=1/>',
  ];
  for (const xml of bad)
    assert.throws(
      () => parseXml(xml),
      (error) => error instanceof AppError && error.code === 'invalid_definition',
      xml.slice(0, 40),
    );
  assert.throws(() => parseXml(`<domain>${' '.repeat(262_144)}</domain>`), AppError);
  assert.ok(parseXml(`<domain>${'<a>'.repeat(63)}${'</a>'.repeat(63)}</domain>`));
});

test('random text is read or refused, never anything else', () => {
  const soup = fc.array(
    fc.constantFrom(
      '<domain>',
      '</domain>',
      '<name>',
      '</name>',
      '<',
      '>',
      '&',
      '&lt;',
      '"',
      "'",
      'a',
      ' ',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?x',
      '?>',
      '\0',
    ),
  );
  fc.assert(
    fc.property(soup, (parts) => {
      try {
        readDomain(parts.join(''));
      } catch (error) {
        assert.ok(error instanceof AppError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

/** Everything of a document but the named child elements of the domain, as text. */
function without(xml: string, ...names: readonly string[]): string {
  const document = new DOMParser().parseFromString(xml, 'text/xml');
  const root = document.documentElement;
  assert.ok(root);
  const canonical = (node: Element): unknown[] => [
    node.nodeName,
    [...Array(node.attributes.length).keys()].map(
      (index) => `${node.attributes.item(index)?.name}=${node.attributes.item(index)?.value}`,
    ),
    children(node).length === 0
      ? node.textContent
      : children(node)
          .filter((item) => node !== root || !names.includes(item.nodeName))
          .map(canonical),
  ];
  const comments = [...xml.matchAll(/<!--.*?-->/g)].map(([comment]) => comment);
  return JSON.stringify([canonical(root), comments]);
}

test('an edit changes the named things and nothing else', () => {
  const cases: [DomainEdits, string[]][] = [
    [{ title: 'New <title>' }, ['title']],
    [{ description: 'a\nb' }, ['description']],
    [{ memoryKib: 4_194_304 }, ['memory', 'currentMemory']],
    [{ vcpus: 3 }, ['vcpu', 'cpu']],
    [{ metadata: { operation: null, fence: '3' } }, ['metadata']],
    [{ bootOrder: ['vda', '52:54:00:aa:bb:cc'] }, ['devices', 'os']],
    [{ cdroms: { sda: '/iso/b.iso' } }, ['devices']],
  ];
  for (const [edits, names] of cases) {
    const edited = editDomain(FOREIGN, edits);
    assert.equal(without(edited, ...names), without(FOREIGN, ...names), JSON.stringify(edits));
    assert.notEqual(edited, FOREIGN);
  }
});

test('edits do what they say', () => {
  const edited = editDomain(FOREIGN, {
    title: 'T',
    memoryKib: 1_048_576,
    vcpus: 3,
    bootOrder: ['sda', 'vda'],
    cdroms: { sda: '/iso/b.iso' },
    removeDisks: ['vdb'],
    addDisks: [{ path: '/pool/new.qcow2', format: 'qcow2' }],
    removeNics: ['52:54:00:aa:bb:cc'],
    addNics: [{ mac: '52:54:00:00:00:01', source: { kind: 'user' } }],
    metadata: { operation: 'op-10', fence: '1' },
  });
  const facts = readDomain(edited);
  assert.deepEqual(
    [facts.title, facts.memoryKib, facts.currentMemoryKib, facts.vcpus, facts.maxVcpus],
    ['T', 1_048_576, 1_048_576, 3, 3],
  );
  assert.deepEqual(facts.bootOrder, ['sda', 'vda']);
  assert.deepEqual(facts.bootDevices, []);
  assert.deepEqual(
    facts.disks.map(({ target, source }) => [target, source]),
    [
      ['vda', '/dev/vg/a'],
      ['sda', '/iso/b.iso'],
      ['vdb', '/pool/new.qcow2'],
    ],
  );
  assert.deepEqual(
    facts.nics.map(({ mac }) => mac),
    ['52:54:00:00:00:01'],
  );
  assert.deepEqual({ ...facts.metadata }, { operation: 'op-10', fence: '1' });
  assert.match(edited, /qemu:commandline/);
  assert.match(edited, /other:deep/);
  assert.match(edited, /<topology[^>]*cores="3"[^>]*threads="1"/);
});

test('the filter of a NIC is replaced whole, and taken away', () => {
  const mac = '52:54:00:00:00:01';
  const filter = { name: 'one', parameters: { CTRL_IP_LEARNING: 'dhcp', X: '<&"' } };
  const built = editDomain(FOREIGN, { addNics: [{ mac, source: { kind: 'network', network: 'lab' }, filter }] });
  const filterOf = (xml: string) => readDomain(xml).nics.find((nic) => nic.mac === mac)?.filter;
  assert.equal(filterOf(built), 'one');
  assert.match(built, /<parameter name="X" value="&lt;&amp;&quot;"\/>/);
  const other = editDomain(built, { nicFilters: { [mac]: { name: 'two', parameters: {} } } });
  assert.equal(filterOf(other), 'two');
  assert.doesNotMatch(other, /CTRL_IP_LEARNING/);
  assert.equal(filterOf(editDomain(other, { nicFilters: { [mac]: null } })), null);
});

test('random edits keep everything they do not name, and can be undone', () => {
  const words = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 });
  const edits = fc.record(
    {
      title: words,
      description: words,
      memoryKib: fc.integer({ min: 1024, max: 2 ** 40 }),
      vcpus: fc.integer({ min: 1, max: 512 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(edits, (change) => {
      const names = ['title', 'description', 'memory', 'currentMemory', 'vcpu', 'cpu'];
      const edited = editDomain(FOREIGN, change);
      assert.equal(without(edited, ...names), without(FOREIGN, ...names));
      const facts = readDomain(edited);
      if (change.title !== undefined) assert.equal(facts.title, change.title);
      if (change.memoryKib !== undefined) assert.equal(facts.memoryKib, change.memoryKib);
      const undone = editDomain(edited, { title: null, description: null });
      assert.equal(readDomain(undone).title, null);
    }),
  );
});

test('an edit without changes gives the text back byte for byte', () => {
  assert.equal(editDomain(FOREIGN, {}), FOREIGN);
  assert.equal(definitionDigest(FOREIGN), definitionDigest(editDomain(FOREIGN, {})));
});

test('an edit that names what is not there is refused with the field', () => {
  const bad: DomainEdits[] = [
    { removeDisks: ['vdz'] },
    { removeNics: ['52:54:00:00:00:00'] },
    { bootOrder: ['vdz'] },
    { cdroms: { vda: '/iso/a.iso' } },
    { cdroms: { sda: 'relative' } },
    { addDisks: [{ path: '/a', format: 'raw', target: 'vda' }] },
    { memoryKib: 0 },
    { vcpus: 1.5 },
    { title: 'bell \u0007' },
  ];
  for (const edits of bad) {
    assert.throws(
      () => editDomain(FOREIGN, edits),
      (error) => error instanceof AppError && error.code === 'invalid_input',
      JSON.stringify(edits),
    );
  }
});

test('element names are never taken from text', () => {
  assert.throws(() => serialize(element('a b')), TypeError);
  assert.throws(() => serialize(element('a', { 'x="1" y': '1' })), TypeError);
});
