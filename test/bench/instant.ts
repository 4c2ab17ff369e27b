/** How long a VM that is restored at once takes to its guest, beside the same VM started from its own disk in the same run. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '#kernel/units.ts';
import { HELLO_READY } from '#platform/hello-disk/index.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { startPrivateLibvirtd } from '../support/libvirtd.ts';

const LONGEST_MS = 300_000;

/** Takes some minutes. Needs root and libvirtd; the guest runs under TCG. */
export async function run(): Promise<Measurement[]> {
  const libvirtd = await startPrivateLibvirtd();
  const daemon = await startDaemon({ libvirtd });
  try {
    await daemon.finish(
      await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }),
    );
    const { id: imageId } = await daemon.admin('GET /images/{id}', { params: { id: 'hello' } });
    const body = { name: 'local', memoryBytes: 192 * MIB, vcpus: 1, accel: 'tcg', graphics: false } as const;
    await daemon.finish(
      await daemon.admin('POST /vms', {
        body: { ...body, nics: [], firmware: 'bios', disks: [{ imageId }], start: false },
      }),
    );
    const at = { params: { id: 'local' } };
    const { result } = await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { ...at, body: {} }));
    const { pointId } = JSON.parse(JSON.stringify(result));
    const local = await timesOf(daemon, 'local', () => daemon.admin('POST /vms/{id}/start', at));
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', at));
    const instant = await timesOf(daemon, 'instant', () =>
      daemon.admin('POST /restore-points/{id}/restore', {
        params: { id: pointId },
        body: { name: 'instant', mode: 'instant' },
      }),
    );
    return [
      row('request to a guest that executes', instant.executesMs, local.executesMs, '≤ 2 s'),
      row('request to the login of the guest', instant.readyMs, local.readyMs, '≤ 1.5×'),
    ];
  } finally {
    await daemon.close();
    await libvirtd.close();
  }
}

const row = (name: string, oursMs: number, rivalMs: number, bar: string): Measurement => ({
  name: `instant restore: ${name} | from its own disk`,
  ours: oursMs / 1000,
  rival: rivalMs / 1000,
  ratio: oursMs / rivalMs,
  bar,
  unit: 's',
});

/** From the request until its guest executes, and until it says on its serial port that it is ready. */
async function timesOf(daemon: TestDaemon, name: string, ask: () => Promise<Parameters<TestDaemon['finish']>[0]>) {
  const began = performance.now();
  await daemon.finish(await ask());
  const executesMs = performance.now() - began;
  const { id } = await daemon.admin('GET /vms/{id}', { params: { id: name } });
  const log = join(daemon.stateDir, 'serial', `${id}.log`);
  while (!(await readFile(log, 'latin1').catch(() => '')).includes(HELLO_READY)) {
    if (performance.now() - began > LONGEST_MS) throw new Error(`${name} does not get ready`);
    await sleep(50);
  }
  return { executesMs, readyMs: performance.now() - began };
}
