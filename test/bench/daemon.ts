/** The figures of the daemon: cost of reading, starting, telling and being there, on a libvirtd of its own. */

import { startPrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { measureChanges } from './daemon/changes.ts';
import { measureStatus } from './daemon/command.ts';
import { startQemuHost, startTestDriverHost } from './daemon/host.ts';
import { measureIdle } from './daemon/idle.ts';
import { measureList } from './daemon/list.ts';
import { measureStart } from './daemon/start.ts';

/** Takes about six minutes. */
export async function run(): Promise<Measurement[]> {
  await using open = new AsyncDisposableStack();
  const libvirtd = open.adopt(await startPrivateLibvirtd(), (each) => each.close());
  const ofTestDriver = open.adopt(await startTestDriverHost(libvirtd, 200), (each) => each.close());
  const ofQemu = open.adopt(await startQemuHost(libvirtd, { defined: 190, paused: 10 }), (each) => each.close());
  const idle = await measureIdle({
    '200 VMs of the test driver': ofTestDriver,
    '190 QEMU VMs off and 10 paused': ofQemu,
  });
  await ofTestDriver.close();

  const status = await measureStatus(ofQemu);
  const start = await measureStart(ofQemu, libvirtd);
  const changes = await measureChanges(ofQemu, libvirtd);
  await ofQemu.close();

  const thousand = open.adopt(await startTestDriverHost(libvirtd, 1000), (each) => each.close());
  return [...(await measureList(thousand, libvirtd)), ...start, ...changes, ...idle, ...status];
}
