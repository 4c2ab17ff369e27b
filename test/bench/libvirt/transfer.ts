/** Bulk data: a volume of 1 GiB up and down against virsh, and calls beside a download that nobody reads. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createLibvirtHost, receiveFile, sendFile } from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { inTurns, millisecondsOf, quantile } from './rounds.ts';

const SIZE_MIB = 1_024;

export async function measureTransfer(libvirtd: PrivateLibvirtd): Promise<Measurement[]> {
  const host = createLibvirtHost({ uri: libvirtd.uri });
  await host.start();
  const folder = join(libvirtd.dir, 'bench');
  const source = join(libvirtd.dir, 'source.raw');
  const target = join(libvirtd.dir, 'target.raw');
  const { uuid } = await host.pools.define(
    `<pool type='dir'><name>bench</name><target><path>${folder}</path></target></pool>`,
  );
  await host.pools.build(uuid);
  await host.pools.create(uuid);
  await runChecked(['dd', 'if=/dev/urandom', `of=${source}`, 'bs=1M', `count=${SIZE_MIB}`], { timeoutMs: 120_000 });
  const volume = await host.volumes.create(
    uuid,
    `<volume><name>v</name><capacity unit='MiB'>${SIZE_MIB}</capacity><target><format type='raw'/></target></volume>`,
  );
  const speed = async (work: () => Promise<unknown>) => (SIZE_MIB * 1_000) / (await millisecondsOf(work));

  const up = await inTurns(
    {
      ours: () => speed(async () => sendFile(await host.volumes.upload(volume), source)),
      virsh: () => speed(() => libvirtd.virsh('vol-upload', '--pool', 'bench', 'v', source)),
    },
    { rounds: 5, better: 'more' },
  );
  const down = await inTurns(
    {
      ours: async () => {
        await rm(target, { force: true });
        return speed(async () => receiveFile(await host.volumes.download(volume), target));
      },
      virsh: async () => {
        await rm(target, { force: true });
        return speed(() => libvirtd.virsh('vol-download', '--pool', 'bench', 'v', target));
      },
    },
    { rounds: 5, better: 'more' },
  );
  await runChecked(['cmp', source, target], { timeoutMs: 60_000 });
  await rm(source);
  await rm(target);

  const latencies = async () => {
    const laps: number[] = [];
    for (let turn = 0; turn < 500; turn += 1) laps.push(await millisecondsOf(() => host.node.hostname()));
    return quantile(laps, 0.99);
  };
  const { idle, stalled } = await inTurns(
    {
      idle: latencies,
      stalled: async () => {
        const download = await host.volumes.download(volume);
        const p99 = await latencies();
        await new Promise((resolve) => download.once('close', resolve).destroy());
        return p99;
      },
    },
    { rounds: 10, better: 'less' },
  );
  await host.stop();
  return [
    {
      name: 'upload of 1 GiB, ours / virsh vol-upload',
      ours: up.ours,
      rival: up.virsh,
      ratio: up.ours / up.virsh,
      bar: '≥ 0.9×',
      unit: 'MiB/s',
    },
    {
      name: 'download of 1 GiB, ours / virsh vol-download',
      ours: down.ours,
      rival: down.virsh,
      ratio: down.ours / down.virsh,
      bar: '≥ 0.9×',
      unit: 'MiB/s',
    },
    {
      name: 'p99 of a call beside a stalled download, to idle',
      ours: stalled,
      rival: idle,
      ratio: stalled / idle,
      bar: '≤ 2×',
      unit: 'ms',
    },
  ];
}
