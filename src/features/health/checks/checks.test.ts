import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { GIB } from '#kernel/units.ts';
import type { AccelProof } from '../accel.ts';
import { type CheckContext, runChecks } from '../check.ts';
import { type FakeLibvirt, type FakeMachine, fakeContext } from '../fake-machine.ts';
import { preflightChecks } from './index.ts';

type Change = (parts: FakeMachine, libvirt: FakeLibvirt) => void;

async function linesOf(context: Omit<CheckContext, 'signal'>) {
  const lines = await runChecks(preflightChecks, context, {
    clock: new TestClock(),
    signal: new AbortController().signal,
  });
  return new Map(lines.map((line) => [line.id, line]));
}

async function line(id: string, change: Change = () => undefined, more: Partial<CheckContext> = {}) {
  const found = (await linesOf({ ...fakeContext(change), ...more })).get(id);
  assert.ok(found, `there is a check ${id}`);
  return found;
}

const proven = (
  kvm: AccelProof['kvm'],
  tcg: AccelProof['tcg'] = { kind: 'works', durationMs: 2500 },
): Partial<CheckContext> => ({
  proof: async () => ({ key: 'test', checkedAt: '2026-01-01T00:00:00.000Z', kvm, tcg }),
});

test('on a healthy machine every line is ok and no line asks for anything', async () => {
  for (const found of (await linesOf(fakeContext())).values()) {
    assert.equal(found.status, 'ok', `${found.id}: ${found.detail}`);
    assert.equal(found.hint, null, found.id);
    assert.match(found.detail, /\S/, found.id);
  }
});

test('on a machine that answers nothing, no line is ok that should know, and every other line says what to do', async () => {
  const bare: Change = (parts, libvirt) => {
    parts.files = {};
    parts.facts = {};
    parts.folders = {};
    parts.programs = {};
    parts.kvm = 'missing';
    parts.sandbox = 'program_missing';
    libvirt.state = 'disconnected';
  };
  const lines = await linesOf({
    ...fakeContext(bare),
    ...proven({ kind: 'no_device' }, { kind: 'no_program' }),
    probeDatabase: () => Promise.reject(new Error('disk gone')),
  });
  // What is absent there is not needed: no IOMMU, no huge pages, no bridges; and an empty port table is a free port.
  const mayBeOk = new Set([
    'iommu.groups',
    'memory.hugepages',
    'network.bridges',
    'disk.free',
    'port.clash',
    'network.metrics',
  ]);
  for (const found of lines.values()) {
    if (!mayBeOk.has(found.id)) assert.notEqual(found.status, 'ok', found.id);
    if (found.status !== 'ok') assert.match(found.hint ?? '', /\S/, `${found.id} says what to do`);
  }
});

test('every check has a title and a meaning for the guide', () => {
  for (const { id, title, meaning } of preflightChecks) {
    assert.match(title, /\S/, id);
    assert.match(meaning, /\.$/, id);
  }
});

const rows: readonly [string, string, string, RegExp, (Change | undefined)?, Partial<CheckContext>?][] = [
  [
    'no flag on bare metal',
    'cpu.virt',
    'warn',
    /no vmx or svm/,
    (parts) => {
      parts.files['/proc/cpuinfo'] = 'flags : fpu sse2\n';
    },
  ],
  [
    'no flag inside a VM',
    'cpu.virt',
    'warn',
    /itself a VM/,
    (parts) => {
      parts.files['/proc/cpuinfo'] = 'flags : fpu hypervisor\n';
    },
  ],
  [
    'no readable features',
    'cpu.virt',
    'unknown',
    /does not tell/,
    (parts) => {
      parts.files['/proc/cpuinfo'] = null;
    },
  ],
  [
    'no device',
    'kvm.device',
    'warn',
    /no usable/,
    (parts) => {
      parts.kvm = 'missing';
    },
  ],
  [
    'no permission',
    'kvm.device',
    'warn',
    /may not open it/,
    (parts) => {
      parts.kvm = 'denied';
    },
  ],
  [
    "QEMU's user is not in the group of the device",
    'kvm.device',
    'warn',
    /64055/,
    (parts, libvirt) => {
      parts.files['/etc/group'] = 'kvm:x:107:\n';
      parts.files['/etc/passwd'] = 'libvirt-qemu:x:64055:64055::/:/bin/false\n';
      libvirt.qemuUser = { uid: 64055, gid: 64055 };
    },
  ],
  [
    "the device's group is the login group of QEMU's user",
    'kvm.device',
    'ok',
    /64055/,
    (parts, libvirt) => {
      parts.files['/etc/group'] = 'kvm:x:107:\n';
      libvirt.qemuUser = { uid: 64055, gid: 64055 };
    },
  ],
  ['KVM works', 'kvm.proof', 'ok', /ran under KVM/],
  [
    'KVM hangs',
    'kvm.proof',
    'warn',
    /\/dev\/kvm opens and creates VMs, but a guest hangs: it printed nothing in 10 s/,
    undefined,
    proven({ kind: 'silent', waitedMs: 10_020, lastLine: null }),
  ],
  [
    'KVM hangs half-way',
    'kvm.proof',
    'warn',
    /the last it printed was "Booting"/,
    undefined,
    proven({ kind: 'silent', waitedMs: 10_020, lastLine: 'Booting' }),
  ],
  [
    'KVM hangs and so does the control',
    'kvm.proof',
    'unknown',
    /did not run under emulation either/,
    undefined,
    proven({ kind: 'silent', waitedMs: 10_000, lastLine: null }, { kind: 'silent', waitedMs: 60_000, lastLine: null }),
  ],
  [
    'QEMU refuses KVM',
    'kvm.proof',
    'warn',
    /refuses KVM: ioctl failed/,
    undefined,
    proven({ kind: 'refused', message: 'ioctl failed' }),
  ],
  ['no device for the proof', 'kvm.proof', 'warn', /emulated/, undefined, proven({ kind: 'no_device' })],
  [
    'no permission for the proof',
    'kvm.proof',
    'warn',
    /may not be opened/,
    undefined,
    proven({ kind: 'no_permission' }),
  ],
  ['KVM switched off', 'kvm.proof', 'warn', /switched off/, undefined, proven({ kind: 'switched_off' })],
  [
    'no guest to prove with',
    'kvm.proof',
    'unknown',
    /not proven: no kernel/,
    undefined,
    proven({ kind: 'unknown', reason: 'no kernel' }),
  ],
  ['no QEMU', 'kvm.proof', 'fail', /no QEMU/, undefined, proven({ kind: 'no_program' }, { kind: 'no_program' })],
  [
    'emulation is refused',
    'qemu.tcg',
    'fail',
    /refuses/,
    undefined,
    proven({ kind: 'no_device' }, { kind: 'refused', message: 'no firmware' }),
  ],
  [
    'emulation is too slow',
    'qemu.tcg',
    'fail',
    /did not answer/,
    undefined,
    proven({ kind: 'no_device' }, { kind: 'silent', waitedMs: 60_000, lastLine: null }),
  ],
  [
    'QEMU is missing',
    'qemu.binary',
    'fail',
    /not installed/,
    (parts) => {
      parts.programs['qemu-system-x86_64'] = 'missing';
    },
  ],
  [
    'QEMU is old',
    'qemu.binary',
    'warn',
    /older/,
    (parts) => {
      parts.programs['qemu-system-x86_64'] = { stdout: 'QEMU emulator version 5.2.0\n' };
    },
  ],
  [
    'QEMU is broken',
    'qemu.binary',
    'unknown',
    /libfoo/,
    (parts) => {
      parts.programs['qemu-system-x86_64'] = { code: 127, stderr: 'error while loading libfoo.so\n' };
    },
  ],
  [
    'QEMU hangs',
    'qemu.binary',
    'unknown',
    /did not end/,
    (parts) => {
      parts.programs['qemu-system-x86_64'] = 'hangs';
    },
  ],
  [
    'qemu-img is missing',
    'tools.qemu-img',
    'fail',
    /no disk/,
    (parts) => {
      parts.programs['qemu-img'] = 'missing';
    },
  ],
  [
    'xorriso is missing',
    'tools.xorriso',
    'warn',
    /cloud-init/,
    (parts) => {
      parts.programs['xorriso'] = 'missing';
    },
  ],
  [
    'dnsmasq is missing',
    'tools.dnsmasq',
    'warn',
    /no address/,
    (parts) => {
      parts.programs['dnsmasq'] = 'missing';
    },
  ],
  [
    'bubblewrap is missing',
    'sandbox.bwrap',
    'fail',
    /not installed/,
    (parts) => {
      parts.sandbox = 'program_missing';
    },
  ],
  [
    'user namespaces are forbidden',
    'sandbox.bwrap',
    'fail',
    /does not start/,
    (parts) => {
      parts.sandbox = 'sandbox_unavailable';
    },
  ],
  [
    'swtpm is missing',
    'tpm.swtpm',
    'warn',
    /Windows 11/,
    (parts) => {
      parts.programs['swtpm'] = 'missing';
    },
  ],
  [
    'swtpm_setup is missing',
    'tpm.swtpm',
    'warn',
    /swtpm_setup/,
    (parts) => {
      parts.programs['swtpm_setup'] = 'missing';
    },
  ],
  [
    'libvirt is away',
    'libvirt.connection',
    'fail',
    /does not answer/,
    (_parts, libvirt) => {
      libvirt.state = 'disconnected';
    },
  ],
  [
    'libvirt is old',
    'libvirt.connection',
    'warn',
    /7\.0\.0/,
    (_parts, libvirt) => {
      libvirt.version = '7.0.0';
    },
  ],
  [
    'the state folder is closed for QEMU',
    'libvirt.user',
    'fail',
    /cannot enter \/var\/lib\/hyper-nixos,/,
    (parts) => {
      parts.facts['/var/lib/hyper-nixos'] = { kind: 'folder', mode: 0o700, uid: 0, gid: 0 };
    },
  ],
  [
    'QEMU runs as root',
    'libvirt.user',
    'ok',
    /root/,
    (parts, libvirt) => {
      parts.facts['/var/lib/hyper-nixos'] = { kind: 'folder', mode: 0o700, uid: 0, gid: 0 };
      libvirt.qemuUser = { uid: 0, gid: 0 };
    },
  ],
  [
    "QEMU's user is not told",
    'libvirt.user',
    'unknown',
    /not tell/,
    (_parts, libvirt) => {
      libvirt.qemuUser = null;
    },
  ],
  [
    'no firmware',
    'firmware.uefi',
    'warn',
    /no UEFI firmware/,
    (parts) => {
      parts.folders['/usr/share/qemu/firmware'] = [];
    },
  ],
  [
    'firmware files are gone',
    'firmware.uefi',
    'warn',
    /files are not there/,
    (parts) => {
      parts.facts['/usr/share/OVMF/CODE.fd'] = null;
    },
  ],
  [
    'a broken descriptor is no firmware',
    'firmware.uefi',
    'warn',
    /no UEFI firmware/,
    (parts) => {
      parts.files['/usr/share/qemu/firmware/50-edk2.json'] = '{';
    },
  ],
  [
    'memory is short',
    'memory.free',
    'warn',
    /free for VMs/,
    (parts) => {
      parts.files['/proc/meminfo'] = 'MemTotal: 2048000 kB\nMemAvailable: 600000 kB\n';
    },
  ],
  [
    'memory is gone',
    'memory.free',
    'fail',
    /free for VMs/,
    (parts) => {
      parts.files['/proc/meminfo'] = 'MemTotal: 2048000 kB\nMemAvailable: 100000 kB\n';
    },
  ],
  [
    'huge pages lie idle',
    'memory.hugepages',
    'warn',
    /lost to all others/,
    (parts) => {
      parts.files['/proc/meminfo'] = 'HugePages_Total: 1024\nHugePages_Free: 1024\nHugepagesize: 2048 kB\n';
    },
  ],
  [
    'disk below 10 %',
    'disk.free',
    'warn',
    /9 GiB/,
    (parts) => {
      parts.space = { sizeBytes: 100 * GIB, freeBytes: 9 * GIB };
    },
  ],
  [
    'disk below 5 %',
    'disk.free',
    'fail',
    /refused/,
    (parts) => {
      parts.space = { sizeBytes: 100 * GIB, freeBytes: 4 * GIB };
    },
  ],
  [
    'a small disk below 2 GiB',
    'disk.free',
    'fail',
    /refused/,
    (parts) => {
      parts.space = { sizeBytes: 10 * GIB, freeBytes: 1.9 * GIB };
    },
  ],
  [
    'no IOMMU is no fault',
    'iommu.groups',
    'ok',
    /No IOMMU/,
    (parts) => {
      parts.folders['/sys/kernel/iommu_groups'] = [];
    },
  ],
  [
    'forwarding is off',
    'network.nat',
    'warn',
    /forwards no packets/,
    (parts) => {
      parts.files['/proc/sys/net/ipv4/ip_forward'] = '0\n';
    },
  ],
  [
    'no packet filter',
    'network.nat',
    'warn',
    /iptables is installed/,
    (parts) => {
      parts.programs['iptables'] = 'missing';
    },
  ],
  [
    'the packet filter refuses',
    'network.nat',
    'warn',
    /does not exist/,
    (parts) => {
      parts.programs['iptables'] = { code: 3, stderr: "Table 'nat' does not exist\n" };
    },
  ],
  [
    'a new libvirt is content with nft',
    'network.nat',
    'ok',
    /is on/,
    (parts, libvirt) => {
      parts.programs['iptables'] = 'missing';
      parts.programs['nft'] = {};
      libvirt.version = '10.4.0';
    },
  ],
  [
    'there is no network yet',
    'network.nat',
    'ok',
    /is made/,
    (_parts, libvirt) => {
      libvirt.networks = [];
    },
  ],
  [
    'a bridge without a card',
    'network.bridges',
    'warn',
    /br0/,
    (parts) => {
      parts.folders['/sys/class/net'] = ['br0'];
      parts.facts['/sys/class/net/br0/bridge'] = { kind: 'folder', mode: 0o755, uid: 0, gid: 0 };
    },
  ],
  [
    'a libvirt without its network filter driver',
    'network.filters',
    'warn',
    /VMs of projects cannot be made/,
    (_parts, libvirt) => {
      libvirt.canFilterNics = false;
    },
  ],
  [
    'VMs of before there were filters',
    'network.filters',
    'warn',
    /old1, old2/,
    (_parts, libvirt) => {
      libvirt.unfilteredVms = ['old1', 'old2'];
    },
  ],
  [
    'a foreign pool of our name',
    'names.clash',
    'warn',
    /"hyper" belongs to something else/,
    (_parts, libvirt) => {
      libvirt.pools = [{ name: 'hyper', state: 'active', kind: 'dir', path: '/srv/other' }];
    },
  ],
  [
    'a foreign pool on our folder',
    'names.clash',
    'warn',
    /also the storage pool "images"/,
    (_parts, libvirt) => {
      libvirt.pools = [{ name: 'images', state: 'active', kind: 'dir', path: '/var/lib/hyper-nixos/disks' }];
    },
  ],
  [
    'a default network that is not NAT',
    'names.clash',
    'warn',
    /not NAT but isolated/,
    (_parts, libvirt) => {
      libvirt.networks = [{ name: 'default', state: 'active', kind: 'isolated', bridge: 'virbr0', addresses: [] }];
    },
  ],
  [
    'the NAT range is in use outside',
    'names.clash',
    'warn',
    /192\.168\.122\.1\/24, which eth0/,
    (parts) => {
      parts.interfaces = [{ name: 'eth0', cidr: '192.168.122.57/24' }];
    },
  ],
  [
    'a VM with the name of the machine',
    'names.clash',
    'warn',
    /name of this machine/,
    (_parts, libvirt) => {
      libvirt.vmNames = ['Server1'];
    },
  ],
  [
    'our own port',
    'port.clash',
    'ok',
    /hyperd itself/,
    (parts) => {
      parts.files['/proc/net/tcp'] =
        'head\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n';
    },
  ],
  [
    'the port is taken',
    'port.clash',
    'warn',
    /Another program/,
    (parts) => {
      parts.files['/proc/net/tcp'] =
        'head\n   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9999 1\n';
    },
  ],
  [
    'a state folder that others may write',
    'state.permissions',
    'fail',
    /Others may write/,
    (parts) => {
      parts.facts['/var/lib/hyper-nixos'] = { kind: 'folder', mode: 0o777, uid: 0, gid: 0 };
    },
  ],
  [
    'a state folder of somebody else',
    'state.permissions',
    'fail',
    /another user/,
    (parts) => {
      parts.facts['/var/lib/hyper-nixos'] = { kind: 'folder', mode: 0o711, uid: 1000, gid: 0 };
    },
  ],
  [
    'a database that others may read',
    'state.permissions',
    'warn',
    /state\.db/,
    (parts) => {
      parts.facts['/var/lib/hyper-nixos/state.db'] = { kind: 'file', mode: 0o644, uid: 0, gid: 0 };
    },
  ],
  [
    'a database that cannot be written',
    'state.database',
    'unknown',
    /disk full/,
    undefined,
    { probeDatabase: () => Promise.reject(new Error('disk full')) },
  ],
  ['a slow disk', 'state.database', 'warn', /900 ms/, undefined, { probeDatabase: async () => ({ durationMs: 900 }) }],
];

for (const [what, id, status, detail, change, more] of rows) {
  test(`${id}: ${what} is ${status}`, async () => {
    const found = await line(id, change, more);
    assert.equal(found.status, status, found.detail);
    assert.match(found.detail, detail);
    if (status !== 'ok') assert.match(found.hint ?? '', /\S/);
  });
}

test('that figures are open to the network is said', async () => {
  const { settings, ...rest } = fakeContext();
  for (const [metricsDoor, said] of [
    ['loopback', /loopback address/],
    ['closed', /opens it/],
    ['network', /answers on the network/],
  ] as const) {
    const found = (await linesOf({ ...rest, settings: { ...settings, metricsDoor } })).get('network.metrics');
    assert.equal(found?.status, 'ok');
    assert.match(found.detail, said);
  }
});
