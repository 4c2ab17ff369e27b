/** Debian's Prometheus and InfluxDB as programs of a test: their own folders and ports, ended and removed by `close`. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';

export interface RunningServer {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  close(): Promise<void>;
}

const READY_MS = 60_000;

/** Why it cannot run here, or null. */
export const missingForPrometheus = (): string | null => missingOf(['prometheus', 'promtool']);
export const missingForInflux = (): string | null => missingOf(['influxd']);

function missingOf(programs: readonly string[]): string | null {
  const missing = programs.filter((program) => !existsSync(`/usr/bin/${program}`));
  return missing.length === 0 ? null : `missing programs: ${missing.join(', ')}`;
}

/** A Prometheus that takes remote write. @param scrapeConfigs of its configuration */
export async function startPrometheus(scrapeConfigs: readonly unknown[]): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-prometheus-'));
  const port = await freePort();
  const config = { global: { scrape_interval: '1s', scrape_timeout: '1s' }, scrape_configs: scrapeConfigs };
  await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--web.enable-remote-write-receiver',
    ],
    { stdio: 'ignore' },
  );
  return ready(child, folder, `http://127.0.0.1:${port}`, '/-/ready');
}

/** An InfluxDB 1. */
export async function startInflux(): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-influx-'));
  const [port, backupPort] = [await freePort(), await freePort()];
  await writeFile(
    join(folder, 'influxdb.conf'),
    `reporting-disabled = true
bind-address = "127.0.0.1:${backupPort}"
[meta]
  dir = "${folder}/meta"
[data]
  dir = "${folder}/data"
  wal-dir = "${folder}/wal"
[http]
  bind-address = "127.0.0.1:${port}"
  log-enabled = false
`,
  );
  const child = spawn('influxd', ['-config', join(folder, 'influxdb.conf')], { stdio: 'ignore' });
  return ready(child, folder, `http://127.0.0.1:${port}`, '/ping');
}

async function ready(child: ChildProcess, folder: string, origin: string, path: string): Promise<RunningServer> {
  const exited = once(child, 'exit');
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  const end = performance.now() + READY_MS;
  for (;;) {
    // Not listening yet: exactly what this loop waits for.
    const answer = await fetch(origin + path).catch(() => null);
    if (answer?.ok) return { origin, close };
    if (child.exitCode !== null || performance.now() > end) {
      await close();
      throw new Error(`${child.spawnfile} does not start`);
    }
    await sleep(100);
  }
}
