/** The life of a backup on a machine as its packages leave it: QEMU is a user of its own, who may read and write what he is given and
 *  nothing else. Once with hyperd as root, and once as `hyper`, which has no right of root and shares files by their group alone. */

import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { applianceParts, helloDisk } from '#test/support/guest.ts';
import { missingForOwnMachine, type OwnMachine, startOwnMachine } from '#test/support/own-machine.ts';

const skip = missingForOwnMachine() ?? false;
const STATE = '/var/lib/hyper-nixos';

for (const user of ['root', 'hyper'] as const)
  describe(`backups with QEMU as its own user, and hyperd as ${user}`, { skip }, () => {
    let machine: OwnMachine;

    before(async () => {
      machine = await startOwnMachine();
      if (user === 'hyper') await machine.done('system', 'access-setup', '--projects', '1', '--yes');
      // There is no way to a package mirror from here.
      const parts = `${STATE}/scratch/guest-parts`;
      await machine.run('mkdir', '-p', `${STATE}/scratch`);
      await machine.run('cp', '-r', await applianceParts(), parts);
      await machine.run('chown', '-R', `${user}:`, `${STATE}/scratch`);
      await machine.done('up', '--detach', '--no-demo');
      await copyFile(await helloDisk(), machine.inside(`${STATE}/hello.qcow2`));
      await machine.finish(
        await machine.api('POST', '/images/import', { path: `${STATE}/hello.qcow2`, name: 'hello' }),
      );
      const vm = {
        firmware: 'bios',
        accel: 'tcg',
        memoryBytes: 201_326_592,
        vcpus: 1,
        disks: [{ imageId: 'hello' }, { sizeBytes: 16 * 2 ** 20 }],
      };
      await machine.finish(await machine.api('POST', '/vms', { ...vm, nics: [], name: 'web' }));
    });
    after(async () => {
      await machine?.close();
    });

    const stateOf = async (name: string) => (await machine.api('GET', `/vms/${name}`)).state;
    const newest = async () => (await machine.api('GET', '/restore-points?limit=1')).items[0];

    test('hyperd and QEMU are who they should be', async () => {
      assert.equal(JSON.parse((await machine.hv('doctor', '--json')).stdout).user, user);
      const { stdout } = await machine.run('ps', '-C', 'qemu-system-x86_64', '-o', 'user:20=');
      assert.match(stdout.trim(), /^libvirt-qemu$/);
    });

    test('a running guest is backed up, and then what changed', async () => {
      await machine.done('backup', 'run', 'web');
      assert.equal((await newest()).disks[0].mode, 'full');
      const write = 'qemu-io -d /machine/peripheral/virtio-disk1/virtio-backend "write -P 7 0 1M"';
      await machine.run('virsh', '-c', 'qemu:///system', 'qemu-monitor-command', 'web', '--hmp', write);
      await machine.done('backup', 'run', 'web');
      const { disks, readBytes } = await newest();
      assert.deepEqual(
        disks.map(({ mode }: { mode: string }) => mode),
        ['incremental', 'incremental'],
      );
      assert.ok(readBytes >= 2 ** 20, `what was written was read: ${readBytes}`);
    });

    test('the restore point is proven by starting it', async () => {
      await machine.done('backup', 'run', 'web');
      const ran = await machine.hv('verify', 'run', 'web', '--json');
      assert.equal(ran.code, 0, ran.text);
    });

    test('its files are read', async () => {
      const { text } = await machine.done('backup', 'files', 'volumes', 'web');
      assert.match(text, /vda/);
    });

    test('it comes back as a new VM, and at once', async () => {
      await machine.done('backup', 'restore', 'web', '--as', 'again', '--start');
      assert.equal(await stateOf('again'), 'running');
      await machine.done('backup', 'restore', 'web', '--as', 'at-once', '--instant');
      assert.equal(await stateOf('at-once'), 'running');
      for (let turn = 0; ; turn += 1) {
        const { items } = await machine.api('GET', '/instant-restores');
        if (items.length === 0) break;
        assert.ok(turn < 120, `its data is not copied: ${JSON.stringify(items)}`);
        await sleep(500);
      }
      for (const name of ['again', 'at-once']) await machine.done('vm', 'stop', name);
    });

    test('it is set back, keeping what was there', async () => {
      await machine.done('vm', 'stop', 'web');
      await machine.done('backup', 'run', 'web');
      const { id } = await newest();
      await machine.done('backup', 'restore', id, '--overwrite', '--yes', '--name', 'web');
      await machine.done('vm', 'start', 'web');
      assert.equal(await stateOf('web'), 'running');
    });

    test('everything in the repository is good, and nothing is left beside it', async () => {
      await machine.done('repo', 'check', 'default', '--read-data');
      for (const folder of ['backup-runs', 'proving', 'instant']) {
        const { stdout } = await machine.run('sh', '-c', `ls -A ${STATE}/${folder}`);
        assert.equal(stdout.trim(), '', folder);
      }
    });
  });
