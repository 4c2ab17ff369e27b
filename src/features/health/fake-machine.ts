/** A machine made of tables, for tests: a healthy small server unless told otherwise. */

import { ACCESS_RECORD } from '#contract/fence.ts';
import { AppError } from '#kernel/errors.ts';
import { GIB } from '#kernel/units.ts';
import type { RunOptions, RunResult } from '#platform/process.ts';
import type { CheckContext } from './check.ts';
import type { LibvirtFacts, NetworkFacts, PoolFacts } from './libvirt-facts.ts';
import type { Machine, PathFacts } from './machine.ts';

/** What a program does: what it prints, `missing`, or `hangs` until its deadline. */
export type FakeProgram =
  | Partial<RunResult>
  | 'missing'
  | 'hangs'
  | ((argv: readonly string[], options: RunOptions) => Promise<RunResult>);

export interface FakeMachine {
  files: Record<string, string | null>;
  facts: Record<string, PathFacts | null>;
  folders: Record<string, readonly string[] | null>;
  links: Record<string, string>;
  programs: Record<string, FakeProgram>;
  kvm: 'opened' | 'missing' | 'denied';
  space: { sizeBytes: number; freeBytes: number };
  sandbox: 'works' | 'sandbox_unavailable' | 'program_missing';
  hostName: string;
  interfaces: readonly { name: string; cidr: string }[];
  userId: number;
}

const folder = (mode: number, uid = 0): PathFacts => ({ kind: 'folder', mode, uid, gid: uid });
const file = (mode: number): PathFacts => ({ kind: 'file', mode, uid: 0, gid: 0 });

const FIRMWARE = '/usr/share/qemu/firmware';
const CODE = '/usr/share/OVMF/CODE.fd';
const VARS = '/usr/share/OVMF/VARS.fd';

export function healthyParts(): FakeMachine {
  return {
    files: {
      '/proc/cpuinfo': 'processor\t: 0\nflags\t\t: fpu vmx sse2\n',
      '/proc/meminfo':
        'MemTotal:       16384000 kB\nMemAvailable:   12288000 kB\nHugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n',
      '/proc/sys/kernel/random/boot_id': '00000000-0000-4000-8000-000000000001\n',
      '/proc/sys/net/ipv4/ip_forward': '1\n',
      '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nlibvirt-qemu:x:64055:107::/:/bin/false\n',
      '/etc/group': 'root:x:0:\nkvm:x:107:libvirt-qemu\nhyper-libvirt:x:112:hyper\n',
      '/etc/libvirt/libvirtd.conf': 'access_drivers = [ "polkit" ]\n',
      '/proc/net/tcp': '  sl  local_address rem_address   st\n   0: 0100007F:0016 00000000:0000 0A\n',
      [ACCESS_RECORD]: '{\n  "isComplete": true\n}\n',
      [`${FIRMWARE}/50-edk2.json`]: JSON.stringify({
        'interface-types': ['uefi'],
        mapping: {
          device: 'flash',
          executable: { filename: CODE, format: 'raw' },
          'nvram-template': { filename: VARS, format: 'raw' },
        },
        targets: [{ architecture: 'x86_64', machines: ['pc-q35-*'] }],
        features: ['secure-boot', 'enrolled-keys'],
      }),
    },
    facts: {
      '/': folder(0o755),
      '/var': folder(0o755),
      '/var/lib': folder(0o755),
      '/var/lib/hyper-nixos': folder(0o711),
      '/var/lib/hyper-nixos/disks': folder(0o711),
      '/var/lib/hyper-nixos/state.db': file(0o600),
      '/run/libvirt/libvirt-sock': { kind: 'other', mode: 0o770, uid: 0, gid: 112 },
      '/dev/kvm': { kind: 'device', mode: 0o660, uid: 0, gid: 107 },
      [CODE]: file(0o644),
      [VARS]: file(0o644),
    },
    folders: {
      [FIRMWARE]: ['50-edk2.json'],
      '/sys/kernel/iommu_groups': ['0', '1'],
      '/sys/class/net': ['eth0', 'lo'],
      '/proc/self/fd': ['0', '17'],
    },
    links: { '/proc/self/fd/17': 'socket:[4711]' },
    programs: {
      [process.execPath]: { stdout: JSON.stringify([{ socket: '/run/libvirt/libvirt-sock', answer: 'refused' }]) },
      'qemu-system-x86_64': { stdout: 'QEMU emulator version 7.2.22 (Debian 1:7.2)\n' },
      'qemu-img': { stdout: 'qemu-img version 7.2.22\n' },
      xorriso: { stdout: 'xorriso 1.5.4\n' },
      dnsmasq: { stdout: 'Dnsmasq version 2.90\n' },
      swtpm: { stdout: 'TPM emulator version 0.7.1\n' },
      swtpm_setup: { stdout: 'TPM emulator setup tool version 0.7.1\n' },
      iptables: { stdout: '-P POSTROUTING ACCEPT\n' },
    },
    kvm: 'opened',
    space: { sizeBytes: 100 * GIB, freeBytes: 50 * GIB },
    sandbox: 'works',
    hostName: 'server1',
    interfaces: [
      { name: 'eth0', cidr: '192.0.2.7/24' },
      { name: 'virbr0', cidr: '192.168.122.1/24' },
    ],
    userId: 0,
  };
}

export function fakeMachine(parts: FakeMachine): Machine {
  return {
    readText: async (path) => parts.files[path] ?? null,
    facts: async (path) =>
      parts.facts[path] ??
      (Object.keys(parts.facts).some((known) => known.startsWith(`${path}/`)) ? folder(0o755) : null),
    list: async (path) => parts.folders[path] ?? null,
    linkTarget: async (path) => parts.links[path] ?? null,
    space: async () => parts.space,
    tryOpen: async () => parts.kvm,
    async run(argv, options) {
      const name = argv[0] ?? '';
      const program = parts.programs[name] ?? 'missing';
      if (program === 'missing')
        throw new AppError('program_missing', { detail: `${name} cannot be started: it is not installed` });
      if (program === 'hangs') throw new AppError('timeout', { detail: `${name} did not end` });
      if (typeof program === 'function') return program(argv, options);
      return { code: 0, stdout: '', stderr: '', ...program };
    },
    async trySandbox() {
      if (parts.sandbox !== 'works') throw new AppError(parts.sandbox);
    },
    hostName: () => parts.hostName,
    kernelRelease: () => '6.1.0-test',
    ipv4Networks: () => parts.interfaces,
    userId: () => parts.userId,
  };
}

export interface FakeLibvirt {
  state: 'connected' | 'connecting' | 'disconnected';
  version: string;
  qemuUser: { uid: number; gid: number } | null;
  networks: readonly NetworkFacts[];
  pools: readonly PoolFacts[];
  canFilterNics: boolean;
  unfilteredVms: readonly string[];
  vmNames: readonly string[];
  nobody: 'refused' | 'answered';
}

export function healthyLibvirt(): FakeLibvirt {
  return {
    state: 'connected',
    version: '9.0.0',
    qemuUser: { uid: 64055, gid: 107 },
    networks: [
      {
        name: 'default',
        state: 'active',
        kind: 'nat',
        bridge: 'virbr0',
        addresses: [{ address: '192.168.122.1', prefix: 24, dhcp: true }],
      },
    ],
    pools: [{ name: 'hyper', state: 'active', kind: 'dir', path: '/var/lib/hyper-nixos/disks' }],
    canFilterNics: true,
    unfilteredVms: [],
    vmNames: ['web1'],
    nobody: 'refused',
  };
}

export function fakeLibvirt(parts: FakeLibvirt): LibvirtFacts {
  return {
    uri: 'qemu:///system',
    connection: () => ({
      state: parts.state,
      since: new Date(0),
      problem: parts.state === 'connected' ? null : 'connection refused',
    }),
    version: async () => parts.version,
    qemuUser: async () => parts.qemuUser,
    asNobody: async () => parts.nobody,
    networks: () => parts.networks,
    pools: () => parts.pools,
    canFilterNics: async () => parts.canFilterNics,
    unfilteredVms: () => parts.unfilteredVms,
    vmNames: () => parts.vmNames,
  };
}

/** The context of the checks on a healthy machine where KVM works, with these parts changed. */
export function fakeContext(
  change: (parts: FakeMachine, libvirt: FakeLibvirt) => void = () => undefined,
): Omit<CheckContext, 'signal'> {
  const parts = healthyParts();
  const libvirt = healthyLibvirt();
  change(parts, libvirt);
  return {
    machine: fakeMachine(parts),
    libvirt: fakeLibvirt(libvirt),
    settings: {
      stateRoot: '/var/lib/hyper-nixos',
      disks: '/var/lib/hyper-nixos/disks',
      metricsDoor: 'closed',
      port: () => 8080,
    },
    proof: async () => ({
      key: 'test',
      checkedAt: '2026-01-01T00:00:00.000Z',
      kvm: { kind: 'works', durationMs: 700 },
      tcg: { kind: 'works', durationMs: 2500 },
    }),
    probeDatabase: async () => ({ durationMs: 2 }),
  };
}
