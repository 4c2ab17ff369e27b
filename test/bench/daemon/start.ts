/** Starting a VM: through the API and with virsh, turn by turn, each until libvirt itself says that the VM runs. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLibvirtHost, type LibvirtHost } from '#libvirt/index.ts';
import type { TestDaemon } from '#test/support/daemon.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { tinyGuestXml } from './domains.ts';
import { median } from './figures.ts';

const PAIRS = 40;
const NAME = 'pair';
const LIMIT_MS = 20_000;

export async function measureStart(daemon: TestDaemon, libvirtd: PrivateLibvirtd): Promise<Measurement[]> {
  const file = join(libvirtd.dir, `${NAME}.xml`);
  await writeFile(file, tinyGuestXml(NAME));
  await libvirtd.virsh(`define ${file}`);
  // A third party tells both when the VM runs.
  const witness = createLibvirtHost({ uri: libvirtd.uri });
  await witness.start(new AbortController().signal);
  try {
    const ours: number[] = [];
    const rival: number[] = [];
    const viaApi = () => daemon.admin('POST /vms/{id}/start', { params: { id: NAME } });
    const viaVirsh = () => libvirtd.virsh('start', NAME);
    for (let n = -2; n < PAIRS; n += 1) {
      const turns = [
        { act: viaApi, samples: ours },
        { act: viaVirsh, samples: rival },
      ];
      // Who comes first changes, so that neither always finds the other's warm caches.
      for (const { act, samples } of n % 2 === 0 ? turns : turns.reverse()) {
        const ms = await timeToRunning(witness, act);
        if (n >= 0) samples.push(ms);
        await powerOff(daemon, libvirtd);
      }
    }
    const [a, b] = [median(ours), median(rival)];
    return [
      {
        name: `start to running, ${PAIRS} pairs, median: API | virsh start`,
        ours: a,
        rival: b,
        ratio: a / b,
        bar: '≤ 1.05×',
        unit: 'ms',
      },
    ];
  } finally {
    await witness.stop();
    await libvirtd.virsh(`undefine ${NAME}`);
  }
}

async function timeToRunning(witness: LibvirtHost, act: () => Promise<unknown>): Promise<number> {
  let end: (() => void) | null = null;
  const running = new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`"${NAME}" did not start`)), LIMIT_MS);
    const stop = witness.onEvent((event) => {
      if (event.type === 'domain-lifecycle' && event.event === 'started' && event.domain.name === NAME)
        resolve(performance.now());
    });
    end = () => {
      clearTimeout(timer);
      stop();
    };
  });
  const start = performance.now();
  const [at] = await Promise.all([running, act()]).finally(() => end?.());
  return at - start;
}

async function powerOff(daemon: TestDaemon, libvirtd: PrivateLibvirtd): Promise<void> {
  await libvirtd.virsh('destroy', NAME);
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const vm = await daemon.admin('GET /vms/{id}', { params: { id: NAME } });
    if (vm.state === 'off' && vm.operationId === null) return;
    if (performance.now() > deadline) throw new Error(`"${NAME}" did not go off`);
    await sleep(20);
  }
}
