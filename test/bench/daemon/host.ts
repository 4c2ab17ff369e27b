/** Hosts to measure on: hyperd in front of libvirt's test driver, and hyperd in front of QEMU. */

import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { overSocket, startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import { testHostXml, tinyGuestXml } from './domains.ts';

const KNOWN_WITHIN_MS = 60_000;

/** hyperd with `count` VMs of libvirt's test driver. */
export async function startTestDriverHost(libvirtd: PrivateLibvirtd, count: number): Promise<TestDaemon> {
  const file = join(libvirtd.dir, `${count}.xml`);
  await writeFile(file, testHostXml(count));
  const daemon = await startDaemon({ env: { HV_LIBVIRT_URI: `test://${file}?socket=${libvirtd.socketPath}` } });
  await allKnown(daemon, count);
  return daemon;
}

/** hyperd with QEMU guests: `defined` that are off and `paused` with a process each. */
export async function startQemuHost(
  libvirtd: PrivateLibvirtd,
  { defined, paused }: { readonly defined: number; readonly paused: number },
): Promise<TestDaemon> {
  const folder = await mkdtemp(join(libvirtd.dir, 'guests-'));
  const names = Array.from({ length: defined + paused }, (_, n) => `guest-${n}`);
  const commands: string[] = [];
  for (const [n, name] of names.entries()) {
    const file = join(folder, `${name}.xml`);
    await writeFile(file, tinyGuestXml(name));
    commands.push(`define ${file}`);
    if (n < paused) commands.push(`start ${name} --paused`);
  }
  await libvirtd.virsh(commands.join('; '));
  const daemon = await startDaemon({ env: { HV_LIBVIRT_URI: libvirtd.uri } });
  await allKnown(daemon, names.length);
  return daemon;
}

async function allKnown(daemon: TestDaemon, count: number): Promise<void> {
  const deadline = performance.now() + KNOWN_WITHIN_MS;
  while ((await daemon.admin('GET /system/status')).vms.total < count) {
    if (performance.now() > deadline)
      throw new Error(`hyperd did not see ${count} VMs:\n${daemon.output().slice(-2000)}`);
    await sleep(100);
  }
}

/** CPU time of hyperd so far in seconds, as it tells itself: finer than /proc. */
export async function ownCpuSeconds(daemon: TestDaemon): Promise<number> {
  const { body } = await overSocket(join(daemon.runtimeDir, 'admin.sock'), { method: 'GET', path: '/metrics' });
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(body.toString())?.[1]);
}
