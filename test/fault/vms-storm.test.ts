/** A storm of changes from outside: the inventory ends equal to libvirt, soon, and without growing. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapLimit } from '#kernel/async.ts';
import { newUuid } from '#kernel/ids.ts';
import { MIB } from '#kernel/units.ts';
import { buildDomainXml, createLibvirtHost } from '#libvirt/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const CHANGES = process.env['HV_TEST_FULL'] === '1' ? 10_000 : 3000;
const VMS = 40;

async function residentBytes(daemon: TestDaemon): Promise<number> {
  const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

test('thousands of changes by others end in the inventory within five seconds', { skip }, async () => {
  const libvirtd = await startPrivateLibvirtd();
  const outside = createLibvirtHost({ uri: libvirtd.uri });
  let daemon: TestDaemon | null = null;
  try {
    await outside.start();
    const ids = Array.from({ length: VMS }, newUuid);
    for (const [n, uuid] of ids.entries()) {
      await outside.domains.define(
        buildDomainXml({
          name: `storm-${n}`,
          uuid,
          virtType: 'qemu',
          memoryKib: 32_768,
          vcpus: 1,
          firmware: { kind: 'bios' },
          disks: [],
          nics: [],
          graphics: 'none',
        }),
      );
    }
    daemon = await startDaemon({ libvirtd });
    const shown = async () => new Map((await daemon?.admin('GET /vms'))?.items.map((vm) => [vm.id, vm.title]));
    assert.equal((await shown()).size, VMS);
    const before = await residentBytes(daemon);
    const turns = Array.from({ length: CHANGES }, (_, n) => n);
    const startMs = performance.now();
    let slowestMs = 0;
    let isOver = false;
    const reading = (async () => {
      while (!isOver) {
        const from = performance.now();
        await shown();
        slowestMs = Math.max(slowestMs, performance.now() - from);
        await sleep(50);
      }
    })();
    await mapLimit(turns, 4, async (n) => {
      const uuid = ids[n % VMS] ?? '';
      await outside.domains.setText(uuid, 'title', `turn ${n}`, { config: true });
    });
    const stormMs = performance.now() - startMs;
    const last = new Map<string, string>();
    for (const uuid of ids)
      last.set(uuid, /<title>(.*)<\/title>/.exec(await outside.domains.xml(uuid, { inactive: true }))?.[1] ?? '');
    const endMs = performance.now();
    let seen = await shown();
    while (ids.some((uuid) => seen.get(uuid) !== last.get(uuid)) && performance.now() - endMs < 5_000) {
      await sleep(50);
      seen = await shown();
    }
    isOver = true;
    await reading;
    for (const uuid of ids) assert.equal(seen.get(uuid), last.get(uuid));
    const settledMs = performance.now() - endMs;
    await sleep(1_000);
    const grown = (await residentBytes(daemon)) - before;
    console.log(
      `# count: ${CHANGES} outside changes in ${(stormMs / 1000).toFixed(1)} s; settled ${Math.round(settledMs)} ms after; slowest read meanwhile ${Math.round(slowestMs)} ms; ${Math.round(grown / MIB)} MiB more memory`,
    );
    assert.ok(grown < 50 * MIB, `the daemon grew by ${Math.round(grown / MIB)} MiB`);
  } finally {
    await daemon?.close();
    await outside.stop();
    await libvirtd.close();
  }
});
