/** The command line against a real hyperd, libvirtd and guest: one VM from upload to purge, as a script drives it. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunResult, runHv } from '#cli/fake-daemon.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { helloDisk } from '#test/support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '#test/support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  daemon = await startDaemon({ libvirtd });
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

async function hv(...args: string[]): Promise<RunResult> {
  return runHv(daemon.runtimeDir, args);
}

/** The result of a command that has to succeed. */
async function resultOf(...args: string[]) {
  const { code, stdout, stderr } = await hv(...args, '--json');
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function serialLogHolds(name: string, text: string): Promise<void> {
  let log = '';
  for (let tries = 0; tries < 120 && !log.includes(text); tries += 1) {
    log = (await hv('vm', 'serial', name, '--log')).stdout;
    if (!log.includes(text)) await sleep(1000);
  }
  assert.ok(log.includes(text), log.slice(-2000));
}

test('a script makes a VM from an upload, runs, edits, trashes, restores and purges it', { skip }, async () => {
  assert.equal((await resultOf('status')).libvirt.state, 'connected');
  await resultOf('image', 'upload', await helloDisk(), '--name', 'hello-disk');
  assert.deepEqual(
    (await resultOf('image', 'list')).map(({ name }: { name: string }) => name),
    ['hello-disk'],
  );

  const plan = await resultOf(
    'vm',
    'create',
    'web-1',
    '--image',
    'hello-disk',
    '--firmware',
    'bios',
    '--memory',
    '256MiB',
    '--dry-run',
  );
  assert.ok(plan.steps.length > 0);
  assert.deepEqual(await resultOf('vm', 'list'), []);
  const made = await resultOf(
    'vm',
    'create',
    'web-1',
    '--image',
    'hello-disk',
    '--firmware',
    'bios',
    '--memory',
    '256MiB',
    '--vcpus',
    '1',
  );
  assert.equal(made.name, 'web-1');
  assert.equal(made.operation.state, 'done');
  await serialLogHolds('web-1', 'HELLO-READY');

  const [listed] = await resultOf('vm', 'list');
  assert.equal(listed.state, 'running');
  const missing = await hv('vm', 'show', 'web1');
  assert.equal(missing.code, 4);
  assert.match(missing.stderr, /no VM "web1"; did you mean "web-1"\?/);

  const shot = join(libvirtd.dir, 'shot.png');
  assert.equal((await hv('vm', 'screenshot', 'web-1', '--out', shot)).code, 0);
  assert.equal((await readFile(shot)).subarray(1, 4).toString(), 'PNG');

  assert.match(
    (await hv('vm', 'edit', 'web-1', '--memory', '384MiB')).stderr,
    /at its next boot: memory 256 MiB → 384 MiB/,
  );
  assert.equal((await hv('vm', 'start', 'web-1')).code, 5);
  assert.equal((await hv('vm', 'delete', 'web-1', '--yes', '--name', 'web-1')).code, 5);
  assert.equal((await resultOf('vm', 'stop', 'web-1')).state, 'off');
  await resultOf('vm', 'rename', 'web-1', 'web-2');
  assert.equal((await resultOf('vm', 'show', 'web-2')).memoryBytes, 384 * 2 ** 20);

  await resultOf('vm', 'delete', 'web-2', '--yes', '--name', 'web-2');
  const [trashed] = await resultOf('trash', 'list');
  assert.equal(trashed.name, 'web-2');
  await resultOf('trash', 'restore', 'web-2');
  assert.equal((await resultOf('vm', 'show', 'web-2')).state, 'off');
  await resultOf('vm', 'delete', 'web-2', '--yes', '--name', 'web-2');
  await resultOf('trash', 'purge', 'web-2', '--yes', '--name', 'web-2');
  assert.deepEqual(await resultOf('trash', 'list'), []);
  await resultOf('image', 'delete', 'hello-disk', '--yes', '--name', 'hello-disk');

  const audit = await resultOf('audit', 'list');
  assert.ok(audit.some(({ action }: { action: string }) => action === 'DELETE /trash/{id}'));
  assert.deepEqual(await resultOf('op', 'list', '--open'), []);
});

test('every list and every table can be printed', { skip }, async () => {
  for (const noun of ['vm', 'image', 'network', 'pool', 'trash', 'op', 'audit', 'host', 'session']) {
    assert.equal((await hv(noun, 'list')).code, 0, noun);
    assert.ok(Array.isArray(await resultOf(noun, 'list')), noun);
  }
  assert.ok((await resultOf('image', 'catalogue', 'list')).length > 20);
  assert.match((await resultOf('system', 'link')).url, /^https:/);
  for (const [noun, name] of [
    ['pool', 'hyper'],
    ['network', 'default'],
    ['host', 'local'],
  ] as const) {
    assert.equal((await hv(noun, 'show', name)).code, 0, `${noun} ${name}`);
  }
});
