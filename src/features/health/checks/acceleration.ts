/** Can guests use the processor directly? Flags and rights are hints; only `kvm.proof` is evidence. */

import { KVM_DEVICE, PROOF_DEADLINE_MS } from '../accel.ts';
import { type CheckContext, type CheckDefinition, type Finding, fail, ok, unknown, warn } from '../check.ts';
import type { GuestOutcome } from '../micro-guest.ts';

const INSTALL_QEMU = 'Install QEMU: `apt-get install qemu-system-x86`, or run `./hv up` which does.';
const STILL_RUNS = 'VMs run all the same, by emulation (TCG): correct, but many times slower.';

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`;

async function processorFlags({ machine }: CheckContext): Promise<Finding> {
  const text = await machine.readText('/proc/cpuinfo');
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(text ?? '')?.[1]?.split(' ') ?? []);
  if (flags.size === 0)
    return unknown(
      'The processor does not tell its features.',
      'Look at `lscpu`; `kvm.proof` shows whether KVM works all the same.',
    );
  const flag = ['vmx', 'svm'].find((name) => flags.has(name));
  const isGuest = flags.has('hypervisor');
  if (flag !== undefined)
    return ok(
      `The processor offers ${flag === 'vmx' ? 'Intel VT-x (vmx)' : 'AMD-V (svm)'}${isGuest ? ', passed through by the hypervisor that this machine runs on' : ''}.`,
    );
  return isGuest
    ? warn(
        'This machine is itself a VM, and its processor shows no vmx or svm flag.',
        `Switch on nested virtualization on its host (\`cat /sys/module/kvm_*/parameters/nested\` there) and give this VM the CPU mode host-passthrough. ${STILL_RUNS}`,
      )
    : warn(
        'The processor shows no vmx or svm flag.',
        `Switch on Intel VT-x or AMD-V (often called SVM) in the firmware setup. ${STILL_RUNS}`,
      );
}

async function device({ machine, libvirt }: CheckContext): Promise<Finding> {
  const state = await machine.tryOpen(KVM_DEVICE);
  if (state === 'missing') {
    return warn(
      `There is no usable ${KVM_DEVICE}.`,
      `Load the driver: \`modprobe kvm_intel\` or \`modprobe kvm_amd\`; \`dmesg | grep -i kvm\` says why it refuses. ${STILL_RUNS}`,
    );
  }
  if (state === 'denied') {
    return warn(
      `${KVM_DEVICE} is there, but this user may not open it.`,
      'Add the user to the group of the device: `usermod -aG kvm $USER`, then sign in again.',
    );
  }
  const facts = await machine.facts(KVM_DEVICE);
  const user = libvirt.connection().state === 'connected' ? await libvirt.qemuUser() : null;
  if (facts === null || user === null || user.uid === 0) return ok(`${KVM_DEVICE} opens for reading and writing.`);
  const groups = await groupsOf({ machine }, user);
  const needed = user.uid === facts.uid ? 0o600 : groups.has(facts.gid) ? 0o060 : 0o006;
  if ((facts.mode & needed) === needed)
    return ok(`${KVM_DEVICE} opens, and the user that QEMU runs as (${user.uid}) may open it too.`);
  return warn(
    `${KVM_DEVICE} opens here, but the user that QEMU runs as (${user.uid}) may not open it.`,
    `Add that user to the group of the device: \`usermod -aG kvm "$(id -nu ${user.uid})"\`, then restart libvirt.`,
  );
}

/** Group ids of a user: that of libvirt's label, the login group and those of /etc/group; libvirt starts QEMU with all of them. */
async function groupsOf(
  { machine }: Pick<CheckContext, 'machine'>,
  user: { uid: number; gid: number },
): Promise<ReadonlySet<number>> {
  const passwd = (await machine.readText('/etc/passwd')) ?? '';
  const account = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[2] === String(user.uid));
  const name = account?.[0];
  const lines = ((await machine.readText('/etc/group')) ?? '').split('\n').map((line) => line.split(':'));
  const more = lines
    .filter((fields) => name !== undefined && fields[3]?.split(',').includes(name))
    .map((fields) => Number(fields[2]));
  return new Set([user.gid, ...(account?.[3] === undefined ? [] : [Number(account[3])]), ...more]);
}

/** KVM's verdict; the control run under TCG tells a broken guest from a broken KVM. */
async function kvmProof({ proof }: CheckContext): Promise<Finding> {
  const { kvm, tcg } = await proof();
  switch (kvm.kind) {
    case 'works':
      return ok(`A guest ran under KVM and answered after ${seconds(kvm.durationMs)}.`);
    case 'no_device':
      return warn(`There is no usable ${KVM_DEVICE}, so VMs are emulated (TCG).`, 'See `cpu.virt` and `kvm.device`.');
    case 'no_permission':
      return warn(`${KVM_DEVICE} may not be opened, so VMs are emulated (TCG).`, 'See `kvm.device`.');
    case 'no_program':
      return fail('There is no QEMU to run a guest with.', INSTALL_QEMU);
    case 'refused':
      return warn(
        `QEMU refuses KVM: ${kvm.message}`,
        `See \`cpu.virt\`; \`dmesg | grep -i kvm\` may say more. ${STILL_RUNS}`,
      );
    case 'silent':
      if (tcg.kind !== 'works') {
        return unknown(
          `A guest under KVM did not answer within ${seconds(kvm.waitedMs)}, but the same guest did not run under emulation either.`,
          'So the guest proves nothing. See `qemu.tcg`, then run `hv preflight` again on a less busy machine.',
        );
      }
      return warn(
        `/dev/kvm opens and creates VMs, but a guest hangs: ${kvm.lastLine === null ? 'it printed nothing' : `the last it printed was "${kvm.lastLine}"`} in ${seconds(kvm.waitedMs)}, while under emulation the same guest answered after ${seconds(tcg.durationMs)}. VMs are emulated (TCG).`,
        'Nested virtualization of the machine below is broken or only pretended: ask whoever runs it to switch it on, or use a machine of your own. Then run `hv preflight` again.',
      );
    case 'switched_off':
      return warn(
        'KVM is switched off in the configuration (`accel`), so VMs are emulated (TCG).',
        'Take `accel` out of /etc/hyper-nixos/config.json and restart hyperd to have KVM tried.',
      );
    case 'unknown':
      return unknown(`KVM was not proven: ${kvm.reason}. VMs are emulated (TCG) meanwhile.`, buildHint);
  }
}

const buildHint =
  'The probe needs a Linux kernel: one in /boot that can be read, or a reachable package mirror (`apt-get update`). Then run `hv preflight` again.';

async function emulation({ proof }: CheckContext): Promise<Finding> {
  const { tcg } = await proof();
  return emulationFinding(tcg);
}

function emulationFinding(tcg: GuestOutcome): Finding {
  switch (tcg.kind) {
    case 'works':
      return ok(`A guest ran under emulation (TCG) and answered after ${seconds(tcg.durationMs)}.`);
    case 'no_program':
      return fail('There is no QEMU to run a guest with.', INSTALL_QEMU);
    case 'refused':
      return fail(
        `QEMU refuses to start a guest: ${tcg.message}`,
        'Install a whole QEMU again: `apt-get install --reinstall qemu-system-x86 qemu-system-data seabios`.',
      );
    case 'silent':
      return fail(
        `A guest under emulation did not answer within ${seconds(tcg.waitedMs)}.`,
        'The machine is very busy or very slow: look at `top`, then run `hv preflight` again.',
      );
    case 'unknown':
      return unknown(`Emulation was not tried: ${tcg.reason}.`, buildHint);
    case 'no_device':
    case 'no_permission':
    case 'switched_off':
      return unknown('Emulation was not tried.', 'Run `hv preflight` again.');
  }
}

export const accelerationChecks: readonly CheckDefinition[] = [
  {
    id: 'cpu.virt',
    title: 'Processor virtualization',
    meaning: 'Whether the processor shows the flag of Intel VT-x or AMD-V. Only a hint: see `kvm.proof`.',
    run: processorFlags,
  },
  {
    id: 'kvm.device',
    title: 'KVM device',
    meaning: 'Whether `/dev/kvm` is there and may be opened by hyperd and by the user that QEMU runs as.',
    run: device,
  },
  {
    id: 'kvm.proof',
    title: 'A guest under KVM',
    meaning:
      'A tiny Linux guest is started under KVM and must print a random token within 10 s. Only then VMs get KVM. Where it fails, the same guest is run under emulation as the control.',
    deadlineMs: PROOF_DEADLINE_MS,
    run: kvmProof,
  },
  {
    id: 'qemu.tcg',
    title: 'A guest under emulation',
    meaning: 'The same guest under TCG. VMs fall back to it where KVM is not proven.',
    deadlineMs: PROOF_DEADLINE_MS,
    run: emulation,
  },
];
