/** What it costs to be scraped, beside Debian's exporter for libvirt on the same guests, and what eight thousand figures take to be put into words. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONTENT_TYPES, renderFamilies } from '#features/exports/text.ts';
import type { MetricFamily } from '#platform/feature.ts';
import { overSocket } from '#test/support/daemon.ts';
import { freePort } from '#test/support/free-port.ts';
import { startPrivateLibvirtd } from '#test/support/libvirtd.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { cpuSecondsOf, median } from './daemon/figures.ts';
import { ownCpuSeconds, startQemuHost } from './daemon/host.ts';

const GUESTS = 20;
const SCRAPES = 100;
const SERIES = 8_000;
const ROUNDS = 30;

/** Takes about a minute. Needs the package `prometheus-libvirt-exporter`. */
export async function run(): Promise<Measurement[]> {
  return [await measureScrapes(), ...measureWords()];
}

async function measureScrapes(): Promise<Measurement> {
  const libvirtd = await startPrivateLibvirtd();
  const daemon = await startQemuHost(libvirtd, { defined: 0, paused: GUESTS });
  const port = await freePort();
  const exporter: ChildProcess = spawn(
    'prometheus-libvirt-exporter',
    [`--web.listen-address=127.0.0.1:${port}`, `--libvirt.uri=${libvirtd.uri}`],
    { stdio: 'ignore' },
  );
  try {
    const theirs = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const ours = async () =>
      (await overSocket(join(daemon.runtimeDir, 'admin.sock'), { method: 'GET', path: '/metrics' })).body.toString();
    const endMs = performance.now() + 60_000;
    const isThere = (text: string) => (text.match(/guest-\d+/g) ?? []).length >= GUESTS;
    // Neither may be measured while it starts.
    while (!isThere(await theirs().catch(() => '')) || !isThere(await ours())) {
      if (performance.now() > endMs) throw new Error('the guests are not in both pages');
      await sleep(500);
    }
    const pid = exporter.pid ?? 0;
    const theirsBefore = await cpuSecondsOf(pid);
    for (let n = 0; n < SCRAPES; n += 1) await theirs();
    const rival = (((await cpuSecondsOf(pid)) - theirsBefore) / SCRAPES) * 1000;
    const oursBefore = await ownCpuSeconds(daemon);
    for (let n = 0; n < SCRAPES; n += 1) await ours();
    const own = (((await ownCpuSeconds(daemon)) - oursBefore) / SCRAPES) * 1000;
    return {
      name: `exports: a scrape with ${GUESTS} guests | prometheus-libvirt-exporter`,
      ours: own,
      rival,
      ratio: own / rival,
      bar: '≤ 1.0×',
      unit: 'ms CPU',
    };
  } finally {
    const exited = once(exporter, 'exit');
    if (exporter.kill('SIGKILL')) await exited;
    await daemon.close();
    await libvirtd.close();
  }
}

function measureWords(): Measurement[] {
  const families: MetricFamily[] = Array.from({ length: 40 }, (_, f) => ({
    name: `hyper_vm_figure_${f}_bytes_total`,
    type: 'counter',
    unit: 'bytes',
    help: 'A figure.',
    samples: Array.from({ length: SERIES / 40 }, (_one, n) => ({
      labels: {
        host: 'node1',
        vm: `vm-${n}`,
        uuid: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
        project: 'shop',
      },
      value: n * 1234.5 + f,
    })),
  }));
  return (['prometheus', 'openmetrics'] as const).map((format) => {
    const times = Array.from({ length: ROUNDS }, () => {
      const before = process.cpuUsage();
      renderFamilies(families, format, 'node1');
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    });
    return {
      name: `exports: ${SERIES} figures as ${CONTENT_TYPES[format].split(';')[0]}`,
      ours: median(times),
      rival: null,
      ratio: null,
      bar: '≤ 10',
      unit: 'ms CPU',
    };
  });
}
