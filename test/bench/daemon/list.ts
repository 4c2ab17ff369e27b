/** The list of 1,000 VMs: what a request costs hyperd beside turning the same list into text, while libvirtd is stopped. */

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { overSocket, type TestDaemon } from '#test/support/daemon.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { ownCpuSeconds } from './host.ts';

const VMS = 1000;
const WARM_UP = 40;
/** Few enough to end before hyperd takes the stopped libvirtd for lost. */
const REQUESTS = 100;

/** @param daemon knows 1,000 VMs */
export async function measureList(daemon: TestDaemon, libvirtd: PrivateLibvirtd): Promise<Measurement[]> {
  const request = async () => {
    const socket = join(daemon.runtimeDir, 'admin.sock');
    const { status, body } = await overSocket(socket, { method: 'GET', path: '/api/v1/vms' });
    if (status !== 200) throw new Error(`the list was answered with ${status}`);
    return body;
  };
  for (let n = 0; n < WARM_UP; n += 1) await request();

  const idleStart = performance.now();
  const idleBefore = await ownCpuSeconds(daemon);
  await sleep(2000);
  const idleShare = ((await ownCpuSeconds(daemon)) - idleBefore) / ((performance.now() - idleStart) / 1000);

  // A request that asked libvirt anything would now wait for it.
  libvirtd.stop();
  let last: Buffer = Buffer.alloc(0);
  const start = performance.now();
  let seconds: number;
  try {
    const before = await ownCpuSeconds(daemon);
    for (let n = 0; n < REQUESTS; n += 1) last = await request();
    seconds = (await ownCpuSeconds(daemon)) - before;
  } finally {
    libvirtd.cont();
  }
  const ours = ((seconds - (idleShare * (performance.now() - start)) / 1000) / REQUESTS) * 1000;

  const list: { readonly items: readonly { readonly staleSince: string | null }[] } = JSON.parse(last.toString());
  if (list.items.length !== VMS) throw new Error(`the list held ${list.items.length} VMs`);
  if (list.items.some(({ staleSince }) => staleSince !== null)) throw new Error('libvirt was lost while measuring');
  const rival = stringifyMs(list);
  return [
    {
      name: 'list of 1,000 VMs, libvirtd stopped: CPU a request | JSON.stringify',
      ours,
      rival,
      ratio: ours / rival,
      bar: '≤ 3×',
      unit: 'ms',
    },
  ];
}

function stringifyMs(value: unknown): number {
  let length = 0;
  for (let n = 0; n < WARM_UP; n += 1) length += JSON.stringify(value).length;
  const before = process.cpuUsage();
  for (let n = 0; n < REQUESTS; n += 1) length += JSON.stringify(value).length;
  const { user, system } = process.cpuUsage(before);
  if (length === 0) throw new Error('the list was empty');
  return (user + system) / 1000 / REQUESTS;
}
