/** hyperd is killed before, in and after the steps that make the demonstration guest. After a restart there is one image, one VM that
 *  runs, and nothing left over. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { GUEST_CACHE, helloDisk } from '#test/support/guest.ts';
import { killPoints } from '#test/support/kill-points.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '#test/support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);

const STEPS = [
  'system.demo:make-disk',
  'system.demo:add-image',
  'system.demo:create-vm',
  'system.demo:tidy-up',
  'vm.create:disks',
];
const { points: POINTS, all } = killPoints(STEPS);

let libvirtd: PrivateLibvirtd;
let stateDir: string;

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
  // Inside the namespaces there is no way to the package mirror.
  await helloDisk();
  await cp(join(GUEST_CACHE, 'packages'), join(stateDir, 'scratch', 'guest-parts'), { recursive: true });
});
after(async () => {
  await libvirtd?.close();
  console.log(`# count: seed ${seed}: ${POINTS.length} of ${all} kill points of the demonstration`);
});

/** Asks for the guest and waits until the daemon is dead. */
async function killAt(point: string): Promise<void> {
  const daemon = await startDaemon({ libvirtd, stateDir, env: { HV_KILL_POINT: point } });
  try {
    // The answer may get lost with the daemon.
    await daemon.admin('POST /system/demo').catch(() => undefined);
    const how = await Promise.race([daemon.exited, sleep(90_000).then(() => 'alive')]);
    assert.equal(how, 'SIGKILL', daemon.output().slice(-2000));
  } finally {
    await daemon.close();
  }
}

async function emptyAgain(daemon: TestDaemon): Promise<void> {
  const id = { params: { id: 'hello' } };
  await daemon.finish(await daemon.admin('POST /vms/{id}/stop', id));
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', id));
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', id));
  await daemon.finish(await daemon.admin('DELETE /images/{id}', id));
}

for (const point of POINTS) {
  test(`killed at ${point}, the guest is there after a restart, once and whole`, { skip }, async () => {
    await killAt(point);
    const daemon = await startDaemon({ libvirtd, stateDir });
    try {
      const [operation] = (await daemon.admin('GET /operations', { query: { kind: 'system.demo', limit: 1 } })).items;
      assert.ok(operation, 'the operation was journalled');
      await daemon.finish(operation);
      const vms = (await daemon.admin('GET /vms', { query: {} })).items;
      assert.deepEqual(
        vms.map(({ name, state }) => [name, state]),
        [['hello', 'running']],
      );
      assert.equal((await libvirtd.virsh('list', '--all', '--name')).trim(), 'hello');
      assert.deepEqual(
        (await daemon.admin('GET /images', { query: {} })).items.map(({ name, state }) => [name, state]),
        [['hello', 'ready']],
      );
      assert.equal((await daemon.admin('GET /operations', { query: { open: 'true' } })).total, 0);
      assert.ok(!existsSync(join(stateDir, 'scratch', operation.id)), 'nothing is left over');
      assert.equal(await daemon.admin('POST /system/demo'), null);
      await emptyAgain(daemon);
    } finally {
      await daemon.close();
    }
  });
}
