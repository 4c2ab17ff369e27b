/** Statistics of a thousand domains: against virsh and the C library, and how long decoding holds the event loop. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { newUuid } from '#kernel/ids.ts';
import { createFakeHost } from '#libvirt/fake/domains.ts';
import { createLibvirtHost, element, type StatGroup, serialize } from '#libvirt/index.ts';
import type { PrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import type { Rival } from './rival.ts';
import { inTurns, millisecondsOf } from './rounds.ts';

const GROUPS: readonly StatGroup[] = [
  'state',
  'cpu',
  'balloon',
  'vcpu',
  'interface',
  'block',
  'perf',
  'iothread',
  'memory',
  'dirtyrate',
  'vm',
];

/** The rival must be connected to the same test driver, which then has a thousand domains. */
export async function measureStats(libvirtd: PrivateLibvirtd, rival: Rival): Promise<Measurement[]> {
  const host = createLibvirtHost({ uri: 'test:///default', socketPath: libvirtd.socketPath });
  await host.start();
  const have = (await host.domains.list()).length;
  for (let index = have; index < 1_000; index += 1) {
    await host.domains.define(definition(`bench-${index}`), { validate: false });
  }
  const virshUri = `test+unix:///default?socket=${libvirtd.socketPath}`;
  const figures = await inTurns(
    {
      ours: () => millisecondsOf(() => host.domains.stats('all', GROUPS)),
      theirs: () => rival.measure('stats'),
    },
    { rounds: 15, better: 'less' },
  );
  const virsh = await inTurns(
    { virsh: () => millisecondsOf(() => libvirtd.virsh('-c', virshUri, 'domstats')) },
    { rounds: 5, better: 'less' },
  );
  await host.stop();
  return [
    {
      name: 'statistics of 1,000 test domains, virsh domstats / ours',
      ours: figures.ours,
      rival: virsh.virsh,
      ratio: virsh.virsh / figures.ours,
      bar: '≥ 20×',
      unit: 'ms',
    },
    {
      name: 'statistics of 1,000 test domains, ours / C library',
      ours: figures.ours,
      rival: figures.theirs,
      ratio: figures.ours / figures.theirs,
      bar: '≤ 1.0×',
      unit: 'ms',
    },
    await measureBlocking(),
  ];
}

/** A fake host, so that only our decoding is in this process's way; it runs here too, so its encoding is measured apart. */
async function measureBlocking(): Promise<Measurement> {
  const dir = await mkdtemp(join(tmpdir(), 'hvb-'));
  const fake = createFakeHost({ count: 1_000 });
  await fake.listen(join(dir, 'sock'));
  const host = createLibvirtHost({ uri: 'test:///default', socketPath: join(dir, 'sock') });
  await host.start();
  const uuids = [...fake.domains.keys()];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 10; round += 1) {
    delay.reset();
    delay.enable();
    const { length } = await host.domains.stats(uuids, GROUPS);
    delay.disable();
    if (length !== 1_000) throw new Error(`${length} of 1,000 domains answered`);
    best = Math.min(best, delay.max / 1e6);
  }
  await host.stop();
  await fake.close();
  await rm(dir, { recursive: true, force: true });
  return {
    name: 'longest event-loop block, 1,000 × 80 figures (fake host in the same process)',
    ours: best,
    rival: null,
    ratio: null,
    bar: '≤ 20 ms',
    unit: 'ms',
  };
}

function definition(name: string): string {
  return serialize(
    element(
      'domain',
      { type: 'test' },
      element('name', {}, name),
      element('uuid', {}, newUuid()),
      element('memory', { unit: 'KiB' }, 65_536),
      element('vcpu', {}, 1),
      element('os', {}, element('type', {}, 'hvm')),
    ),
  );
}
