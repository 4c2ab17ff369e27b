/** Statistics of a thousand domains: against virsh and the C library, and how long decoding holds the event loop. */

import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { newUuid } from '#kernel/ids.ts';
import { createLibvirtHost, element, type LibvirtHost, type StatGroup, serialize } from '#libvirt/index.ts';
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

/** Where the domains come from decides what a virsh process costs: it loads a file's domains anew each time, a connection that
 *  stays open does not. So both are measured. The rival must be connected to `test:///default`. */
export async function measureStats(libvirtd: PrivateLibvirtd, rival: Rival): Promise<Measurement[]> {
  const file = join(libvirtd.dir, '1000.xml');
  const domains = Array.from({ length: COUNT }, (_, index) => domainTree(`bench-${index}`));
  await writeFile(file, serialize(element('node', {}, ...domains)));
  const fromFile = await compareWithVirsh(libvirtd, file);

  const host = createLibvirtHost({ uri: 'test:///default', socketPath: libvirtd.socketPath });
  await host.start();
  for (let index = (await host.domains.list()).length; index < COUNT; index += 1) {
    const { uuid } = await host.domains.define(serialize(domainTree(`bench-${index}`)), { validate: false });
    await host.domains.create(uuid);
  }
  const figures = await inTurns(
    { ours: () => statsMilliseconds(host), theirs: () => rival.measure('stats') },
    { rounds: 15, better: 'less' },
  );
  const inMemory = await compareWithVirsh(libvirtd, '/default');
  await host.stop();
  const name = 'statistics of 1,000 test domains';
  return [
    { name: `${name} of a file, virsh domstats / ours`, ...fromFile, bar: '≥ 20×', unit: 'ms' },
    { name: `${name} in memory, virsh domstats / ours`, ...inMemory, bar: '–', unit: 'ms' },
    {
      name: `${name} in memory, ours / C library`,
      ours: figures.ours,
      rival: figures.theirs,
      ratio: figures.ours / figures.theirs,
      bar: '≤ 1.0×',
      unit: 'ms',
    },
    await measureBlocking(),
  ];
}

const COUNT = 1_000;

async function compareWithVirsh(libvirtd: PrivateLibvirtd, path: string) {
  const host = createLibvirtHost({ uri: `test://${path}`, socketPath: libvirtd.socketPath });
  await host.start();
  const virshUri = `test+unix://${path}?socket=${libvirtd.socketPath}`;
  const { ours, virsh } = await inTurns(
    {
      ours: () => statsMilliseconds(host),
      virsh: () => millisecondsOf(() => libvirtd.virsh('-c', virshUri, 'domstats')),
    },
    { rounds: 6, better: 'less' },
  );
  await host.stop();
  return { ours, rival: virsh, ratio: virsh / ours };
}

async function statsMilliseconds(host: LibvirtHost): Promise<number> {
  let count = 0;
  const took = await millisecondsOf(async () => {
    count = (await host.domains.stats('all', GROUPS)).length;
  });
  if (count !== COUNT) throw new Error(`${count} of ${COUNT} domains answered`);
  return took;
}

async function measureBlocking(): Promise<Measurement> {
  const dir = await mkdtemp(join(tmpdir(), 'hvb-'));
  const worker = new Worker(join(import.meta.dirname, 'fake-worker.ts'), { workerData: join(dir, 'sock') });
  await once(worker, 'message');
  const host = createLibvirtHost({ uri: 'test:///default', socketPath: join(dir, 'sock') });
  await host.start();
  const uuids = (await host.domains.list()).map(({ uuid }) => uuid);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const laps: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    delay.reset();
    delay.enable();
    const { length } = await host.domains.stats(uuids, GROUPS);
    delay.disable();
    if (length !== 1_000) throw new Error(`${length} of 1,000 domains answered`);
    laps.push(delay.max / 1e6);
  }
  await host.stop();
  await worker.terminate();
  await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  const name = 'longest event-loop block, 1,000 domains × 80 figures';
  return { name, ours: Math.min(...laps), rival: null, ratio: null, bar: '≤ 20 ms', unit: 'ms' };
}

function domainTree(name: string) {
  return element(
    'domain',
    { type: 'test' },
    element('name', {}, name),
    element('uuid', {}, newUuid()),
    element('memory', { unit: 'KiB' }, 65_536),
    element('vcpu', {}, 1),
    element('os', {}, element('type', {}, 'hvm')),
  );
}
