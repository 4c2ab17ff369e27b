/** A file system that takes no write any more in the middle of a copy onto it, as a share whose server is gone (which answers no reading
 *  either): hyperd answers, reads and works for everybody else, and the copy goes on when it is back. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '#contract/operations.ts';
import { newUuid } from '#kernel/ids.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { buildDomainXml } from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { makePoints } from '../support/proof-points.ts';

const skip = missingForLibvirtd() ?? false;
const ROOT = join(import.meta.dirname, '../..');
const MOST_SECONDS = 60;
const NAME = 'kept';

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let share: string;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  daemon = await startDaemon({ libvirtd });
  share = join(libvirtd.dir, 'share');
  await mkdir(share);
  const disk = join(libvirtd.dir, 'share.img');
  await writeFile(disk, '');
  // Backups leave 2 GiB free.
  await truncate(disk, 4 * GIB);
  await runChecked(['mke2fs', '-q', '-t', 'ext4', disk], { timeoutMs: 20_000 });
  await asHyperd('mount', '-o', 'loop', disk, share);

  const points = await makePoints(join(libvirtd.dir, 'shelf'));
  const image = join(libvirtd.dir, 'image.raw');
  await writeFile(image, randomBytes(64 * MIB));
  const vmId = newUuid();
  const definition = buildDomainXml({
    name: NAME,
    uuid: vmId,
    virtType: 'qemu',
    memoryKib: 65_536,
    vcpus: 1,
    firmware: { kind: 'bios' },
    disks: [{ path: '/nowhere/kept.raw', format: 'raw', bootOrder: 1 }],
    nics: [],
  });
  await points.add({ vmId, name: NAME, image, definition });
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

/** Where hyperd sees the mount, and nobody else. */
const asHyperd = (...argv: readonly string[]) =>
  runChecked(['nsenter', '-t', String(daemon.pid), '-m', '--', ...argv], { timeoutMs: 20_000 });

/** It goes on by itself after a while, also when this test does not. */
async function freeze(): Promise<{ readonly isSo: () => boolean; thaw(): Promise<void> }> {
  const script = `fsfreeze --freeze "$1" && echo frozen; read -r -t ${MOST_SECONDS} _; fsfreeze --unfreeze "$1"`;
  const argv = ['-t', String(daemon.pid), '-m', '--', 'bash', '-c', script, 'bash', share];
  const child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const over = once(child, 'exit');
  const [said] = await Promise.race([once(child.stdout, 'data'), over]);
  assert.equal(String(said), 'frozen\n');
  return {
    isSo: () => child.exitCode === null,
    async thaw() {
      child.stdin.end('\n');
      await over;
    },
  };
}

test('a mount that hangs in the middle of a copy holds up that copy and nothing else', {
  skip,
  timeout: 180_000,
}, async () => {
  const shelf = { name: 'shelf', folder: join(libvirtd.dir, 'shelf'), existing: true };
  await daemon.admin('POST /repositories', { body: shelf });
  await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: 'shelf' } }));
  const far = { name: 'far', folder: join(share, 'copies'), requiresMount: true };
  await daemon.admin('POST /repositories', { body: far });
  const body = { source: 'shelf', isEnabled: false, bytesPerSecond: 4 * MIB };
  await daemon.admin('PUT /repositories/{id}/copy', { params: { id: 'far' }, body });
  const copy = await daemon.admin('POST /repositories/{id}/copy', { params: { id: 'far' } });
  await sleep(2000);

  const frozen = await freeze();
  try {
    // Long enough that each of its writers is held.
    await sleep(3000);
    const before = await filesThere();
    for (let n = 0; n < 20; n += 1) {
      await daemon.admin('GET /system/status');
      await daemon.admin('GET /images');
      await daemon.admin('GET /repositories');
    }
    const check = { params: { id: 'shelf' }, body: { readData: true } };
    await daemon.finish(await daemon.admin('POST /repositories/{id}/check', check));
    assert.ok(frozen.isSo(), 'all that was done before it went on');
    assert.equal(await filesThere(), before, 'the copy stands still');
    assert.ok(before < 64, 'in the middle');
  } finally {
    await frozen.thaw();
  }
  await daemon.finish(copy);
  const { points, problem } = await daemon.admin('GET /repositories/{id}/copy', { params: { id: 'far' } });
  assert.deepEqual([points, problem], [1, null]);
});

test('a repository on a mount that hangs: what is begun on it waits, and nothing else', {
  skip,
  timeout: 180_000,
}, async () => {
  const direct = { name: 'direct', folder: join(share, 'direct'), requiresMount: true };
  await daemon.admin('POST /repositories', { body: direct });
  const vm = {
    name: 'saved',
    memoryBytes: 64 * MIB,
    vcpus: 1,
    accel: 'tcg',
    graphics: false,
    firmware: 'bios',
  } as const;
  const disks = [{ sizeBytes: 64 * MIB }];
  await daemon.finish(await daemon.admin('POST /vms', { body: { ...vm, nics: [], disks, start: false } }));
  const backUp = () =>
    daemon.admin('POST /vms/{id}/backup', { params: { id: 'saved' }, body: { repository: 'direct' } });
  // It has a lock by now, as every repository after its first use.
  await daemon.finish(await backUp());

  const frozen = await freeze();
  let operations: Operation[] = [];
  try {
    // Each takes the lock of the repository first.
    operations = [
      await backUp(),
      await daemon.admin('POST /repositories/{id}/check', { params: { id: 'direct' }, body: { readData: true } }),
    ];
    await sleep(2000);
    for (let n = 0; n < 20; n += 1) await daemon.admin('GET /system/status');
    const states = operations.map(({ id }) => daemon.admin('GET /operations/{id}', { params: { id } }));
    assert.ok((await Promise.all(states)).every(({ finishedAt }) => finishedAt === null));
    assert.ok(frozen.isSo(), 'all that was done before it went on');
  } finally {
    await frozen.thaw();
  }
  for (const operation of operations) await daemon.finish(operation);
});

test('whoever waits for the lock of a repository on a mount that hangs works on meanwhile', {
  skip,
  timeout: 120_000,
}, async () => {
  const locks = join(share, 'locks-of-one');
  // Its file is made by whoever is first, which a frozen file system holds up.
  await asHyperd('mkdir', locks);
  const frozen = await freeze();
  const waiting = asHyperd(...lockIn(locks));
  await sleep(3000);
  assert.ok(frozen.isSo());
  await frozen.thaw();
  // It looked around every 50 ms, and had the lock at last.
  const [looks = 0, longestMs = 0] = (await waiting).stdout.split(' ').map(Number);
  assert.ok(looks > 30, `${looks} looks`);
  assert.ok(longestMs < 1000, `nothing for ${longestMs} ms`);
});

/** A process that takes the lock, and prints how often it came to something else and the longest time it did not. */
function lockIn(folder: string): readonly string[] {
  const script = `import { exclusively } from '#features/backups/store/mutex.ts';
    let [looks, longestMs, lastMs] = [0, 0, performance.now()];
    const look = () => {
      looks += 1;
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
    };
    const timer = setInterval(look, 50);
    await exclusively(process.argv[1], async () => undefined);
    look();
    clearInterval(timer);
    console.log(looks, longestMs);`;
  return ['env', '-C', ROOT, process.execPath, '--input-type=module', '--eval', script, folder];
}

async function filesThere(): Promise<number> {
  const { stdout } = await asHyperd('find', join(share, 'copies/chunks'), '-type', 'f');
  return stdout.split('\n').filter((line) => line !== '').length;
}
