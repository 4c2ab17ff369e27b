/** Debian's Prometheus with the same figures: what its own tool makes of them on disk, and what it costs to scrape them. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { glob, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

const CLOCK_TICK_MS = 10;

async function cpuMsOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}

export interface Scraping extends AsyncDisposable {
  /** Processor time of a scrape, the work in the background included; the mean of some that begin now. */
  costMs(scrapes: number): Promise<number>;
}

/** A Prometheus that scrapes all series each second.
 *  @param next values of the next scrape; NaN = not measured */
export async function startScraping(series: readonly LoadSeries[], next: () => Float64Array): Promise<Scraping> {
  await using open = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-prometheus-'));
  open.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const names = series.map((each) => `${each.metric}${labelsOf(each)}`);
  let served = 0;
  const server = createServer((_request, response) => {
    served += 1;
    const values = next();
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(names.map((name, n) => (Number.isNaN(values[n]) ? '' : `${name} ${values[n]}\n`)).join(''));
  });
  open.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'load', static_configs: [{ targets: [`127.0.0.1:${port}`] }] }],
  };
  await writeFile(join(dir, 'prometheus.yml'), JSON.stringify(config));
  const prometheus = spawn(
    'prometheus',
    [
      `--config.file=${join(dir, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      '--web.listen-address=127.0.0.1:0',
    ],
    { stdio: 'ignore' },
  );
  await once(prometheus, 'spawn');
  const { pid } = prometheus;
  if (pid === undefined) throw new Error('prometheus does not start');
  open.defer(async () => {
    const exited = once(prometheus, 'exit');
    if (prometheus.exitCode !== null || !prometheus.kill('SIGTERM')) return;
    await exited;
  });
  // The first scrapes make the series.
  await until(() => served >= 5);
  // Its questions are answered by this process; while others measure themselves here, it stands still.
  prometheus.kill('SIGSTOP');
  open.defer(() => void prometheus.kill('SIGCONT'));
  const kept = open.move();
  return {
    async costMs(scrapes) {
      prometheus.kill('SIGCONT');
      const first = served;
      // What waited.
      await until(() => served > first);
      const [before, from] = [await cpuMsOf(pid), served];
      await until(() => served >= from + scrapes);
      const costMs = ((await cpuMsOf(pid)) - before) / (served - from);
      prometheus.kill('SIGSTOP');
      return costMs;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function until(isReached: () => boolean): Promise<void> {
  const endMs = performance.now() + 300_000;
  while (!isReached()) {
    if (performance.now() > endMs) throw new Error('prometheus did not scrape');
    await sleep(100);
  }
}
