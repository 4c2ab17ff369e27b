/** The probe of the accelerator with the machine's real QEMU. Whatever KVM is worth here, the verdict must fit what is seen. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { accelOf, proveAccel } from '#features/health/accel.ts';
import { runChecks } from '#features/health/check.ts';
import { preflightChecks } from '#features/health/checks/index.ts';
import { fakeContext } from '#features/health/fake-machine.ts';
import { thisMachine } from '#features/health/machine.ts';
import { runMicroGuest } from '#features/health/micro-guest.ts';
import { systemClock } from '#kernel/clock.ts';
import { microGuest } from '#test/support/guest.ts';

const signal = new AbortController().signal;
let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-preflight-'));
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

test('the verdict on KVM fits what a real guest does under it, and the control guest runs', async () => {
  const proof = await proveAccel({
    machine: thisMachine,
    buildGuest: microGuest,
    folder: join(folder, 'probe'),
    isKvmAllowed: true,
    clock: systemClock,
    signal,
  });
  assert.equal(proof.tcg.kind, 'works');
  const device = await thisMachine.tryOpen('/dev/kvm');
  if (device === 'missing') assert.equal(proof.kvm.kind, 'no_device');
  else if (device === 'denied') assert.equal(proof.kvm.kind, 'no_permission');
  else assert.ok(['works', 'silent', 'refused'].includes(proof.kvm.kind), proof.kvm.kind);
  assert.equal(accelOf(proof), proof.kvm.kind === 'works' ? 'kvm' : 'tcg');

  const [line] = await runChecks(
    preflightChecks.filter(({ id }) => id === 'kvm.proof'),
    { ...fakeContext(), proof: async () => proof },
    { clock: systemClock, signal },
  );
  assert.equal(line?.status, proof.kvm.kind === 'works' ? 'ok' : 'warn');
  if (proof.kvm.kind === 'silent') assert.match(line?.detail ?? '', /opens and creates VMs, but a guest hangs/);
});

test('a guest that stands still is told apart from one that ran, and its QEMU is gone afterwards', async () => {
  const { kernel, initrd } = await standingGuest();
  const outcome = await runMicroGuest({
    machine: thisMachine,
    guest: { kernel, initrd },
    accel: 'tcg',
    waitMs: 2_000,
    folder: join(folder, 'probe'),
    signal,
  });
  assert.equal(outcome.kind, 'silent', JSON.stringify(outcome));
  assert.deepEqual(await commandLinesWith(kernel), []);
});

test('a guest that hangs ends with a daemon that is killed', async () => {
  const { kernel, initrd } = await standingGuest();
  const script = `
    const { runMicroGuest } = await import('#features/health/micro-guest.ts');
    const { thisMachine } = await import('#features/health/machine.ts');
    const [kernel, initrd, folder] = process.argv.slice(1);
    const signal = new AbortController().signal;
    await runMicroGuest({ machine: thisMachine, guest: { kernel, initrd }, accel: 'tcg', waitMs: 5_000, folder, signal });`;
  const argv = ['--input-type=module', '-e', script, kernel, initrd, join(folder, 'killed')];
  const killed = spawn(process.execPath, argv, { stdio: 'inherit' });
  const exited = once(killed, 'exit');
  const waitFor = async (isTrue: (lines: readonly string[]) => boolean) => {
    const end = performance.now() + 30_000;
    while (!isTrue(await commandLinesWith(kernel)) && performance.now() < end) await sleep(50);
    return commandLinesWith(kernel);
  };
  const running = await waitFor((lines) => lines.some((line) => line.startsWith('qemu-system')));
  assert.ok(
    running.some((line) => line.startsWith('qemu-system')),
    'the guest runs',
  );
  killed.kill('SIGKILL');
  await exited;
  assert.deepEqual(await waitFor((lines) => lines.length === 0), []);
});

test('a QEMU that cannot start the guest says why', async () => {
  const { initrd } = await microGuest();
  const outcome = await runMicroGuest({
    machine: thisMachine,
    guest: { kernel: join(folder, 'none'), initrd },
    accel: 'tcg',
    waitMs: 10_000,
    folder: join(folder, 'probe'),
    signal,
  });
  assert.equal(outcome.kind, 'refused');
  assert.match(outcome.kind === 'refused' ? outcome.message : '', /none/);
});

test('the sandbox and the tools are really tried on this machine', async () => {
  const wanted = [
    'sandbox.bwrap',
    'qemu.binary',
    'tools.qemu-img',
    'memory.free',
    'disk.free',
    'firmware.uefi',
    'cpu.virt',
    'state.permissions',
  ];
  const context = {
    ...fakeContext(),
    machine: thisMachine,
    settings: { stateRoot: folder, disks: folder, metricsDoor: 'loopback' as const, port: () => 8080 },
  };
  const lines = await runChecks(
    preflightChecks.filter(({ id }) => wanted.includes(id)),
    context,
    { clock: systemClock, signal },
  );
  assert.equal(lines.length, wanted.length);
  for (const { id, status, detail } of lines) assert.notEqual(status, 'unknown', `${id}: ${detail}`);
});

/** No kernel at all, but the header that a boot loader looks for (Linux boot protocol 2.02) before a jump to itself. */
async function standingGuest() {
  const { initrd } = await microGuest();
  const kernel = join(folder, 'loop');
  const image = Buffer.alloc(4096);
  image.writeUInt16LE(0xfeeb, 0x200); // jmp $
  image[0x1f1] = 1; // one sector of set-up code
  image.write('HdrS', 0x202);
  image.writeUInt16LE(0x0202, 0x206);
  image[0x211] = 1; // loaded high
  image.writeUInt16LE(0xaa55, 0x1fe);
  await writeFile(kernel, image);
  return { kernel, initrd };
}

/** The processes of this machine that were started with this word. */
async function commandLinesWith(word: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    // A process may end while we look.
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (words.includes(word)) found.push(words.join(' '));
  }
  return found;
}
