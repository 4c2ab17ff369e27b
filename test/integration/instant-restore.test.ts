/** VMs that run from a restore point (TCG guests on a real libvirtd) while their data is copied behind them: what was there before the
 *  backup, what is written meanwhile, and what is left when it is over. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstantRestore } from '#contract/backups.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { type GuestShell, guestShell } from '../support/guest-shell.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

describe('instant restore', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;
  let stateDir: string;
  let pointId: string;

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
    daemon = await startDaemon({ libvirtd, stateDir });
    await daemon.finish(
      await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }),
    );
    const { id: imageId } = await daemon.admin('GET /images/{id}', { params: { id: 'hello' } });
    await daemon.admin('POST /repositories', { body: { name: 'shelf', folder: join(libvirtd.dir, 'shelf') } });
    await daemon.finish(
      await daemon.admin('POST /vms', {
        body: {
          name: 'origin',
          memoryBytes: 192 * MIB,
          vcpus: 1,
          accel: 'tcg',
          graphics: false,
          firmware: 'bios',
          nics: [{}],
          disks: [{ imageId }, { sizeBytes: 32 * MIB, format: 'raw' }],
        },
      }),
    );
    const shell = await guestShell(libvirtd, 'origin');
    await sync(
      shell,
      `echo written-before > /data/before &&
       dd if=/dev/zero bs=1M count=16 2>/dev/null | tr '\\0' 'x' > /dev/vdb`,
    );
    const operation = await daemon.finish(
      await daemon.admin('POST /vms/{id}/backup', { params: { id: 'origin' }, body: { repository: 'shelf' } }),
    );
    pointId = JSON.parse(JSON.stringify(operation.result)).pointId;
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: 'origin' } }));
    await slowly();
  });
  after(async () => {
    await daemon?.close();
    await libvirtd?.close();
  });

  /** Copies at 1 MiB/s, so that things can happen meanwhile. */
  const slowly = async () => {
    await daemon.stop();
    await daemon.close();
    daemon = await startDaemon({
      libvirtd,
      stateDir,
      config: { backups: { maxBytesPerSecond: MIB }, healing: { restartDelaysSeconds: [3600] } },
    });
  };
  const sync = async (shell: GuestShell, script: string) => {
    const { code, text } = await shell.run(`${script} && sync`);
    assert.equal(code, 0, text);
  };
  const show = (id: string): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id } });
  const instant = async (name: string): Promise<InstantRestore | null> =>
    (await daemon.admin('GET /instant-restores')).items.find(({ vmName }) => vmName === name) ?? null;
  const restore = async (name: string): Promise<Operation> =>
    daemon.finish(
      await daemon.admin('POST /restore-points/{id}/restore', {
        params: { id: pointId },
        body: { name, mode: 'instant' },
      }),
    );
  /** Waits for what is true sooner or later. */
  const eventually = async (what: string, isSo: () => Promise<boolean>, withinMs = 60_000) => {
    const end = performance.now() + withinMs;
    while (!(await isSo())) {
      assert.ok(performance.now() < end, `${what}\n${daemon.output().slice(-3000)}`);
      await sleep(100);
    }
  };
  const copying = (name: string) =>
    eventually(`${name} is copied`, async () => (await instant(name))?.operationId !== null);
  /** Lets QEMU copy as fast as it can, disk after disk, until nothing is left to copy. */
  const finishCopy = async (name: string) => {
    const { operationId } = (await instant(name)) ?? assert.fail();
    await eventually(
      `${name} is copied`,
      async () => {
        for (const target of ['vda', 'vdb'])
          await libvirtd.virsh('blockjob', name, target, '--bandwidth', '0').catch(() => undefined);
        return (await instant(name)) === null;
      },
      180_000,
    );
    // What served it is cleared away after it was let go of.
    await daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: operationId ?? '' } }));
  };
  const diskFiles = async (name: string) =>
    (await show(name)).disks.flatMap(({ source }) => (source === null ? [] : [join(stateDir, 'disks', source)]));
  const chainDepth = async (path: string): Promise<number> =>
    JSON.parse(
      (
        await runChecked(['qemu-img', 'info', '-U', '--output=json', '--backing-chain', '-f', 'qcow2', path], {
          timeoutMs: 20_000,
        })
      ).stdout,
    ).length;
  const nothingLeft = async () => {
    // Its exporter is ended after it was let go of.
    await eventually('no socket, order or log', async () => (await readdir(join(stateDir, 'instant'))).length === 0);
    const { stdout } = await runChecked(['ps', '-eo', 'args'], { timeoutMs: 10_000 });
    // QEMU's own arguments go on to name what it was started with.
    const exporters = stdout.split('\n').filter((line) => line.includes(`exporter/main.ts ${stateDir}`));
    assert.deepEqual(exporters, []);
  };

  test('it runs at once with what was there before, keeps what is written meanwhile, and needs nothing of the backup in the end', async () => {
    await restore('runner');
    const origin = await show('origin');
    const runner = await show('runner');
    assert.equal(runner.state, 'running');
    assert.notEqual(runner.id, origin.id);
    assert.notEqual(runner.nics[0]?.mac, origin.nics[0]?.mac);
    await copying('runner');
    const shell = await guestShell(libvirtd, 'runner');
    assert.match((await shell.run('cat /data/before')).text, /written-before/);
    assert.equal((await instant('runner'))?.state, 'copying');
    for (const file of await diskFiles('runner'))
      assert.equal(await chainDepth(file), 2, 'it builds upon the restore point');

    const refused = async (work: Promise<unknown>, code: string) =>
      assert.match(
        String(
          await work.then(
            () => 'accepted',
            (error: unknown) => JSON.stringify(error) + String(error),
          ),
        ),
        RegExp(code),
      );
    await refused(daemon.admin('DELETE /restore-points/{id}', { params: { id: pointId } }), 'still runs');
    await refused(daemon.admin('DELETE /repositories/{id}', { params: { id: 'shelf' } }), 'still runs');
    await refused(daemon.admin('POST /vms/{id}/backup', { params: { id: 'runner' }, body: {} }), 'still runs');

    await sync(
      shell,
      `echo written-meanwhile > /data/meanwhile &&
       printf abc | dd of=/dev/vdb bs=1 seek=$((7 * 1048576 + 100)) conv=notrunc 2>/dev/null`,
    );
    await finishCopy('runner');
    await nothingLeft();
    for (const file of await diskFiles('runner')) assert.equal(await chainDepth(file), 1);
    const xml = await libvirtd.virsh('dumpxml', 'runner', '--inactive');
    assert.doesNotMatch(xml, /error_policy/, 'the definition says of errors what it said before');

    const away = join(libvirtd.dir, 'shelf-away');
    await rename(join(libvirtd.dir, 'shelf'), away);
    try {
      await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: 'runner' } }));
      await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: 'runner' } }));
      const again = await guestShell(libvirtd, 'runner');
      const { text } = await again.run(
        `cat /data/before /data/meanwhile; dd if=/dev/vdb bs=1M count=16 2>/dev/null | tr -d x`,
      );
      assert.equal(text, 'written-before\nwritten-meanwhile\nabc');
    } finally {
      await rename(away, join(libvirtd.dir, 'shelf'));
    }
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'runner' }, query: { stop: 'true' } }));
  });

  test('while its repository is away the guest is paused and people are told; it goes on when it is back, and cancelling only stops the copying', async () => {
    await restore('waiter');
    const { id } = await show('waiter');
    const shell = await guestShell(libvirtd, 'waiter');
    await sync(shell, 'echo written-meanwhile > /data/meanwhile');
    await copying('waiter');
    const { operationId } = (await instant('waiter')) ?? assert.fail();
    await daemon.admin('POST /operations/{id}/cancel', { params: { id: operationId ?? '' } });
    await daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: operationId ?? '' } }), 'cancelled');
    assert.equal((await instant('waiter'))?.state, 'held');
    assert.equal((await show('waiter')).state, 'running');
    for (const target of ['vda', 'vdb'])
      assert.equal((await libvirtd.virsh('blockjob', 'waiter', target)).trim(), '', 'no job');

    const away = join(libvirtd.dir, 'shelf-away');
    await rename(join(libvirtd.dir, 'shelf'), away);
    await shell
      .run('(sha256sum /dev/vdb > /data/sum && sync; touch /data/read) >/dev/null 2>&1 &')
      // It may be paused before it has said that it began.
      .catch((error: unknown) => assert.match(String(error), /domain is not running/));
    await eventually('it is paused', async () => (await show('waiter')).state === 'paused');
    await eventually('people are told', async () => (await instant('waiter'))?.problem !== null);
    assert.match((await instant('waiter'))?.problem ?? '', /repository/i);
    await daemon.finish(await daemon.admin('POST /health/run'));
    const { results } = await daemon.admin('GET /health');
    assert.equal(results.find((check) => check.id === 'backups.instant')?.status, 'fail');

    await rename(away, join(libvirtd.dir, 'shelf'));
    await eventually('it goes on', async () => (await show('waiter')).state === 'running');
    await eventually('it has read it all', async () => (await shell.run('test -e /data/read')).code === 0);
    const whole = await runChecked(
      ['sh', '-c', '{ head -c 16777216 /dev/zero | tr "\\0" x; head -c 16777216 /dev/zero; } | sha256sum'],
      { timeoutMs: 20_000 },
    );
    assert.equal((await shell.run('cat /data/sum')).text.slice(0, 64), whole.stdout.slice(0, 64));

    const resumed = await daemon.admin('POST /vms/{id}/copy-behind', { params: { id } });
    await finishCopy('waiter');
    await daemon.finish(resumed);
    await nothingLeft();
    assert.match((await shell.run('cat /data/meanwhile')).text, /written-meanwhile/);
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
  });

  test('a VM that is deleted while it is copied comes back from the trash and is copied on; purged, it lets go of its restore point', async () => {
    await restore('trashed');
    const { id } = await show('trashed');
    await sync(await guestShell(libvirtd, 'trashed'), 'echo written-meanwhile > /data/meanwhile');
    await copying('trashed');
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
    await eventually('no exporter serves it', async () => (await readdir(join(stateDir, 'instant'))).length === 0);
    assert.equal((await instant('trashed'))?.state, 'waiting', 'the restore point is still needed');
    const trash = async () =>
      (await daemon.admin('GET /trash')).items.find((item) => item.vmId === id) ?? assert.fail();
    await daemon.finish(await daemon.admin('POST /trash/{id}/restore', { params: { id: (await trash()).id } }));
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
    await copying('trashed');
    const shell = await guestShell(libvirtd, 'trashed');
    assert.match((await shell.run('cat /data/before /data/meanwhile')).text, /written-before\nwritten-meanwhile/);
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
    await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: (await trash()).id } }));
    await eventually('nothing is left of it', async () => (await instant('trashed')) === null);
    await nothingLeft();
  });
});
