/** The break-glass stop with a disk that is really full: nothing can be recorded, so nothing is done, but that root at the machine cuts the
 *  power of a running VM. What he did is in the chain when there is space again. */

import assert from 'node:assert/strict';
import { mkdtemp, rm, statfs, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '#contract/client.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { type BrowserSession, signInByLink } from '../support/browser-session.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type Relay, startRelay } from '../support/relay.ts';

const skip = missingForLibvirtd() ?? false;
let libvirtd: PrivateLibvirtd;
let folder: string;

const spec = (name: string) => ({
  name,
  memoryBytes: 32 * MIB,
  firmware: 'bios' as const,
  accel: 'tcg' as const,
  graphics: false,
  disks: [{ sizeBytes: 4 * MIB }],
  nics: [],
});

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), 'hv-glass-'));
  // Above the floor that stays free for VMs, so that they can be made at all.
  await runChecked(['mount', '-t', 'tmpfs', '-o', 'size=2200m,mode=711', 'tmpfs', folder], { timeoutMs: 10_000 });
  libvirtd = await startPrivateLibvirtd();
});
after(async () => {
  await libvirtd?.close();
  if (skip !== false) return;
  await runChecked(['umount', '--lazy', folder], { timeoutMs: 10_000 });
  await rm(folder, { recursive: true, maxRetries: 20, retryDelay: 100 });
});

async function refused(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ApiProblem) return `${error.problem.status} ${error.problem.code}`;
    throw error;
  }
  return 'done';
}

interface Full {
  /** Gives the space back. */
  empty(): Promise<void>;
}

/** Fills the file system of the state folder, and then the room that the database has inside. */
async function fill(state: string): Promise<Full> {
  const filler = join(folder, 'filler');
  await runChecked(['sh', '-c', 'head -c 4G /dev/zero > "$1" || true', 'sh', filler], { timeoutMs: 60_000 });
  assert.equal((await statfs(folder)).bavail, 0);
  // hyperd writes at the same time.
  const database = new DatabaseSync(join(state, 'state.db'), { timeout: 30_000 });
  database.exec('CREATE TABLE ballast(bytes BLOB)');
  for (const bytes of [65_536, 512])
    assert.throws(() => {
      for (;;) database.exec(`INSERT INTO ballast VALUES(zeroblob(${bytes}))`);
    }, /full/);
  return {
    async empty() {
      await truncate(filler, 0);
      await rm(filler);
      database.exec('DROP TABLE ballast');
      database.close();
    },
  };
}

const isOn = async (name: string) => (await libvirtd.virsh('domstate', name)).trim() === 'running';

async function withDaemon(
  name: string,
  isBreakGlass: boolean,
  work: (daemon: TestDaemon, session: BrowserSession) => Promise<void>,
): Promise<void> {
  let relay: Relay | null = null;
  const daemon = await startDaemon({
    libvirtd,
    stateDir: join(folder, name),
    config: { audit: { breakGlass: isBreakGlass } },
  });
  try {
    const socketPath = join(libvirtd.dir, `${name}.sock`);
    relay = await startRelay({ enter: libvirtd.enter, socketPath, port: Number(new URL(daemon.origin).port) });
    await work(daemon, await signInByLink(daemon, 'admin', socketPath));
  } finally {
    await relay?.close();
    await daemon.close();
  }
}

test('without the setting nobody stops a VM while nothing can be recorded', { skip }, () =>
  withDaemon('closed', false, async (daemon) => {
    await daemon.finish(await daemon.admin('POST /vms', { body: spec('stays') }));
    const disk = await fill(daemon.stateDir);
    try {
      assert.match(await refused(daemon.admin('POST /vms/{id}/stop', { params: { id: 'stays' } })), /^503 /);
      assert.equal(await isOn('stays'), true);
    } finally {
      await disk.empty();
    }
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: 'stays' } }));
  }),
);

test(
  'with it root at the machine forces a VM off, nobody else and nothing else, and the chain tells it when there is space',
  {
    skip,
  },
  () =>
    withDaemon('open', true, async (daemon, session) => {
      const { admin, finish } = daemon;
      const made = ['emergency', 'other'];
      for (const name of made) await finish(await admin('POST /vms', { body: spec(name) }));
      const [vm] = (await admin('GET /vms')).items.filter(({ name }) => name === 'emergency');
      assert.ok(vm);
      const disk = await fill(daemon.stateDir);
      try {
        // The same stop by a signed-in administrator, and anything but a stop by root.
        assert.equal((await session.call('POST', `/vms/${vm.id}/stop`, {})).status, 503);
        for (const verb of ['shutdown', 'reset', 'pause'] as const)
          assert.match(await refused(admin(`POST /vms/{id}/${verb}`, { params: { id: 'emergency' } })), /^503 /, verb);
        assert.match(
          await refused(admin('DELETE /vms/{id}', { params: { id: 'emergency' }, query: { stop: 'true' } })),
          /^503 /,
        );
        assert.equal(await isOn('emergency'), true);

        const stopped = await admin('POST /vms/{id}/stop', { params: { id: 'emergency' } });
        assert.deepEqual([stopped.kind, stopped.state], ['vm.stop', 'done']);
        assert.equal(await isOn('emergency'), false);
        assert.equal((await admin('GET /vms/{id}', { params: { id: 'emergency' } })).state, 'off');
        assert.equal(await isOn('other'), true);
        assert.match(daemon.output(), /break-glass: done although it could not be recorded/);
        assert.match(await refused(admin('POST /vms/{id}/start', { params: { id: 'emergency' } })), /^503 /);
      } finally {
        await disk.empty();
      }

      const stops = async () =>
        (await admin('GET /audit', { query: { action: 'POST /vms/{id}/stop', objectId: vm.id } })).items.filter(
          ({ via }) => via === 'admin_socket',
        );
      const end = performance.now() + 60_000;
      while ((await stops()).length < 2) {
        assert.ok(performance.now() < end, `the chain has ${JSON.stringify(await stops())}`);
        await sleep(100);
      }
      assert.deepEqual((await stops()).map(({ phase, outcome, objectName }) => [phase, outcome, objectName]).sort(), [
        ['intent', null, 'emergency'],
        ['outcome', 'done', 'emergency'],
      ]);
      for (const { params } of await stops()) assert.equal(Object(params)['breakGlass'], true);
      // And all goes on as before.
      await finish(await admin('POST /vms/{id}/start', { params: { id: 'emergency' } }));
      for (const name of made) await finish(await admin('POST /vms/{id}/stop', { params: { id: name } }));
    }),
);
