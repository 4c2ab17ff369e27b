/** Debian's Prometheus with the same figures: what its own tool makes of them on disk, and what it costs to scrape them. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { glob, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '#kernel/errors.ts';
import { run } from '#platform/process.ts';
import type { LoadSeries } from './load.ts';

const labelsOf = ({ owner, kind, sub }: LoadSeries) => `{vm="${owner.id}",kind="${kind}",sub="${sub}"}`;

/** Bytes of blocks that `promtool` makes of these figures; it compresses them as the server does after two hours.
 *  @param columns values of each series, oldest first, ten seconds apart */
export async function blocksOf(
  series: readonly LoadSeries[],
  columns: readonly (readonly (number | null)[])[],
  startMs: number,
): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-prometheus-'));
  try {
    const text = createWriteStream(join(dir, 'figures.txt'));
    const byMetric = new Map<string, number[]>();
    for (const [n, { metric }] of series.entries()) byMetric.set(metric, [...(byMetric.get(metric) ?? []), n]);
    for (const [metric, members] of byMetric) {
      text.write(`# TYPE ${metric} gauge\n`);
      for (const n of members) {
        const each = series[n];
        if (each === undefined) continue;
        const name = `${metric}${labelsOf(each)}`;
        const lines = (columns[n] ?? []).flatMap((value, tick) =>
          value === null ? [] : [`${name} ${value} ${(startMs + tick * 10_000) / 1000}\n`],
        );
        if (!text.write(lines.join(''))) await once(text, 'drain');
      }
    }
    text.end('# EOF\n');
    await once(text, 'finish');
    const made = await run(
      ['promtool', 'tsdb', 'create-blocks-from', 'openmetrics', join(dir, 'figures.txt'), join(dir, 'blocks')],
      {
        timeoutMs: 600_000,
      },
    );
    if (made.code !== 0) throw new Error(`promtool failed: ${made.stderr.slice(-500)}`);
    let bytes = 0;
    for await (const file of glob('**/*', { cwd: join(dir, 'blocks') })) {
      const facts = await stat(join(dir, 'blocks', file));
      if (facts.isFile()) bytes += facts.size;
    }
    return bytes;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const CLOCK_TICK_MS = 10;

async function cpuMsOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}

/** Processor time of one scrape of all series by a running Prometheus, its own work in the background included.
 *  @param next values of the next scrape; NaN = not measured */
export async function scrapeCostMs(
  series: readonly LoadSeries[],
  next: () => Float64Array,
  scrapes: number,
): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-prometheus-'));
  const names = series.map((each) => `${each.metric}${labelsOf(each)}`);
  let served = 0;
  const server = createServer((_request, response) => {
    served += 1;
    const values = next();
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(names.map((name, n) => (Number.isNaN(values[n]) ? '' : `${name} ${values[n]}\n`)).join(''));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'load', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
  };
  await writeFile(join(dir, 'prometheus.yml'), JSON.stringify(config));
  let prometheus: ChildProcess | null = null;
  try {
    prometheus = spawn(
      'prometheus',
      [
        `--config.file=${join(dir, 'prometheus.yml')}`,
        `--storage.tsdb.path=${join(dir, 'data')}`,
        '--web.listen-address=127.0.0.1:0',
      ],
      { stdio: 'ignore' },
    );
    const pid = prometheus.pid;
    if (pid === undefined) throw new Error('prometheus does not start');
    // The first scrapes make the series.
    await until(() => served >= 5);
    const [before, from] = [await cpuMsOf(pid), served];
    await until(() => served >= from + scrapes);
    return ((await cpuMsOf(pid)) - before) / (served - from);
  } finally {
    if (prometheus !== null && prometheus.exitCode === null) {
      prometheus.kill('SIGTERM');
      await once(prometheus, 'exit').catch((error: unknown) => process.stderr.write(`${messageOf(error)}\n`));
    }
    server.closeAllConnections();
    server.close();
    await rm(dir, { recursive: true, force: true });
  }
}

async function until(isReached: () => boolean): Promise<void> {
  const endMs = performance.now() + 300_000;
  while (!isReached()) {
    if (performance.now() > endMs) throw new Error('prometheus did not scrape');
    await sleep(100);
  }
}
