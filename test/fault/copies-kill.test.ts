/** hyperd is killed around and in the middle of a copy to an SSH host, the connection is cut under it, and the host falls silent. After that
 *  every restore point is over there as a whole or not at all, nothing is sent twice, and what is there restores. How each kind of place is
 *  full, slow or silent: test/integration/copy-places.test.ts. */

import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackupCopy } from '#contract/backup-copies.ts';
import { folderPlace, openRepositoryAt } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { killPoints } from '../support/kill-points.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { type SlowLine, startSlowLine } from '../support/slow-line.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

const skip = missingForLibvirtd() ?? missingForSshd() ?? false;
const NAME = 'victim';
const WAIT_MS = 60_000;
const counts = { kills: 0, cuts: 0, stalls: 0 };

let libvirtd: PrivateLibvirtd;
let sshd: Sshd;
/** Between hyperd and the host. */
let line: SlowLine;
let stateDir: string;
let offsite: string;
let rounds = 0;

const start = (killPoint: string | null): Promise<TestDaemon> =>
  startDaemon({ libvirtd, stateDir, ...(killPoint === null ? {} : { env: { HV_KILL_POINT: killPoint } }) });
const stateOf = (daemon: TestDaemon): Promise<BackupCopy> =>
  daemon.admin('GET /repositories/{id}/copy', { params: { id: 'offsite' } });
const set = (daemon: TestDaemon, body: { isEnabled: boolean; bytesPerSecond: number | null }) =>
  daemon.admin('PUT /repositories/{id}/copy', { params: { id: 'offsite' }, body: { source: 'default', ...body } });

/** A restore point with 2 MiB that no other has. */
async function backUp(daemon: TestDaemon): Promise<void> {
  rounds += 1;
  const vm = await daemon.admin('GET /vms/{id}', { params: { id: NAME } });
  const path = join(stateDir, 'disks', vm.disks.find(({ target }) => target === 'vda')?.source ?? '');
  const random = join(libvirtd.dir, 'random');
  await runChecked(['dd', 'if=/dev/urandom', `of=${random}`, 'bs=1M', 'count=2', 'status=none'], { timeoutMs: 10_000 });
  const at = (rounds % 7) * 2 * MIB;
  await runChecked(['qemu-io', '-f', 'qcow2', '-c', `write -s ${random} ${at} ${2 * MIB}`, path], {
    timeoutMs: 30_000,
  });
  await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body: {} }));
}

/** All points are over there, each whole, and hyperd knows it. */
async function assertCopied(daemon: TestDaemon): Promise<void> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const copy = await stateOf(daemon);
    if (copy.state === 'current') {
      assert.equal(copy.points, rounds);
      break;
    }
    assert.ok(performance.now() < end, `the copy is ${copy.state}: ${copy.problem}`);
    await sleep(100);
  }
  await assertWhole(rounds);
}

async function assertWhole(points: number | null): Promise<void> {
  const copy = await openRepositoryAt(folderPlace(offsite));
  const report = await copy.check({ isDataRead: true });
  assert.deepEqual([report.problems, report.damagedPoints], [[], []]);
  if (points !== null) assert.equal(report.points, points);
}

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
  offsite = join(libvirtd.dir, 'offsite');
  sshd = await startSshd({ enter: libvirtd.enter });
  line = await startSlowLine({ to: sshd.port, enter: libvirtd.enter });
  const daemon = await start(null);
  await daemon.finish(
    await daemon.admin('POST /vms', {
      body: {
        name: NAME,
        memoryBytes: 32 * MIB,
        vcpus: 1,
        accel: 'tcg',
        graphics: false,
        firmware: 'bios',
        nics: [],
        disks: [{ sizeBytes: 16 * MIB }],
        start: false,
      },
    }),
  );
  await backUp(daemon);
  const { user, hostKey, privateKey } = sshd;
  await daemon.admin('POST /repositories', {
    body: {
      name: 'offsite',
      place: { kind: 'sftp', host: '127.0.0.1', port: line.port, user, folder: offsite, hostKey },
      secrets: { privateKey },
    },
  });
  await set(daemon, { isEnabled: true, bytesPerSecond: null });
  await assertCopied(daemon);
  await set(daemon, { isEnabled: false, bytesPerSecond: null });
  await daemon.stop();
  await daemon.close();
});
after(async () => {
  await line?.close();
  await sshd?.close();
  await libvirtd?.close();
  console.log(
    `# count: ${counts.kills} kills of hyperd and ${counts.cuts} cut and ${counts.stalls} silent connections in copies, 0 points half there`,
  );
});

const { points } = killPoints(['repository.copy:copy', 'repository.copy:tidy']);
for (const point of points)
  test(`a copy survives a kill at ${point}`, { skip }, async () => {
    const victim = await start(point);
    try {
      await backUp(victim);
      // Only the connection may fail here.
      await victim.admin('POST /repositories/{id}/copy', { params: { id: 'offsite' } }).catch(() => null);
      assert.equal(await Promise.race([victim.exited, sleep(WAIT_MS).then(() => 'alive')]), 'SIGKILL');
      counts.kills += 1;
    } finally {
      await victim.close();
    }
    const daemon = await start(null);
    try {
      await assertCopied(daemon);
    } finally {
      await daemon.stop();
      await daemon.close();
    }
  });

test('a copy whose hyperd is killed, or whose connection is cut, in the middle of the bytes goes on with the rest', {
  skip,
}, async () => {
  const victim = await start(null);
  try {
    await backUp(victim);
    await set(victim, { isEnabled: false, bytesPerSecond: 512 * 1024 });
    await victim.admin('POST /repositories/{id}/copy', { params: { id: 'offsite' } });
    // Two chunks of 1 MiB at this rate take eight seconds.
    await sleep(3000);
    assert.equal((await stateOf(victim)).state, 'running');
  } finally {
    await victim.kill('SIGKILL');
    await victim.close();
    counts.kills += 1;
  }
  await assertWhole(rounds - 1);
  const daemon = await start(null);
  try {
    await sleep(3000);
    await sshd.stop();
    counts.cuts += 1;
    await assertWhole(null);
    await sshd.start();
    await assertCopied(daemon);
  } finally {
    await daemon.stop();
    await daemon.close();
  }
});

test('while the other host is silent hyperd answers, a copy is cancelled at once, and one that waits goes on when it speaks again', {
  skip,
}, async () => {
  const daemon = await start(null);
  const beginStalled = async () => {
    // In the middle of its two chunks.
    const { stalled } = await line.stallAfter(MIB + MIB / 2);
    const operation = await daemon.admin('POST /repositories/{id}/copy', { params: { id: 'offsite' } });
    await stalled;
    counts.stalls += 1;
    return operation;
  };
  try {
    await set(daemon, { isEnabled: false, bytesPerSecond: null });
    await backUp(daemon);
    const given = await beginStalled();
    for (let n = 0; n < 5; n += 1) {
      const askedMs = performance.now();
      await daemon.admin('GET /vms');
      assert.equal((await stateOf(daemon)).state, 'running');
      assert.ok(performance.now() - askedMs < 5_000, 'others are answered');
    }
    const cancelledMs = performance.now();
    await daemon.admin('POST /operations/{id}/cancel', { params: { id: given.id } });
    await daemon.finish(given, 'cancelled');
    // A request that nobody answers is waited for a whole minute.
    assert.ok(performance.now() - cancelledMs < 20_000, 'a cancel does not wait for it');
    await assertWhole(rounds - 1);
    assert.equal((await stateOf(daemon)).points, rounds - 1);

    await line.goOn();
    const waiting = await beginStalled();
    await line.goOn();
    const { result } = await daemon.finish(waiting);
    const { copied, sentBytes } = JSON.parse(JSON.stringify(result));
    assert.equal(copied, 1);
    // Two random chunks, their page and the documents of the point, each once.
    assert.ok(sentBytes < 2.5 * MIB, `${sentBytes} bytes`);
    await assertCopied(daemon);

    await backUp(daemon);
    await beginStalled();
    const stoppedMs = performance.now();
    await daemon.stop();
    assert.ok(performance.now() - stoppedMs < 20_000, 'nor does the end of hyperd');
  } finally {
    await line.goOn();
    await daemon.close();
  }
  const next = await start(null);
  try {
    await assertCopied(next);
  } finally {
    await next.stop();
    await next.close();
  }
});
