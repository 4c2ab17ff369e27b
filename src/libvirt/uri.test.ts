import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';
import { parseLibvirtUri } from './uri.ts';

test('local URIs try the modular daemon’s socket first, then the monolithic one’s', () => {
  assert.deepEqual(parseLibvirtUri('qemu:///system').transport, {
    kind: 'unix',
    socketPaths: ['/run/libvirt/virtqemud-sock', '/run/libvirt/libvirt-sock'],
  });
  assert.deepEqual(parseLibvirtUri('test:///default', { isReadOnly: true }).transport, {
    kind: 'unix',
    socketPaths: ['/run/libvirt/virtqemud-sock-ro', '/run/libvirt/libvirt-sock-ro'],
  });
});

test('a socket can be named in the URI or beside it', () => {
  const named = parseLibvirtUri('qemu+unix:///system?socket=/tmp/x/sock');
  assert.deepEqual(named, {
    transport: { kind: 'unix', socketPaths: ['/tmp/x/sock'] },
    openUri: 'qemu:///system',
    label: 'qemu:///system',
  });
  assert.deepEqual(parseLibvirtUri('qemu:///system', { socketPath: '/s' }).transport, {
    kind: 'unix',
    socketPaths: ['/s'],
  });
});

test('remote URIs give host, user and port', () => {
  assert.deepEqual(parseLibvirtUri('qemu+ssh://root@kvm-1.example:2222/system').transport, {
    kind: 'ssh',
    host: 'kvm-1.example',
    user: 'root',
    port: 2222,
  });
  assert.deepEqual(parseLibvirtUri('qemu+tls://kvm-1/system').transport, { kind: 'tls', host: 'kvm-1', port: 16_514 });
  assert.deepEqual(parseLibvirtUri('qemu://[fd00::1]/system').transport, {
    kind: 'tls',
    host: 'fd00::1',
    port: 16_514,
  });
  assert.equal(parseLibvirtUri('qemu+ssh://root@h/system').openUri, 'qemu:///system');
});

test('what could become an option, a command or another driver is refused', () => {
  const bad = [
    'nonsense',
    'xen:///system',
    'qemu+tcp://h/system',
    'qemu+ssh://-oProxyCommand=x/system',
    'qemu+ssh://h;reboot/system',
    'qemu+ssh://$(x)@h/system',
    'qemu+ssh://-l@h/system',
    'qemu+ssh://root:secret@h/system',
    'qemu+unix://h/system',
    'qemu+tls://h',
    'qemu://',
  ];
  for (const uri of bad)
    assert.throws(
      () => parseLibvirtUri(uri),
      (error) => error instanceof AppError && error.code === 'invalid_input',
      uri,
    );
});
