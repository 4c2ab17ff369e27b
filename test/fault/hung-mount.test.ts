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
import { newUuid } from '#kernel/ids.ts';
import { MIB } from '#kernel/units.ts';
import { buildDomainXml } from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { makePoints } from '../support/proof-points.ts';

const skip = missingForLibvirtd() ?? false;
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
  await truncate(disk, 512 * MIB);
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

async function filesThere(): Promise<number> {
  const { stdout } = await asHyperd('find', join(share, 'copies/chunks'), '-type', 'f');
  return stdout.split('\n').filter((line) => line !== '').length;
}
