import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { LibvirtError } from './errors.ts';
import { createFakeHost, type FakeHost } from './fake/domains.ts';
import { NEVER } from './fake/server.ts';
import { createLibvirtHost, type LibvirtHost } from './host.ts';
import { P } from './table.ts';

async function withHost(
  work: (host: LibvirtHost, fake: FakeHost, socketPath: string) => Promise<void>,
  count = 3,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hvf-'));
  const socketPath = join(dir, 'sock');
  const fake = createFakeHost({ count });
  await fake.listen(socketPath);
  const host = createLibvirtHost({ uri: 'test:///default', socketPath, random: () => 0 });
  try {
    await host.start();
    await work(host, fake, socketPath);
  } finally {
    await host.stop();
    await fake.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const until = async (condition: () => boolean) => {
  for (let turn = 0; turn < 400 && !condition(); turn += 1) await sleep(5);
  assert.ok(condition());
};

test('verbs work over the facade and events arrive typed', () =>
  withHost(async (host) => {
    const seen: string[] = [];
    host.onEvent((event) =>
      seen.push(event.type === 'domain-lifecycle' ? `${event.domain.name} ${event.event}` : event.type),
    );
    const domain = await host.domains.byName('vm-1');
    assert.equal(domain.id, null);
    await host.domains.create(domain.uuid);
    assert.deepEqual(await host.domains.state(domain.uuid), { state: 'running', reason: 0 });
    await host.domains.destroy(domain.uuid);
    await until(() => seen.length === 2);
    assert.deepEqual(seen, ['vm-1 started', 'vm-1 stopped']);
    assert.equal((await host.domains.list({ active: true })).length, 2);
  }));

test('statistics come in batches and leave out what vanished', () =>
  withHost(async (host, fake) => {
    const uuids = [...fake.domains.keys(), '00000000-0000-0000-0000-000000000000'];
    const stats = await host.domains.stats(uuids, ['state', 'block'], { batchSize: 2 });
    assert.equal(stats.length, 3);
    assert.equal(stats[0]?.values.size, 80);
  }));

test('before start and without a host, calls fail at once', async () => {
  const host = createLibvirtHost({ uri: 'test:///default', socketPath: '/nonexistent' });
  await assert.rejects(
    host.domains.list(),
    (error) => error instanceof LibvirtError && error.code === 'libvirt_unavailable',
  );
  await host.start();
  assert.equal(host.state.status, 'disconnected');
  assert.match(String(host.state.error?.cause), /ENOENT/);
  await assert.rejects(
    host.domains.list(),
    (error) => error instanceof LibvirtError && error.code === 'libvirt_unavailable',
  );
  await host.stop();
});

test('a lost host fails what is pending, tells its state, and is found again', () =>
  withHost(async (host, fake) => {
    const states: string[] = [];
    host.onStateChange(({ status }) => states.push(status));
    fake.hold();
    const pending = host.domains.list().catch((error: unknown) => error);
    await until(() => fake.calls.filter((name) => name === 'CONNECT_LIST_ALL_DOMAINS').length === 1);
    for (const peer of [...fake.peers]) peer.hangUp();
    const error = await pending;
    await until(() => host.state.status === 'disconnected');
    assert.ok(error instanceof LibvirtError && error.code === 'libvirt_unavailable');
    fake.release('as-asked');
    await until(() => host.state.status === 'connected');
    assert.deepEqual(states, ['disconnected', 'connected']);
    assert.equal((await host.domains.list()).length, 3);
  }));

test('three unanswered calls replace the control connection', () =>
  withHost(async (host, fake) => {
    fake.answer(P.connectGetHostname, () => ({ hostname: 'x' }));
    fake.hold();
    const calls = [1, 2, 3].map(() => host.node.hostname({ deadlineMs: 20 }).catch((error: unknown) => error));
    for (const result of await Promise.all(calls)) assert.ok(result instanceof LibvirtError);
    fake.release('as-asked');
    await until(() => host.openConnections === 3);
    assert.equal(await host.node.hostname(), 'x');
    assert.equal(host.state.status, 'connected');
  }));

test('hung statistics take two connections at most and do not touch other calls', () =>
  withHost(async (host, fake) => {
    fake.answer(P.connectGetAllDomainStats, () => NEVER);
    const ask = () => host.domains.stats('all', ['state'], { deadlineMs: 20 }).catch((error: unknown) => error);
    for (const code of ['libvirt_unavailable', 'libvirt_unavailable', 'busy', 'busy']) {
      const error = await ask();
      assert.ok(error instanceof LibvirtError && error.code === code, code);
    }
    assert.equal(host.openConnections, 4);
    assert.equal((await host.domains.list()).length, 3);
  }));

test('statistics that hang in QEMUs take three connections at most; those that libvirt knows by itself go on', () =>
  withHost(async (host, fake) => {
    fake.answer(P.connectGetAllDomainStats, ({ stats }) => (stats & 4 ? NEVER : { retStats: [] }));
    const ask = () => host.domains.stats('all', ['balloon'], { deadlineMs: 20 }).catch((error: unknown) => error);
    for (const code of ['libvirt_unavailable', 'libvirt_unavailable', 'libvirt_unavailable', 'busy']) {
      const error = await ask();
      assert.ok(error instanceof LibvirtError && error.code === code, code);
    }
    assert.deepEqual(await host.domains.stats('all', ['state', 'interface']), []);
    assert.equal(host.openConnections, 6);
  }));

test('a stream has its own connection, which goes with it', () =>
  withHost(async (host, fake) => {
    fake.answer(P.domainOpenConsole, () => ({}));
    fake.onStream((header, _payload, peer) => {
      if (header.status !== 2) peer.send(emptyStreamFrame(header.procedure, header.serial));
    });
    const [uuid = ''] = fake.domains.keys();
    const before = host.openConnections;
    const console = await host.domains.openConsole(uuid);
    assert.equal(host.openConnections, before + 1);
    console.destroy();
    await until(() => host.openConnections === before);
  }));

test('stop leaves no connection and start works again', () =>
  withHost(async (host, fake) => {
    await host.stop();
    assert.equal(host.openConnections, 0);
    await until(() => fake.peers.size === 0);
    await host.start();
    assert.equal(host.state.status, 'connected');
    await host.start();
    assert.equal(host.openConnections, 2);
  }));

function emptyStreamFrame(procedure: number, serial: number): Buffer {
  const bytes = Buffer.alloc(28);
  for (const [index, value] of [28, 0x20008086, 1, procedure, 3, serial, 0].entries())
    bytes.writeUInt32BE(value, index * 4);
  return bytes;
}
