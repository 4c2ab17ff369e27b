/** What a real guest used, over kills of the daemon, as API, command line and spreadsheet tell it. */

import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '#kernel/units.ts';
import { runHv } from '../../src/cli/fake-daemon.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const config = { accounting: { currency: 'EUR', prices: { vcpuHour: 3600 } } };
/** Time that requests and events take. */
const TOLERANCE_S = 2.5;

test('a guest is charged from its start, over a kill of the daemon, and not after its end', { skip }, async () => {
  const libvirtd = await startPrivateLibvirtd();
  const stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
  const start = () => startDaemon({ libvirtd, stateDir, config });
  const secondsOf = async (daemon: TestDaemon) => {
    const { months } = await daemon.admin('GET /projects/{id}/usage', { params: { id: 'shop' } });
    return (months.reduce((sum, { total }) => sum + total.vcpuHours, 0) * 3600) / 2;
  };
  let daemon = await start();
  try {
    await daemon.admin('POST /projects', {
      body: {
        name: 'shop',
        resources: [
          { type: 'pool', id: 'hyper' },
          { type: 'network', id: 'default' },
        ],
      },
    });
    const limits = { vms: null, vcpus: null, memory: null, disk: null };
    await daemon.admin('PATCH /projects/{id}/quotas', { params: { id: 'shop' }, body: { limits } });
    const created = await daemon.admin('POST /vms', {
      body: {
        name: 'web',
        project: 'shop',
        vcpus: 2,
        memoryBytes: 64 * MIB,
        accel: 'tcg',
        graphics: false,
        firmware: 'bios',
        disks: [{ sizeBytes: 8 * MIB }],
        nics: [],
      },
    });
    await daemon.finish(created);
    const began = performance.now();
    const elapsed = () => (performance.now() - began) / 1000;
    const near = (counted: number, expected: number, what: string) =>
      assert.ok(Math.abs(counted - expected) < TOLERANCE_S, `${what}: counted ${counted} s of ${expected} s`);

    await sleep(3000);
    near(await secondsOf(daemon), elapsed(), 'while it runs');

    // Killed for longer than the tolerance: the same run is charged for that time too.
    await daemon.kill('SIGKILL');
    await sleep(6000);
    daemon = await start();
    near(await secondsOf(daemon), elapsed(), 'after a kill');

    // It ends while nobody looks: nobody knows when.
    const beforeEnd = await secondsOf(daemon);
    await daemon.kill('SIGKILL');
    await libvirtd.virsh('destroy', 'p1-web');
    await sleep(6000);
    daemon = await start();
    near(await secondsOf(daemon), beforeEnd, 'after its end');

    const counted = await secondsOf(daemon);
    const answer = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
      method: 'GET',
      path: '/api/v1/projects/shop/usage.csv',
    });
    assert.match(String(answer.headers['content-type']), /^text\/csv/);
    const [head, line] = answer.body.toString().split('\r\n');
    assert.equal(head?.split(',')[3], 'vcpu_hours');
    const fields = line?.split(',') ?? [];
    assert.deepEqual([fields[0], fields[2], fields[8]], ['shop', 'root', 'EUR']);
    near(Number(fields[7]) / 2, counted, 'a vCPU-second costs one euro');

    const month = new Date().toISOString().slice(0, 7);
    const table = await runHv(daemon.runtimeDir, ['project', 'usage', 'shop', '--month', month]);
    assert.match(table.stdout, /root/);
    const csv = await runHv(daemon.runtimeDir, ['project', 'usage', 'shop', '--csv']);
    assert.equal(csv.stdout.split('\r\n')[0], head);
    const json = JSON.parse((await runHv(daemon.runtimeDir, ['project', 'usage', 'shop', '--json'])).stdout);
    assert.equal(json.months[0].users[0].user, 'root');
    const quota = await runHv(daemon.runtimeDir, ['quota', 'set', 'shop', '--vcpus', '1', '--disk', '1GiB']);
    assert.match(quota.stdout, /vcpus +2 +1 +200 %/);
    console.log(`# count: ${counted.toFixed(1)} s of a guest counted over 2 kills of hyperd`);
  } finally {
    await daemon.close();
    await libvirtd.close();
  }
});
