import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { Connection } from './connection.ts';
import { LibvirtError } from './errors.ts';
import { createFakeHost } from './fake/domains.ts';
import { FakeFailure } from './fake/server.ts';
import { createProjectConnections, GAP_MS, IDLE_MS, MAX_KEPT } from './project-connections.ts';
import { P } from './table.ts';
import { connectUnix } from './transport/unix.ts';

const DENIED = 88;

/** @param binds whether the host has an access driver: then an identity that was set may not set another */
async function withHost(
  binds: boolean | (() => boolean),
  work: (
    connections: ReturnType<typeof createProjectConnections>,
    seen: { opened: number; identities: string[]; clock: TestClock; accounts: Set<string>; isRefusing: boolean },
  ) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hvp-'));
  const socketPath = join(dir, 'sock');
  const fake = createFakeHost({ count: 1 });
  const accounts = new Set(Array.from({ length: 40 }, (_, index) => `hv-p${index + 1}`));
  const seen = { opened: 0, identities: [] as string[], clock: new TestClock(), accounts, isRefusing: false };
  fake.answer(P.connectSetIdentity, ({ params }) => {
    const name = String(params.find((param) => param.name === 'user-name')?.value);
    const isAgain = seen.identities.at(-1) === name;
    const doesBind = typeof binds === 'function' ? binds() : binds;
    if (seen.isRefusing) throw new FakeFailure(DENIED, 'access denied');
    if (isAgain && doesBind) {
      seen.identities.push('again');
      throw new FakeFailure(DENIED, 'access denied');
    }
    seen.identities.push(name);
    return {};
  });
  await fake.listen(socketPath);
  const connections = createProjectConnections({
    async connect() {
      seen.opened += 1;
      const transport = await connectUnix(socketPath, { signal: AbortSignal.timeout(5_000) });
      return Connection.open(transport, { uri: 'test:///default', keepalive: null });
    },
    findAccount: async (name) => (accounts.has(name) ? { uid: 5000, gid: 5000 } : null),
    clock: seen.clock,
    log: silentLogger,
  });
  try {
    await work(connections, seen);
  } finally {
    await connections.close();
    await fake.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const ask = async (connection: Connection | null) => (connection === null ? 'plainly' : 'as the project');

test('a project has one connection, opened once however many ask, and closed when nobody uses it', () =>
  withHost(true, async (connections, seen) => {
    const answers = await Promise.all([1, 2, 3].map(() => connections.use(3, ask)));
    assert.deepEqual(answers, ['as the project', 'as the project', 'as the project']);
    assert.equal(seen.opened, 1);
    assert.deepEqual(await connections.fenceOf(3), { kind: 'account', account: 'hv-p3' });
    await seen.clock.advance(IDLE_MS - 1);
    await connections.use(3, ask);
    await seen.clock.advance(IDLE_MS - 1);
    assert.equal(connections.size, 1, 'each use counts');
    await seen.clock.advance(2);
    assert.equal(connections.size, 0);
    await connections.use(3, ask);
    assert.equal(seen.opened, 2);
  }));

test('few are kept: the one that was used longest ago goes, one in use never', () =>
  withHost(true, async (connections, seen) => {
    const inUse = Promise.withResolvers<void>();
    await connections.fenceOf(1);
    const busy = connections.use(1, () => inUse.promise);
    for (let project = 2; project <= MAX_KEPT; project += 1) await connections.use(project, ask);
    await connections.use(2, ask);
    await connections.use(MAX_KEPT + 1, ask);
    assert.equal(connections.size, MAX_KEPT);
    const before = seen.opened;
    await connections.use(2, ask);
    await connections.use(1, ask);
    assert.equal(seen.opened, before, '1 is in use and 2 was used lately');
    await connections.use(3, ask);
    assert.equal(seen.opened, before + 1, '3 had gone');
    inUse.resolve();
    await busy;
  }));

test('a host that binds no identity is told as such, its connection is not used, and it is asked again after a while', () => {
  let doesBind = false;
  return withHost(
    () => doesBind,
    async (connections, seen) => {
      assert.equal(await connections.use(3, ask), 'plainly');
      assert.deepEqual(await connections.fenceOf(3), { kind: 'none', reason: 'no_access_driver' });
      assert.equal(seen.opened, 1, 'not asked at every call');
      doesBind = true;
      seen.identities.length = 0;
      await seen.clock.advance(GAP_MS + 1);
      assert.equal(await connections.use(3, ask), 'as the project');
    },
  );
});

test('the default project and one without a user run plainly, with the reason, and nothing is opened for them', () =>
  withHost(true, async (connections, seen) => {
    assert.deepEqual(await connections.fenceOf(0), { kind: 'none', reason: 'default_project' });
    assert.deepEqual(await connections.fenceOf(77), { kind: 'none', reason: 'no_account' });
    assert.equal(await connections.open(77), null);
    assert.equal(seen.opened, 0);
    seen.accounts.add('hv-p77');
    await seen.clock.advance(GAP_MS + 1);
    assert.equal(await connections.use(77, ask), 'as the project');
  }));

test('a host that refuses the identity itself is no gap: nothing runs plainly', () =>
  withHost(true, async (connections, seen) => {
    seen.isRefusing = true;
    await assert.rejects(
      connections.use(3, ask),
      (error) => error instanceof LibvirtError && error.code === 'libvirt_forbidden',
    );
    await assert.rejects(connections.fenceOf(3));
    assert.equal(connections.size, 0);
  }));

test('a lost connection is replaced', () =>
  withHost(true, async (connections, seen) => {
    await connections.use(3, async (connection) => connection?.destroy());
    await sleep(10);
    assert.equal(await connections.use(3, ask), 'as the project');
    assert.equal(seen.opened, 2);
  }));
