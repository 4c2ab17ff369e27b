/** `hv quota` and `hv project usage` against a stand-in daemon. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Quota } from '#contract/quotas.ts';
import { GIB } from '#kernel/units.ts';
import { type FakeDaemon, startFakeDaemon } from './fake-daemon.ts';

const quotas: Quota[] = [
  { resource: 'vcpus', unit: 'count', limit: 4, used: 6 },
  { resource: 'memory', unit: 'bytes', limit: 8 * GIB, used: 2 * GIB },
  { resource: 'disk', unit: 'bytes', limit: null, used: GIB },
];
const answer = { projectId: 'prj-1', project: 'shop', quotas };
const amounts = { vcpuHours: 1.25, memoryGibHours: 2, diskGibHours: 30, backupGibHours: 0, cost: 12.5 };

describe('hv quota', { concurrency: 2 }, () => {
  let daemon: FakeDaemon;
  before(async () => {
    daemon = await startFakeDaemon();
    daemon.on('GET /projects/{id}/quotas', () => answer);
    daemon.on('PATCH /projects/{id}/quotas', () => answer);
    daemon.on('GET /projects/{id}/usage', () => ({
      projectId: 'prj-1',
      project: 'shop',
      currency: 'EUR',
      months: [
        {
          month: '2026-11',
          isRunning: true,
          total: { ...amounts, vcpuHours: 2.5 },
          users: [
            { user: null, ...amounts },
            { user: 'ada\u001b[31m', ...amounts },
          ],
        },
      ],
    }));
    daemon.onRaw('GET /projects/{id}/usage.csv', ({ query }) => ({
      status: 200,
      body: `csv ${query.get('month')}\r\n`,
    }));
  });
  after(() => daemon.close());

  test('a table with shares, unlimited ones without', async () => {
    const { stdout, code } = await daemon.hv(['quota', 'show', 'shop']);
    assert.equal(code, 0);
    assert.match(stdout, /vcpus +6 +4 +150 %/);
    assert.match(stdout, /memory +2 GiB +8 GiB +25 %/);
    assert.match(stdout, /disk +1 GiB +unlimited/);
    assert.deepEqual(JSON.parse((await daemon.hv(['quota', 'show', 'shop', '--json'])).stdout), answer);
  });

  test('limits are read with their units; only those that are named are sent', async () => {
    await daemon.hv(['quota', 'set', 'shop', '--vcpus', '8', '--disk', '2TiB', '--memory', 'unlimited']);
    const call = daemon.calls.findLast(({ method }) => method === 'PATCH');
    assert.deepEqual(JSON.parse(call?.body.toString() ?? ''), {
      limits: { vcpus: 8, memory: null, disk: 2048 * GIB },
    });
  });

  test('what is no limit is refused before anything is sent', async () => {
    for (const args of [
      ['--vcpus', '1.5'],
      ['--vcpus', '-1'],
      ['--disk', 'much'],
      ['--disk', '500'],
      ['--vms', '8GiB'],
      [],
    ]) {
      const { code, stderr } = await daemon.hv(['quota', 'set', 'shop', ...args]);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    }
  });

  test('a new project gets its limits at once, or says which are missing; wrong ones make none', async () => {
    const project = {
      id: 'prj-2',
      name: 'till',
      state: 'active' as const,
      number: 2,
      title: null,
      resources: [],
      vms: 0,
      createdAt: '2026-11-01T00:00:00Z',
    };
    daemon.on('POST /projects', () => project);
    const create = ['project', 'create', 'till', '--bare'];
    const whole = await daemon.hv([...create, '--vms', '3', '--vcpus', '4', '--memory', '8GiB', '--disk', '50GiB']);
    assert.equal(whole.code, 0, whole.stderr);
    assert.ok(!`${whole.stdout}${whole.stderr}`.includes('quota set'));
    const call = daemon.calls.findLast(({ method }) => method === 'PATCH');
    assert.deepEqual(JSON.parse(call?.body.toString() ?? ''), {
      limits: { vms: 3, vcpus: 4, memory: 8 * GIB, disk: 50 * GIB },
    });
    const some = await daemon.hv([...create, '--vms', '3']);
    assert.match(some.stderr, /No VM fits in yet.* hv quota set till --vcpus 20 --memory 64GiB --disk 1TiB/);

    const made = daemon.calls.filter(({ method }) => method === 'POST').length;
    assert.equal((await daemon.hv([...create, '--vms', 'lots'])).code, 2);
    assert.equal(daemon.calls.filter(({ method }) => method === 'POST').length, made);

    daemon.refuse('PATCH /projects/{id}/quotas', { status: 403, code: 'forbidden', title: 'Not yours' });
    const half = await daemon.hv([...create, '--vms', '3']);
    daemon.on('PATCH /projects/{id}/quotas', () => answer);
    assert.equal(half.code, 3);
    assert.match(half.stderr, /project "till" is made, but its limits are not set/);
  });

  test('usage is a table with a line for all, its CSV comes as the daemon makes it', async () => {
    const { stdout } = await daemon.hv(['project', 'usage', 'shop']);
    assert.match(stdout, /2026-11 \(so far\) +\(not made here\) +1\.3 +2\.0 +30\.0 +0\.0 +12\.50/);
    assert.match(stdout, /together +2\.5/);
    assert.ok(!stdout.includes('\u001b'), 'no control characters of others');
    const csv = await daemon.hv(['project', 'usage', 'shop', '--csv', '--month', '2026-11']);
    assert.equal(csv.stdout, 'csv 2026-11\r\n');
    assert.equal((await daemon.hv(['project', 'usage', 'shop', '--month', '2026-13'])).code, 2);
    assert.equal((await daemon.hv(['project', 'usage', 'shop', '--csv', '--json'])).code, 2);
  });
});
