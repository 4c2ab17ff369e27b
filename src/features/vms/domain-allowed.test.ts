/** The allow-list against definitions as libvirt writes them back, and against one forbidden thing at a time. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { vmErrors } from '#contract/vms.ts';
import { filterUse } from '#features/inventory/index.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { buildDomainXml, type DomainSpec, parseXml } from '#libvirt/index.ts';
import { assertDomainAllowed, findForbidden } from './domain-allowed.ts';
import type { Tenant } from './domain-rules.ts';
import { FORBIDDEN_PARTS, withPart } from './forbidden-parts.test-data.ts';
import { LIBVIRT_DEFINITION } from './libvirt-definition.test-data.ts';

registerErrors(vmErrors);

const tenant: Tenant = {
  isOwnName: (name) => name.startsWith('p3-'),
  isOwnDisk: (path) => path.startsWith('/s/disks/op-own-'),
  isImage: (path) => path === '/s/images/img-1.iso' || path === '/s/images/img-kernel.raw',
  isLibraryFile: (path) => path.startsWith('/s/images/img-'),
  isOwnNvram: (path) => path === '/s/nvram/own.fd',
  isOwnSerialLog: (path) => path === '/s/serial/own.log',
  mayOpenNics: false,
  isFiltered: true,
  hasNetwork: (name) => name === 'lab',
  hasBridge: (name) => name === 'br0',
};
const built: DomainSpec = {
  name: 'p3-web',
  uuid: '11111111-1111-4111-8111-111111111111',
  title: 'a <title>',
  virtType: 'qemu',
  memoryKib: 65536,
  vcpus: 2,
  firmware: {
    kind: 'uefi',
    loaderPath: '/usr/share/OVMF/OVMF_CODE_4M.secboot.fd',
    nvramTemplatePath: '/usr/share/OVMF/OVMF_VARS_4M.ms.fd',
    nvramPath: '/s/nvram/own.fd',
    secureBoot: true,
  },
  directKernel: { kernelPath: '/s/images/img-kernel.raw', initrdPath: '/s/images/img-kernel.raw', cmdline: 'quiet' },
  disks: [
    { device: 'cdrom', path: '/s/images/img-1.iso' },
    { path: '/s/disks/op-own-0.qcow2', format: 'qcow2' },
    { device: 'cdrom', path: '/s/disks/op-own-seed.iso' },
  ],
  nics: [
    { mac: '52:54:00:00:00:01', source: { kind: 'network', network: 'lab' }, filter: filterUse('mac_ip') },
    { mac: '52:54:00:00:00:02', source: { kind: 'bridge', bridge: 'br0' }, filter: filterUse('mac') },
  ],
  graphics: 'vnc',
  tpm: true,
  serialLogPath: '/s/serial/own.log',
  metadata: { op: 'op-own' },
};
const xml = buildDomainXml(built);
const allow = (text: string, project = 'prj-3', before: string | null = null, isUndo = false) =>
  assertDomainAllowed(parseXml(text), tenant, {
    vmName: 'web',
    project,
    before: before === null ? [] : findForbidden(parseXml(before), tenant),
    isUndo,
  });
const refused = (text: string, project?: string, before?: string | null, isUndo?: boolean): string[] => {
  try {
    allow(text, project, before, isUndo);
  } catch (error) {
    assert.ok(error instanceof AppError && error.code === 'definition_not_allowed', String(error));
    assert.equal(error.status, 403);
    return error.params['paths'] as string[];
  }
  return [];
};

test('what we build passes, before and after libvirt has written it back', () => {
  assert.deepEqual(refused(xml), []);
  assert.deepEqual(refused(LIBVIRT_DEFINITION), []);
});

test('A6 each forbidden part is found where it is, without its value', () => {
  for (const part of FORBIDDEN_PARTS) {
    const text = withPart(xml, part);
    const paths = refused(text);
    assert.ok(
      paths.some((path) => path.startsWith(part.path)),
      `${part.name}: ${paths.join(' ')} instead of ${part.path}`,
    );
    assert.throws(
      () => allow(text),
      (error: Error) => !error.message.includes('/etc/shadow'),
    );
  }
  console.log(`# count: ${FORBIDDEN_PARTS.length} forbidden parts of a definition found`);
});

test('A11 a definition as another host would send it gets the same look', () => {
  for (const part of FORBIDDEN_PARTS) assert.notDeepEqual(refused(withPart(LIBVIRT_DEFINITION, part)), [], part.name);
});

test('a VM of a project keeps nothing forbidden, but what was taken from the project since', () => {
  const forbidden = FORBIDDEN_PARTS.find(({ name }) => name === 'host device');
  assert.ok(forbidden);
  const withDevice = withPart(xml, forbidden);
  assert.notDeepEqual(refused(withDevice, 'prj-3', withDevice), []);
  const lost = xml.replace('network="lab"', 'network="taken-away"');
  assert.deepEqual(refused(lost), ['/domain/devices/interface/source@network']);
  assert.deepEqual(refused(lost.replace('a &lt;title&gt;', 'another'), 'prj-3', lost), []);
  assert.notDeepEqual(refused(lost.replace('taken-away', 'a third'), 'prj-3', lost), []);
  const noImage = xml.replace('/s/images/img-1.iso', '/s/images/img-9.iso');
  assert.deepEqual(refused(noImage, 'prj-3', noImage), []);
  // A file of the host was never given to anybody.
  const shadow = xml.replace('/s/images/img-1.iso', '/etc/shadow');
  assert.deepEqual(refused(shadow, 'prj-3', shadow), ['/domain/devices/disk/source@file']);
});

test('a NIC that was opened, or had no filter before there were filters, may stay so; no other is', () => {
  const open = xml.replace(/<filterref filter="hyper-mac"\s*\/>/, '<filterref filter="hyper-off"/>');
  const bare = xml.replace(/<filterref filter="hyper-mac"\s*\/>/, '');
  for (const text of [open, bare]) {
    assert.notEqual(text, xml);
    assert.notDeepEqual(refused(text), []);
    assert.notDeepEqual(refused(text, 'prj-3', xml), [], 'not by an edit');
    assert.deepEqual(refused(text.replace('a &lt;title&gt;', 'another'), 'prj-3', text), []);
  }
  assert.deepEqual(findForbidden(parseXml(open), { ...tenant, mayOpenNics: true }), []);
});

test('a foreign VM of the default project keeps what it has, and is given nothing forbidden', () => {
  for (const part of FORBIDDEN_PARTS) {
    const foreign = withPart(xml, part);
    assert.deepEqual(refused(foreign.replace('a &lt;title&gt;', 'another'), 'default', foreign), [], part.name);
    assert.notDeepEqual(refused(foreign, 'default', xml), [], `${part.name} is added`);
  }
  const device = FORBIDDEN_PARTS.find(({ name }) => name === 'host device');
  assert.ok(device);
  assert.notDeepEqual(refused(withPart(withPart(xml, device), device), 'default', withPart(xml, device)), []);
});

test('undoing brings back what was there, and no more', () => {
  const device = FORBIDDEN_PARTS.find(({ name }) => name === 'host device');
  assert.ok(device);
  assert.deepEqual(refused(withPart(xml, device), 'prj-3', withPart(xml, device), true), []);
  assert.notDeepEqual(refused(withPart(xml, device), 'prj-3', xml, true), []);
});

test('A10 only one file defines domains, and it looks first', () => {
  const root = new URL('../../', import.meta.url).pathname;
  const isCall = /\bdomains\s*\.\s*(?:define|rename|createXml|migrate\w*|attachDevice)\s*\(/;
  const callers = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !file.startsWith('libvirt/'))
    .filter((file) => isCall.test(readFileSync(join(root, file), 'utf8')));
  assert.deepEqual(callers, ['features/vms/define-domain.ts']);
});
