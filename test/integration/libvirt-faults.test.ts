/** What happens to the client when libvirtd or QEMU is killed or stopped. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUuid } from '#kernel/ids.ts';
import {
  buildDomainXml,
  createLibvirtHost,
  type LibvirtError,
  type LibvirtEvent,
  type LibvirtHost,
} from '#libvirt/index.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

describe('the libvirt client under faults', { skip }, () => {
  let daemon: PrivateLibvirtd;
  let host: LibvirtHost;
  const events: LibvirtEvent[] = [];
  const uuids = [newUuid(), newUuid()] as const;

  const connected = async () => {
    for (let turn = 0; turn < 600 && host.state.status !== 'connected'; turn += 1) await sleep(50);
    assert.equal(host.state.status, 'connected');
  };

  before(async () => {
    daemon = await startPrivateLibvirtd();
    host = createLibvirtHost({ uri: daemon.uri });
    host.onEvent((event) => events.push(event));
    await host.start();
    for (const [index, uuid] of uuids.entries()) {
      const spec = {
        name: `idle-${index}`,
        uuid,
        virtType: 'qemu',
        memoryKib: 65_536,
        vcpus: 1,
        firmware: { kind: 'bios' },
      } as const;
      await host.domains.define(buildDomainXml({ ...spec, disks: [], nics: [], graphics: 'none' }));
      await host.domains.create(uuid, { paused: true });
    }
  });
  after(async () => {
    await host?.stop();
    await daemon?.close();
  });

  test('a killed libvirtd fails calls at once and is found again; guests live on', async () => {
    await daemon.kill();
    await sleep(100);
    const startedMs = performance.now();
    await assert.rejects(host.domains.list(), (error: LibvirtError) => error.code === 'libvirt_unavailable');
    assert.ok(performance.now() - startedMs < 200);
    await daemon.restart();
    await connected();
    assert.equal((await host.domains.list({ active: true })).length, 2);
  });

  test('a stopped libvirtd lets calls fail at their deadline, and is declared lost by keepalive', async () => {
    daemon.stop();
    try {
      const startedMs = performance.now();
      await assert.rejects(
        host.domains.list({ deadlineMs: 500 }),
        (error: LibvirtError) => error.code === 'libvirt_unavailable',
      );
      assert.ok(performance.now() - startedMs < 1_500);
      for (let turn = 0; turn < 500 && host.state.status === 'connected'; turn += 1) await sleep(50);
      assert.equal(host.state.status, 'disconnected');
    } finally {
      daemon.cont();
    }
    await connected();
  });

  test('one stopped QEMU hangs neither the list nor the state of the others', async () => {
    const pid = daemon.qemuPid('idle-0');
    process.kill(pid, 'SIGSTOP');
    try {
      await host.domains.stats('all', ['state', 'balloon'], { deadlineMs: 500 }).catch((error: LibvirtError) => {
        assert.equal(error.code, 'libvirt_unavailable');
      });
      assert.equal((await host.domains.list()).length, 2);
      for (const uuid of uuids) assert.equal((await host.domains.state(uuid)).state, 'paused');
      const stats = await host.domains.stats('all', ['state', 'interface']);
      assert.equal(stats.length, 2);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  test('a killed QEMU is told as failed', async () => {
    events.length = 0;
    process.kill(daemon.qemuPid('idle-1'), 'SIGKILL');
    for (let turn = 0; turn < 100 && events.length === 0; turn += 1) await sleep(50);
    assert.ok(
      events.some(
        (event) => event.type === 'domain-lifecycle' && event.event === 'stopped' && event.reason === 'failed',
      ),
    );
  });

  test('a thousand streams and calls leave no descriptor and little memory behind', async () => {
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const round = async (count: number) => {
      for (let turn = 0; turn < count; turn += 1) {
        const console = await host.domains.openConsole(uuids[0], { force: true });
        await new Promise((resolve) => console.once('close', resolve).destroy());
        await host.domains.list();
      }
    };
    await round(50);
    globalThis.gc?.();
    const before = { descriptors: descriptors(), rss: process.memoryUsage().rss };
    await round(1_000);
    globalThis.gc?.();
    assert.ok(Math.abs(descriptors() - before.descriptors) <= 3);
    assert.ok(process.memoryUsage().rss - before.rss < 40 * 2 ** 20);
  });
});
