import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newSecret } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { microGuestAnswer } from '#platform/hello-disk/index.ts';
import type { RunOptions, RunResult } from '#platform/process.ts';
import { type AccelProof, accelOf, createAccelService, proveAccel } from './accel.ts';
import { type FakeMachine, fakeMachine, healthyParts } from './fake-machine.ts';

type Behaviour = 'works' | 'hangs' | 'hangs late' | 'refuses' | 'says the wrong token' | 'ends silently' | 'missing';

/** A QEMU that behaves so under each accelerator. */
function fakeQemu(behaviour: { kvm: Behaviour; tcg: Behaviour }): FakeMachine['programs'][string] {
  return async (argv: readonly string[], options: RunOptions): Promise<RunResult> => {
    if (argv.includes('--version')) return { code: 0, stdout: 'QEMU emulator version 7.2.22\n', stderr: '' };
    const how = behaviour[argv[argv.indexOf('-accel') + 1] === 'kvm' ? 'kvm' : 'tcg'];
    const serial = (argv.at(-1) ?? '').replace(/^file:/, '');
    const token = /hyper\.token=(\S+)/.exec(argv.join(' '))?.[1] ?? '';
    if (how === 'missing') throw new AppError('program_missing');
    if (how === 'refuses')
      return { code: 1, stdout: '', stderr: 'qemu: failed to initialize kvm: Operation not permitted\n' };
    if (how === 'works') await writeFile(serial, `Booting\r\n${microGuestAnswer(token)}\r\n`);
    if (how === 'says the wrong token') await writeFile(serial, `${microGuestAnswer('old')}\r\n`);
    if (how === 'hangs late') await writeFile(serial, 'Booting\r\n\u001b[0mLoading drivers\r\n');
    if (how === 'works' || how === 'ends silently') return { code: 0, stdout: '', stderr: '' };
    return new Promise((_resolve, reject) => {
      const timer = setTimeout(() => reject(new AppError('timeout')), options.timeoutMs);
      options.signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(options.signal?.reason);
      });
    });
  };
}

const probeFolder = () => join(tmpdir(), `hyper-accel-test-${newSecret()}`);

interface Options {
  kvm?: Behaviour;
  tcg?: Behaviour;
  device?: FakeMachine['kvm'];
  guest?: 'made' | 'cannot be made';
  isKvmAllowed?: boolean;
}

function machineOf({ kvm = 'works', tcg = 'works', device = 'opened' }: Options) {
  const parts = healthyParts();
  parts.kvm = device;
  parts.programs['qemu-system-x86_64'] = fakeQemu({ kvm, tcg });
  return fakeMachine(parts);
}

const guestOf =
  ({ guest = 'made' }: Options) =>
  async () => {
    if (guest === 'cannot be made') throw new AppError('unavailable', { detail: 'no kernel' });
    return { kernel: '/k', initrd: '/i' };
  };

const prove = (options: Options = {}) =>
  proveAccel({
    machine: machineOf(options),
    buildGuest: guestOf(options),
    folder: probeFolder(),
    isKvmAllowed: options.isKvmAllowed ?? true,
    clock: new TestClock(),
    signal: new AbortController().signal,
    waitMs: { kvm: 150, tcg: 150 },
  });

test('KVM is used when a guest said its token under it', async () => {
  const proof = await prove();
  assert.equal(proof.kvm.kind, 'works');
  assert.equal(accelOf(proof), 'kvm');
});

test('a guest that says nothing under KVM, but runs under emulation, means emulation', async () => {
  const proof = await prove({ kvm: 'hangs' });
  assert.equal(proof.kvm.kind === 'silent' && proof.kvm.lastLine, null);
  assert.equal(proof.tcg.kind, 'works');
  assert.equal(accelOf(proof), 'tcg');
});

test('how far a hanging guest came is kept, without terminal control', async () => {
  const { kvm } = await prove({ kvm: 'hangs late' });
  assert.equal(kvm.kind === 'silent' && kvm.lastLine, 'Loading drivers');
});

test('another token than ours proves nothing', async () => {
  assert.equal((await prove({ kvm: 'says the wrong token' })).kvm.kind, 'silent');
});

test('the reason of a QEMU that refuses KVM is kept', async () => {
  const { kvm } = await prove({ kvm: 'refuses' });
  assert.match(kvm.kind === 'refused' ? kvm.message : '', /Operation not permitted/);
});

test('without a device, or without the right to open it, no guest is started under KVM', async () => {
  assert.equal((await prove({ device: 'missing' })).kvm.kind, 'no_device');
  const denied = await prove({ device: 'denied' });
  assert.equal(denied.kvm.kind, 'no_permission');
  assert.equal(accelOf(denied), 'tcg');
});

test('without QEMU there is no accelerator at all', async () => {
  assert.equal(accelOf(await prove({ device: 'missing', tcg: 'missing' })), 'none');
});

test('without a guest nothing is proven, and VMs are emulated', async () => {
  const proof = await prove({ guest: 'cannot be made' });
  assert.equal(proof.kvm.kind, 'unknown');
  assert.equal(accelOf(proof), 'tcg');
});

function serviceOf(options: Options = {}, kept: AccelProof | null = null) {
  let cached = kept;
  let made = 0;
  const lifetime = new AbortController();
  const machine = machineOf(options);
  const service = createAccelService({
    machine,
    buildGuest: async () => {
      made += 1;
      return guestOf(options)();
    },
    folder: probeFolder(),
    isKvmAllowed: options.isKvmAllowed ?? true,
    cache: {
      read: async () => cached,
      write: async (proof) => {
        cached = proof;
      },
    },
    clock: new TestClock(),
    log: silentLogger,
    lifetime: lifetime.signal,
    waitMs: { kvm: 100, tcg: 100 },
  });
  return { service, signal: lifetime.signal, cached: () => cached, made: () => made };
}

test('the accelerator is unknown until it is proven, and whoever waits for the proof gets it', async () => {
  const { service } = serviceOf();
  assert.equal(service.accel(), 'unknown');
  assert.equal(await service.accelProven(), 'kvm');
  assert.equal(service.accel(), 'kvm');
});

test('a proof is kept over restarts while the machine stays the same, and taken anew when asked', async () => {
  const first = serviceOf();
  await first.service.prove(false, first.signal);
  const second = serviceOf({}, first.cached());
  await second.service.prove(false, second.signal);
  assert.equal(second.made(), 0);
  await second.service.prove(true, second.signal);
  assert.equal(second.made(), 1);
});

test('a proof of another kernel, QEMU, boot or device is not used', async () => {
  const first = serviceOf();
  const proof = await first.service.prove(false, first.signal);
  const second = serviceOf({ kvm: 'hangs' }, { ...proof, key: proof.key.replace('6.1.0-test', '6.1.1-test') });
  await second.service.prove(false, second.signal);
  assert.equal(second.made(), 1);
  assert.equal(second.service.accel(), 'tcg');
});

test('what could not be found out is asked again', async () => {
  const first = serviceOf({ guest: 'cannot be made' });
  await first.service.prove(false, first.signal);
  assert.equal(first.cached(), null);
});

test('callers at once share one probe', async () => {
  const { service, signal, made } = serviceOf({ kvm: 'hangs' });
  await Promise.all([service.prove(false, signal), service.accelProven(), service.prove(false, signal)]);
  assert.equal(made(), 1);
});

test('a probe that is broken off leaves nothing proven', async () => {
  const { service } = serviceOf({ kvm: 'hangs' });
  const stop = new AbortController();
  const proving = service.prove(false, stop.signal);
  stop.abort(new Error('stopped'));
  await assert.rejects(proving, /stopped/);
  assert.equal(service.accel(), 'unknown');
});

test('without a device that can be opened nobody waits for a proof', async () => {
  for (const device of ['missing', 'denied'] as const) {
    const { service, made } = serviceOf({ device });
    assert.equal(await service.accelProven(), 'tcg');
    assert.equal(made(), 0);
  }
});

test('where KVM is switched off its device is not touched, and nobody waits for a proof', async () => {
  const { service, signal, made } = serviceOf({ isKvmAllowed: false });
  assert.equal(service.accel(), 'tcg');
  assert.equal(await service.accelProven(), 'tcg');
  assert.equal(made(), 0);
  const proof = await service.prove(false, signal);
  assert.equal(proof.kvm.kind, 'switched_off');
  assert.equal(proof.tcg.kind, 'works');
});

test('a guest that switches off without a word proves nothing, and does not count as a QEMU that refuses', async () => {
  assert.equal((await prove({ kvm: 'ends silently' })).kvm.kind, 'silent');
  assert.equal(accelOf(await prove({ device: 'missing', tcg: 'ends silently' })), 'tcg');
});

test('what could not be found out is not looked for again at once', async () => {
  const { service, signal, made } = serviceOf({ guest: 'cannot be made' });
  await service.prove(false, signal);
  await service.prove(false, signal);
  assert.equal(made(), 1);
  await service.prove(true, signal);
  assert.equal(made(), 2);
});
