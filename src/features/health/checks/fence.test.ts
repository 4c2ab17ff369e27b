import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS_RECORD } from '#contract/fence.ts';
import { TestClock } from '#kernel/clock.ts';
import { runChecks } from '../check.ts';
import { type FakeLibvirt, type FakeMachine, fakeContext } from '../fake-machine.ts';
import { fenceChecks } from './fence.ts';

async function line(id: string, change: (parts: FakeMachine, libvirt: FakeLibvirt) => void) {
  const lines = await runChecks(fenceChecks, fakeContext(change), {
    clock: new TestClock(),
    signal: new AbortController().signal,
  });
  const found = lines.find((each) => each.id === id);
  assert.ok(found);
  return found;
}

const knocks = (answer: string) => ({ stdout: JSON.stringify([{ socket: '/run/libvirt/libvirt-sock', answer }]) });

test('a nobody who gets an answer is a failure once the fence is set up, a warning before', async () => {
  const open = (parts: FakeMachine) => {
    parts.programs[process.execPath] = knocks('answered');
  };
  assert.equal((await line('fence.nobody', open)).status, 'fail');
  const before = await line('fence.nobody', (parts) => {
    open(parts);
    parts.files[ACCESS_RECORD] = null;
  });
  assert.equal(before.status, 'warn');
  assert.match(before.hint ?? '', /access-setup/);
});

test('nobody who could not be tried is unknown: no socket, no answer to anybody, a probe that fails', async () => {
  const cases: ((parts: FakeMachine) => void)[] = [
    (parts) => {
      delete parts.facts['/run/libvirt/libvirt-sock'];
    },
    (parts) => {
      parts.programs[process.execPath] = knocks('silent');
    },
    (parts) => {
      parts.programs[process.execPath] = { stdout: 'Segmentation fault' };
    },
    (parts) => {
      parts.programs[process.execPath] = { stdout: '[]' };
    },
    (parts) => {
      parts.programs[process.execPath] = 'hangs';
    },
  ];
  for (const change of cases) assert.equal((await line('fence.nobody', change)).status, 'unknown', change.toString());
});

test('without root libvirt is asked in the name of nobody', async () => {
  const asHyper = (parts: FakeMachine) => {
    parts.userId = 998;
    parts.programs[process.execPath] = 'missing';
  };
  assert.equal((await line('fence.nobody', asHyper)).status, 'ok');
  const answered = await line('fence.nobody', (parts, libvirt) => {
    asHyper(parts);
    libvirt.nobody = 'answered';
  });
  assert.equal(answered.status, 'fail');
  const away = await line('fence.nobody', (parts, libvirt) => {
    asHyper(parts);
    libvirt.state = 'disconnected';
  });
  assert.equal(away.status, 'unknown');
});

test('a TLS listener beside the access driver fails, at whatever port; either alone is fine', async () => {
  const row = (port: string) => `   1: 00000000:${port} 00000000:0000 0A 00000000:00000000\n`;
  const listening = await line('fence.tls', (parts) => {
    parts.files['/proc/net/tcp6'] = row('4082');
  });
  assert.equal(listening.status, 'fail');
  const other = await line('fence.tls', (parts) => {
    parts.files['/etc/libvirt/libvirtd.conf'] = 'access_drivers = [ "polkit" ]\ntls_port = "16515"\n';
    parts.files['/proc/net/tcp'] = row('4083');
  });
  assert.equal(other.status, 'fail');
  const alone = await line('fence.tls', (parts) => {
    parts.files['/etc/libvirt/libvirtd.conf'] = '#access_drivers = [ "polkit" ]\n';
    parts.files['/proc/net/tcp'] = row('4082');
  });
  assert.equal(alone.status, 'ok');
});

test('sockets that others may reach, or another group, fail once the fence is set up', async () => {
  const socket = (mode: number, gid: number) => (parts: FakeMachine) => {
    parts.facts['/run/libvirt/libvirt-sock'] = { kind: 'other', mode, uid: 0, gid };
  };
  assert.equal((await line('fence.sockets', socket(0o777, 112))).status, 'fail');
  assert.equal((await line('fence.sockets', socket(0o770, 107))).status, 'fail');
  assert.equal((await line('fence.sockets', socket(0o660, 112))).status, 'ok');
});
