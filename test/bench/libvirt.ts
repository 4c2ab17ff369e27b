/** The figures of the libvirt client beside the C library and virsh, on a libvirtd of its own. */

import { startPrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { measureCalls } from './libvirt/calls.ts';
import { startRival } from './libvirt/rival.ts';
import { measureStats } from './libvirt/stats.ts';
import { measureTransfer } from './libvirt/transfer.ts';

/** Takes about two minutes and 4 GiB of disk. */
export async function run(): Promise<Measurement[]> {
  await using open = new AsyncDisposableStack();
  const libvirtd = open.adopt(await startPrivateLibvirtd(), (each) => each.close());
  const rival = open.adopt(await startRival(`test+unix:///default?socket=${libvirtd.socketPath}`), (each) =>
    each.close(),
  );
  const calls = await measureCalls(libvirtd, rival);
  const stats = await measureStats(libvirtd, rival);
  return [...calls, ...stats, ...(await measureTransfer(libvirtd))];
}
