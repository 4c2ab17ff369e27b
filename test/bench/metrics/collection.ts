/** What measuring VMs costs: our collector of VMs on a real libvirtd, beside Debian's exporter for libvirt that is scraped for the same ones.
 *  Both work through libvirtd, whose own time for each is told too. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCounterSweeps } from '#features/inventory/counter-sweeps.ts';
import { qemuProcesses } from '#features/inventory/index.ts';
import { createLibvirtSource } from '#features/inventory/libvirt-source.ts';
import { createCounterMemory } from '#features/metrics/collect/counter-memory.ts';
import { createKernelFiles } from '#features/metrics/collect/kernel-files.ts';
import { createMonitorWatch } from '#features/metrics/collect/vms/monitor-watch.ts';
import { createQemuProcesses } from '#features/metrics/collect/vms/qemu-processes.ts';
import { createVmFigures, type MeasuredVm } from '#features/metrics/collect/vms/vm-figures.ts';
import { TICK_MS } from '#features/metrics/store/history.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createLibvirtHost } from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import { freePort } from '#test/support/free-port.ts';
import { type PrivateLibvirtd, startPrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { cpuSecondsOf } from '../daemon/figures.ts';

const GUESTS = 15;
const ROUNDS = 5;
const TICKS_OF_ROUND = 40;
const HOST = { type: 'host', id: 'node1' } as const;

/** Takes about a minute. Needs the package `prometheus-libvirt-exporter`. */
export async function measureCollection(): Promise<Measurement[]> {
  await using open = new AsyncDisposableStack();
  const libvirtd = open.adopt(await startPrivateLibvirtd(), (each) => each.close());
  const vms = await startGuests(libvirtd);
  const ours = open.use(await startOurs(libvirtd, vms));
  const theirs = open.use(await startExporter(libvirtd));
  // Neither may be measured while it starts.
  for (const side of [ours, theirs]) await side.look();
  const cost = { ours: { own: 0, libvirtd: 0 }, theirs: { own: 0, libvirtd: 0 } };
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, side] of [['ours', ours] as const, ['theirs', theirs] as const]) {
      const before = [await side.cpuSeconds(), await cpuSecondsOf(libvirtd.pid)] as const;
      for (let tick = 0; tick < TICKS_OF_ROUND; tick += 1) await side.look();
      cost[name].own += (await side.cpuSeconds()) - before[0];
      cost[name].libvirtd += (await cpuSecondsOf(libvirtd.pid)) - before[1];
    }
  }
  const row = (name: string, part: 'own' | 'libvirtd'): Measurement => ({
    name,
    ours: (cost.ours[part] * 1000) / ROUNDS / TICKS_OF_ROUND,
    rival: (cost.theirs[part] * 1000) / ROUNDS / TICKS_OF_ROUND,
    ratio: cost.ours[part] / cost.theirs[part],
    bar: '≤ 1×',
    unit: 'ms CPU',
  });
  return [
    row(`measuring ${GUESTS} VMs once | a scrape of prometheus-libvirt-exporter`, 'own'),
    row(`measuring ${GUESTS} VMs once: what libvirtd takes | for the exporter`, 'libvirtd'),
  ];
}

interface Side extends AsyncDisposable {
  /** Measures all VMs once. */
  look(): Promise<void>;
  /** Of its process, so far. */
  cpuSeconds(): Promise<number>;
}

async function startGuests(libvirtd: PrivateLibvirtd): Promise<MeasuredVm[]> {
  const commands: string[] = [];
  const vms: MeasuredVm[] = [];
  for (let n = 0; n < GUESTS; n += 1) {
    const [name, mac] = [`busy-${n}`, `52:54:00:00:01:${n.toString(16).padStart(2, '0')}`];
    const id = `00000000-0000-4000-9000-${String(n).padStart(12, '0')}`;
    await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', join(libvirtd.dir, `${name}.qcow2`), '1G'], {
      timeoutMs: 30_000,
    });
    const file = join(libvirtd.dir, `${name}.xml`);
    await writeFile(
      file,
      `<domain type='qemu'><name>${name}</name><uuid>${id}</uuid><memory unit='MiB'>16</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${join(libvirtd.dir, `${name}.qcow2`)}'/><target dev='vda' bus='virtio'/></disk>
  <interface type='user'><mac address='${mac}'/><model type='virtio'/></interface><memballoon model='virtio'/></devices></domain>
`,
    );
    commands.push(`define ${file}`, `start ${name} --paused`);
    vms.push({ id, state: 'paused', stateReason: null, desired: 'paused', vcpus: 1, nics: [{ mac }] });
  }
  await libvirtd.virsh(commands.join('; '));
  return vms;
}

/** With the parts of hyperd that ask libvirt and read /proc; figures are counted instead of kept. */
async function startOurs(libvirtd: PrivateLibvirtd, vms: readonly MeasuredVm[]): Promise<Side> {
  const clock = new TestClock(new Date('2026-03-01T00:00:00Z'));
  const libvirt = createLibvirtHost({ uri: libvirtd.uri });
  await libvirt.start();
  const log = silentLogger;
  const memory = createCounterMemory();
  const byId = new Map(vms.map((vm) => [vm.id, vm]));
  const counters = createCounterSweeps({
    source: { counters: createLibvirtSource(libvirt).counters, isConnected: true },
    clock,
    log,
    running: () => [...byId.keys()],
  });
  const figures = createVmFigures({
    host: HOST,
    inventory: { vms: () => vms, vm: (id) => byId.get(id) ?? null, isConnected: true, staleSince: null, counters },
    processes: createQemuProcesses({
      files: createKernelFiles(),
      clock,
      memory,
      processes: async () => new Map([...(await qemuProcesses())].map(([uuid, { pid }]) => [uuid, pid])),
    }),
    monitors: createMonitorWatch({ clock, log, control: (uuid) => libvirt.domains.controlInfo(uuid) }),
    counts: { isOutOfSpace: () => false, put: () => undefined },
    memory,
    clock,
    jobKindOf: () => null,
  });
  const unlisten = figures.listen();
  return {
    async look() {
      await clock.advance(TICK_MS);
      const seen = new Set<string>();
      const sink = {
        put: (owner: { readonly id: string }, _kind: string, _sub: string, metric: string) => {
          if (metric === 'mem_balloon') seen.add(owner.id);
        },
      };
      await figures.collect(sink, new AbortController().signal);
      if (seen.size < vms.length) throw new Error(`${seen.size} of ${vms.length} VMs were measured`);
    },
    async cpuSeconds() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    async [Symbol.asyncDispose]() {
      unlisten();
      await libvirt.stop();
    },
  };
}

async function startExporter(libvirtd: PrivateLibvirtd): Promise<Side> {
  const port = await freePort();
  const child = spawn(
    'prometheus-libvirt-exporter',
    [`--web.listen-address=127.0.0.1:${port}`, `--libvirt.uri=${libvirtd.uri}`],
    { stdio: 'ignore' },
  );
  const exited = once(child, 'exit');
  const { pid } = child;
  if (pid === undefined) throw new Error('prometheus-libvirt-exporter does not start');
  const seenIn = async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => null);
    return new Set((await answer?.text())?.match(/busy-\d+/g)).size;
  };
  const endMs = performance.now() + 60_000;
  while ((await seenIn()) < GUESTS) {
    if (performance.now() > endMs) throw new Error('the exporter does not see the guests');
    await sleep(500);
  }
  return {
    async look() {
      const seen = await seenIn();
      if (seen < GUESTS) throw new Error(`the exporter sees ${seen} of ${GUESTS} VMs`);
    },
    cpuSeconds: () => cpuSecondsOf(pid),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
