/** Latency and throughput of small calls, and opening a connection, against the C library and virsh. */

import { Connection } from '#libvirt/connection.ts';
import { P } from '#libvirt/table.ts';
import { connectUnix } from '#libvirt/transport/unix.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import type { Rival } from './rival.ts';
import { inTurns, millisecondsOf, quantile } from './rounds.ts';

const URI = 'test:///default';

export async function measureCalls(libvirtd: PrivateLibvirtd, rival: Rival): Promise<Measurement[]> {
  const open = async () =>
    Connection.open(await connectUnix(libvirtd.socketPath, { signal: AbortSignal.timeout(5_000) }), { uri: URI });
  const connection = await open();
  const { domains } = await connection.call(P.connectListAllDomains, { need: 1, flags: 0 });
  const [dom] = domains;
  if (!dom) throw new Error('the test driver has no domain');
  const info = () => connection.call(P.domainGetInfo, { dom });

  const latency = await inTurns(
    {
      ours: async () => {
        const laps: number[] = [];
        for (let turn = 0; turn < 500; turn += 1) laps.push(1_000 * (await millisecondsOf(info)));
        return quantile(laps, 0.5);
      },
      theirs: () => rival.measure('call 500'),
    },
    { rounds: 30, better: 'less' },
  );
  const rate = await inTurns(
    {
      ours: async () => (3_000 * 1_000) / (await millisecondsOf(() => callMany(info, 3_000, 100))),
      theirs: () => rival.measure('rate 2000 1'),
      threads: () => rival.measure('rate 3000 100'),
    },
    { rounds: 30, better: 'more' },
  );
  const single = await inTurns(
    {
      ours: () => millisecondsOf(info),
      virsh: () =>
        millisecondsOf(() =>
          libvirtd.virsh('-c', `test+unix:///default?socket=${libvirtd.socketPath}`, 'dominfo', dom.name),
        ),
    },
    { rounds: 8, better: 'less' },
  );
  const opening = await inTurns(
    {
      ours: async () => {
        let opened: Connection | null = null;
        const took = await millisecondsOf(async () => {
          opened = await open();
        });
        await (opened as Connection | null)?.close();
        return took;
      },
    },
    { rounds: 20, better: 'less' },
  );
  await connection.close();
  return [
    {
      name: 'one call (domain info), ours / C library',
      ours: latency.ours,
      rival: latency.theirs,
      ratio: latency.ours / latency.theirs,
      bar: '≤ 1.0×',
      unit: 'µs',
    },
    {
      name: 'pipelined calls, 100 in flight, ours / C library',
      ours: rate.ours,
      rival: rate.theirs,
      ratio: rate.ours / rate.theirs,
      bar: '≥ 2×',
      unit: 'calls/s',
    },
    {
      name: 'pipelined calls, ours / C library with 100 threads',
      ours: rate.ours,
      rival: rate.threads,
      ratio: rate.ours / rate.threads,
      bar: '≥ 1.5×',
      unit: 'calls/s',
    },
    {
      name: 'one call, virsh / ours',
      ours: single.ours,
      rival: single.virsh,
      ratio: single.virsh / single.ours,
      bar: '≥ 100×',
      unit: 'ms',
    },
    { name: 'connect, authenticate, open', ours: opening.ours, rival: null, ratio: null, bar: '≤ 5 ms', unit: 'ms' },
  ];
}

async function callMany(call: () => Promise<unknown>, count: number, inFlight: number): Promise<void> {
  let started = 0;
  const lane = async () => {
    while (started < count) {
      started += 1;
      await call();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}
