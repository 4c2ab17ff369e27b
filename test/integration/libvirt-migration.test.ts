/** Live migration through the client between two private libvirtds, peer to peer over Unix sockets. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newUuid } from '#kernel/ids.ts';
import { buildDomainXml, createLibvirtHost, isNotFound, type LibvirtError, type LibvirtHost } from '#libvirt/index.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

describe('migration through the libvirt client', { skip }, () => {
  const uuid = newUuid();
  let daemons: PrivateLibvirtd[] = [];
  let hosts: LibvirtHost[] = [];
  const pair = (): [LibvirtHost, LibvirtHost] => {
    const [source, target] = hosts;
    assert.ok(source && target);
    return [source, target];
  };

  before(async () => {
    daemons = await Promise.all([startPrivateLibvirtd(), startPrivateLibvirtd()]);
    hosts = daemons.map(({ uri }) => createLibvirtHost({ uri }));
    await Promise.all(hosts.map((host) => host.start()));
    const spec = {
      name: 'mover',
      uuid,
      virtType: 'qemu',
      memoryKib: 65_536,
      vcpus: 1,
      firmware: { kind: 'bios' },
    } as const;
    // "maximum" is no CPU that libvirt migrates: it may differ between hosts.
    const xml = buildDomainXml({
      ...spec,
      cpu: { mode: 'custom', model: 'qemu64' },
      disks: [],
      nics: [],
      graphics: 'none',
    });
    const [source] = pair();
    await source.domains.define(xml);
    await source.domains.create(uuid);
  });
  after(async () => {
    await Promise.all(hosts.map((host) => host.stop()));
    await Promise.all(daemons.map((daemon) => daemon.close()));
  });

  test('a migration to nowhere fails and the VM runs on', async () => {
    const [source] = pair();
    const targetUri = 'qemu+unix:///system?socket=/nonexistent';
    await assert.rejects(
      source.migrate.perform(uuid, { targetUri, tls: false }),
      (error: LibvirtError) => error.failure !== null,
    );
    assert.equal((await source.domains.state(uuid)).state, 'running');
  });

  test('a running VM moves, its definition with it', async () => {
    const [source, target] = pair();
    const [from, to] = daemons;
    assert.ok(from && to);
    await source.migrate.setMaxDowntime(uuid, 500n);
    await source.migrate.perform(uuid, {
      targetUri: `qemu+unix:///system?socket=${to.socketPath}`,
      migrateUri: `unix://${join(from.dir, 'move.sock')}`,
      tls: false,
      bandwidthMibPerSecond: 500,
      deadlineMs: 60_000,
    });
    assert.equal((await target.domains.state(uuid)).state, 'running');
    await assert.rejects(source.domains.byUuid(uuid), isNotFound);
    assert.match(await target.domains.xml(uuid, { inactive: true }), /<name>mover<\/name>/);
  });
});
