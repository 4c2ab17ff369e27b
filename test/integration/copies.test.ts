/** Second copies of backups, by hyperd as it is: on an SSH host with Debian's sshd, on a mounted file system; restored from there when the
 *  repository is lost, and what goes wrong over there. VMs are off: their disks are written by qemu-io. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupCopy } from '#contract/backup-copies.ts';
import type { RestorePoint } from '#contract/backups.ts';
import { ApiProblem } from '#contract/client.ts';
import { openRepository } from '#features/backups/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

const skip = missingForLibvirtd() ?? missingForSshd() ?? false;
const SIZE = 8 * MIB;
const WAIT_MS = 60_000;
/** That were copied. */
const STATES = 2;

describe('copies', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;
  let sshd: Sshd;
  let folder: string;
  const points: { readonly point: RestorePoint; readonly sum: string }[] = [];

  const refused = async (work: Promise<unknown>): Promise<{ readonly code: string; readonly text: string }> =>
    work.then(
      () => assert.fail('it was accepted'),
      (error: unknown) => {
        assert.ok(error instanceof ApiProblem, String(error));
        return { code: error.problem.code, text: JSON.stringify(error.problem) };
      },
    );
  const place = (more: Readonly<Record<string, unknown>> = {}) => ({
    kind: 'sftp' as const,
    host: '127.0.0.1',
    port: sshd.port,
    user: sshd.user,
    folder: join(folder, 'offsite'),
    hostKey: sshd.hostKey,
    ...more,
  });
  const copy = (id: string): Promise<BackupCopy> => daemon.admin('GET /repositories/{id}/copy', { params: { id } });
  const copied = async (id: string, wanted: BackupCopy['state']): Promise<BackupCopy> => {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      const now = await copy(id);
      if (now.state === wanted) return now;
      assert.ok(performance.now() < end, `the copy is ${now.state}, not ${wanted}: ${now.problem}`);
      await sleep(100);
    }
  };
  const sumOf = async (path: string): Promise<string> => {
    await runChecked(['qemu-img', 'convert', '-U', '-O', 'raw', path, `${path}.sum`], { timeoutMs: 60_000 });
    const sum = createHash('sha256')
      .update(await readFile(`${path}.sum`))
      .digest('hex');
    await rm(`${path}.sum`);
    return sum;
  };
  const diskOf = async (vm: string) =>
    join(
      daemon.stateDir,
      'disks',
      (await daemon.admin('GET /vms/{id}', { params: { id: vm } })).disks.find(({ target }) => target === 'vda')
        ?.source ?? '',
    );
  /** Changes the disk and backs it up. */
  const backUp = async (): Promise<void> => {
    const path = await diskOf('web1');
    const n = points.length + 1;
    await runChecked(['qemu-io', '-f', 'qcow2', '-c', `write -P ${n} ${n * MIB} ${256 * 1024}`, path], {
      timeoutMs: 30_000,
    });
    const { result } = await daemon.finish(
      await daemon.admin('POST /vms/{id}/backup', { params: { id: 'web1' }, body: {} }),
    );
    const id: string = JSON.parse(JSON.stringify(result)).pointId;
    points.push({ point: await daemon.admin('GET /restore-points/{id}', { params: { id } }), sum: await sumOf(path) });
  };
  const restoredSum = async (point: RestorePoint, name: string, from: string): Promise<string> => {
    await daemon.finish(
      await daemon.admin('POST /restore-points/{id}/restore', { params: { id: point.id }, body: { name, from } }),
    );
    return sumOf(await diskOf(name));
  };

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    folder = await mkdtemp(join(libvirtd.dir, 'copies-'));
    sshd = await startSshd({ enter: libvirtd.enter });
    daemon = await startDaemon({ libvirtd });
    await daemon.finish(
      await daemon.admin('POST /vms', {
        body: {
          name: 'web1',
          memoryBytes: 32 * MIB,
          vcpus: 1,
          accel: 'tcg',
          graphics: false,
          firmware: 'bios',
          nics: [],
          disks: [{ sizeBytes: SIZE }],
          start: false,
        },
      }),
    );
    await backUp();
  });
  after(async () => {
    await daemon?.close();
    await sshd?.close();
    await libvirtd?.close();
  });

  test('a host whose key nobody accepted is told its key and sent nothing; a wrong key of ours is refused', async () => {
    const body = { name: 'offsite', secrets: { privateKey: sshd.privateKey } };
    const unknown = await refused(
      daemon.admin('POST /repositories', { body: { ...body, place: place({ hostKey: null }) } }),
    );
    assert.equal(unknown.code, 'host_key_unknown');
    assert.ok(unknown.text.includes(sshd.hostKey), 'the key that it shows is named');
    const stranger = { name: 'offsite', secrets: { privateKey: sshd.otherKey }, place: place() };
    assert.equal((await refused(daemon.admin('POST /repositories', { body: stranger }))).code, 'place_refused');
    assert.deepEqual(
      (await daemon.admin('GET /repositories')).items.map(({ name }) => name),
      ['default'],
      'nothing is left of a place that does not work',
    );
  });

  test('every restore point is copied after its backup, and posture, list and restore points say so', async () => {
    const { repository } = await daemon.admin('POST /repositories', {
      body: { name: 'offsite', place: place(), secrets: { privateKey: sshd.privateKey } },
    });
    assert.doesNotMatch(JSON.stringify(repository), /PRIVATE KEY/);
    await daemon.admin('PUT /repositories/{id}/copy', { params: { id: 'offsite' }, body: { source: 'default' } });
    assert.equal((await copied('offsite', 'current')).points, 1);
    await backUp();
    await backUp();
    const now = await copied('offsite', 'current');
    assert.deepEqual([now.points, now.missing, now.problem], [3, 0, null]);
    const [newest] = (await daemon.admin('GET /restore-points')).items;
    assert.deepEqual(newest?.copies, ['offsite']);
    const posture = await daemon.admin('GET /vms/{id}/backup-posture', { params: { id: 'web1' } });
    assert.deepEqual([posture.isCopied, posture.copiedAt], [true, newest?.pointInTime]);
    const database = await readFile(join(daemon.stateDir, 'state.db'));
    const wal = await readFile(join(daemon.stateDir, 'state.db-wal')).catch(() => Buffer.alloc(0));
    assert.ok(!Buffer.concat([database, wal]).includes('PRIVATE KEY'), 'secrets are sealed');
    assert.equal(
      (
        await refused(
          daemon.admin('POST /vms/{id}/backup', { params: { id: 'web1' }, body: { repository: 'offsite' } }),
        )
      ).code,
      'repository_is_copy',
    );
  });

  test('the state of this host goes along, is counted, and is verified as everything there', async () => {
    const write = () => daemon.admin('POST /system/state-backups', { body: {} }).then((begun) => daemon.finish(begun));
    await write();
    const first = await copied('offsite', 'current');
    assert.deepEqual([first.points, first.states, first.missingStates], [3, 1, 0]);
    const [here, ...others] = (await daemon.admin('GET /system/state-backups')).repositories;
    assert.deepEqual([here?.name, others], ['default', []], 'nobody writes a state into a copy');
    assert.deepEqual(
      here?.points.map(({ madeAt, copies }) => [madeAt, copies]),
      [[first.newestStateAt, ['offsite']]],
    );
    const into = { body: { repository: 'offsite' } };
    assert.equal((await refused(daemon.admin('POST /system/state-backups', into))).code, 'repository_is_copy');
    const { stdout } = await hvOn(daemon, ['repo', 'show', 'offsite']);
    assert.match(stdout, /states copied\s+1, the newest made /);

    // What rots there is brought anew.
    const manifest = await openRepository(join(folder, 'offsite')).then((there) =>
      there.point(here?.points[0]?.id ?? ''),
    );
    const blob = manifest.blobs['state'] ?? '';
    const path = join(folder, 'offsite/chunks', blob.slice(0, 2), blob.slice(2, 4), blob);
    const bytes = await readFile(path);
    await writeFile(path, bytes.subarray(1));
    await daemon.finish(
      await daemon.admin('POST /repositories/{id}/check', { params: { id: 'offsite' }, body: { readData: true } }),
    );
    assert.ok((await readFile(path)).equals(bytes));

    // Somebody does not want them there.
    const change = (takesStates: boolean) =>
      daemon.admin('PUT /repositories/{id}/copy', {
        params: { id: 'offsite' },
        body: { source: 'default', takesStates },
      });
    await change(false);
    await write();
    assert.deepEqual([(await copy('offsite')).states, (await copy('offsite')).missingStates], [1, 0]);
    await change(true);
    assert.equal((await copied('offsite', 'current')).states, 2);
  });

  test('what is lost here is repaired from the copy, and without the repository VMs are restored from the copy alone', async () => {
    const here = join(daemon.stateDir, 'repositories/default');
    const chunks = await readdir(join(here, 'chunks'), { recursive: true, withFileTypes: true });
    const [lost] = chunks.filter((entry) => entry.isFile());
    assert.ok(lost);
    await rm(join(lost.parentPath, lost.name));
    const repaired = await daemon.finish(
      await daemon.admin('POST /repositories/{id}/repair', { params: { id: 'default' }, body: { from: 'offsite' } }),
    );
    const report = JSON.parse(JSON.stringify(repaired.result));
    assert.deepEqual([report.problemsBefore, report.repairedObjects, report.problems], [1, 1, 0]);

    await rename(here, `${here}.lost`);
    try {
      for (const [n, { point, sum }] of points.entries())
        assert.equal(await restoredSum(point, `restored${n}`, 'offsite'), sum);
    } finally {
      await rename(`${here}.lost`, here);
    }
  });

  test('what rots in the copy is found by a check and brought anew', async () => {
    const chunks = await readdir(join(folder, 'offsite/chunks'), { recursive: true, withFileTypes: true });
    const [lost] = chunks.filter((entry) => entry.isFile());
    assert.ok(lost);
    await rm(join(lost.parentPath, lost.name));
    const checked = await daemon.finish(
      await daemon.admin('POST /repositories/{id}/check', { params: { id: 'offsite' }, body: { readData: true } }),
    );
    const report = JSON.parse(JSON.stringify(checked.result));
    assert.deepEqual([report.points, report.problems, report.damagedPoints], [points.length + STATES, 0, []]);
    assert.ok((await readdir(lost.parentPath)).includes(lost.name));
  });

  test('another key of the host stops every copy until somebody accepts it', async () => {
    const changed = await sshd.changeHostKey();
    await backUp();
    const failed = await copied('offsite', 'failed');
    assert.match(failed.problem ?? '', /shows the key SHA256:.*another key|shows the key SHA256:/);
    assert.ok(failed.problem?.includes(changed), 'the key that it shows now is named');
    assert.equal((await copy('offsite')).points, 3);
    await daemon.finish(await daemon.admin('POST /health/run'));
    const check = await daemon.admin('GET /health/{id}', { params: { id: 'backups.copies' } });
    assert.equal(check.status, 'warn');
    assert.match(check.evidence, /^offsite: the last copy failed: .*1 restore point or state missing there/);
    await daemon.admin('PATCH /repositories/{id}', { params: { id: 'offsite' }, body: { hostKey: changed } });
    await daemon.finish(await daemon.admin('POST /repositories/{id}/copy', { params: { id: 'offsite' } }));
    assert.equal((await copied('offsite', 'current')).points, 4);
  });

  test('a copy keeps what its own retention says, and a restore point that only it holds is still restored', async () => {
    await daemon.admin('PUT /repositories/{id}/copy', {
      params: { id: 'offsite' },
      body: {
        source: 'default',
        isEnabled: false,
        retention: { last: 3, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
      },
    });
    await daemon.finish(await daemon.admin('POST /repositories/{id}/copy', { params: { id: 'offsite' } }));
    assert.equal((await copy('offsite')).points, 3);
    const second = points[1];
    assert.ok(second);
    await daemon.finish(await daemon.admin('DELETE /restore-points/{id}', { params: { id: second.point.id } }));
    const listed = await daemon.admin('GET /restore-points/{id}', { params: { id: second.point.id } });
    assert.equal(listed.repositoryName, 'offsite');
    assert.equal(await restoredSum(second.point, 'from-copy', 'offsite'), second.sum);
  });

  test('a folder that needs its mount takes nothing without it, and says so', async () => {
    // Where hyperd sees it, and nobody else.
    const asHyperd = (argv: readonly string[]) =>
      runChecked(['nsenter', '-t', String(daemon.pid), '-m', ...argv], { timeoutMs: 10_000 });
    const share = join(folder, 'share');
    await mkdir(share);
    const body = { name: 'share', folder: join(share, 'hv'), requiresMount: true };
    assert.equal((await refused(daemon.admin('POST /repositories', { body }))).code, 'mount_missing');
    assert.deepEqual(await readdir(share), []);
    await asHyperd(['mount', '-t', 'tmpfs', '-o', 'size=8g', 'tmpfs', share]);
    try {
      await daemon.admin('POST /repositories', { body });
      await daemon.finish(
        await daemon.admin('POST /vms/{id}/backup', { params: { id: 'web1' }, body: { repository: 'share' } }),
      );
    } finally {
      await asHyperd(['umount', '-l', share]);
    }
    const gone = await daemon.admin('GET /repositories/{id}', { params: { id: 'share' } });
    assert.deepEqual([gone.kind, gone.state], ['mount', 'unreachable']);
    assert.match(gone.problem ?? '', /Nothing is mounted/);
    const failed = await daemon.finish(
      await daemon.admin('POST /vms/{id}/backup', { params: { id: 'web1' }, body: { repository: 'share' } }),
      'failed',
    );
    assert.match(failed.error?.detail ?? '', /Nothing is mounted/);
    assert.deepEqual(await readdir(share), [], 'nothing was written on the disk of the host');
  });

  test('another host takes the copy over and restores from it', async () => {
    await using other = await (async () => {
      const started = await startDaemon({ libvirtd });
      return { started, [Symbol.asyncDispose]: () => started.close() };
    })();
    const { started } = other;
    const hostKey = (await daemon.admin('GET /repositories/{id}', { params: { id: 'offsite' } })).hostKey;
    await started.admin('POST /repositories', {
      body: { name: 'found', place: place({ hostKey }), secrets: { privateKey: sshd.privateKey }, existing: true },
    });
    await started.finish(await started.admin('POST /repositories/{id}/scan', { params: { id: 'found' } }));
    const { items } = await started.admin('GET /restore-points');
    assert.deepEqual(
      items.map(({ id }) => id).sort(),
      points
        .slice(1)
        .map(({ point }) => point.id)
        .sort(),
    );
    const last = points.at(-1);
    assert.ok(last);
    await started.finish(
      await started.admin('POST /restore-points/{id}/restore', {
        params: { id: last.point.id },
        body: { name: 'elsewhere' },
      }),
    );
    const { disks } = await started.admin('GET /vms/{id}', { params: { id: 'elsewhere' } });
    const source = disks.find(({ target }) => target === 'vda')?.source ?? '';
    assert.equal(await sumOf(join(started.stateDir, 'disks', source)), last.sum);
  });
});
