/** Debian's Prometheus with the same series and rules, where it is installed: how long one evaluation of all rules takes it. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { METRICS_OF_VM, RULES, VMS, valueAt } from './house.ts';

const EVALUATIONS = 30;
const DEADLINE_MS = 90_000;

/** Milliseconds of wall time for one round of all rules; null when there is no Prometheus. */
export async function measurePrometheus(): Promise<number | null> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-prometheus-'));
  let scrapes = 0;
  const target = createServer((_, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4').end(exposition(scrapes));
    scrapes += 1;
  });
  try {
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    const address = target.address();
    if (address === null || typeof address === 'string') return null;
    await writeFile(join(dir, 'rules.yml'), rulesYaml());
    await writeFile(
      join(dir, 'prometheus.yml'),
      `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [${JSON.stringify(join(dir, 'rules.yml'))}]
scrape_configs: [{job_name: house, static_configs: [{targets: ['127.0.0.1:${address.port}']}]}]
`,
    );
    return await run(dir, address.port + 1 < 65_536 ? address.port + 1 : address.port - 1);
  } finally {
    target.closeAllConnections();
    target.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

async function run(dir: string, port: number): Promise<number | null> {
  const child = spawn(
    'prometheus',
    [
      `--config.file=${dir}/prometheus.yml`,
      `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: 'ignore' },
  );
  const failed = once(child, 'exit').then(
    () => 'exit' as const,
    () => 'exit' as const,
  );
  const started = await Promise.race([
    once(child, 'spawn').then(
      () => 'spawn' as const,
      () => 'exit' as const,
    ),
    failed,
  ]);
  if (started === 'exit') return null;
  try {
    const deadline = performance.now() + DEADLINE_MS;
    while (performance.now() < deadline) {
      const text = await fetch(`http://127.0.0.1:${port}/metrics`).then(
        (response) => response.text(),
        () => '',
      );
      const rounds = figure(text, 'prometheus_rule_group_duration_seconds_count');
      const seconds = figure(text, 'prometheus_rule_group_duration_seconds_sum');
      if (rounds >= EVALUATIONS) return (seconds / rounds) * 1000;
      await sleep(500);
    }
    throw new Error(`Prometheus made fewer than ${EVALUATIONS} rounds in ${DEADLINE_MS / 1000} s`);
  } finally {
    child.kill('SIGTERM');
    await failed;
  }
}

function figure(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? 0);
}

function rulesYaml(): string {
  const rules = RULES.map(([, expr], n) => `  - {alert: r${n}, expr: ${JSON.stringify(expr)}}`);
  return `groups:\n- name: house\n  rules:\n${rules.join('\n')}\n`;
}

function exposition(round: number): string {
  const lines: string[] = [];
  for (const metric of METRICS_OF_VM) {
    lines.push(`# TYPE ${metric} gauge`);
    for (let vm = 0; vm < VMS; vm += 1)
      lines.push(
        `${metric}{host="h1",vm="vm${vm}",uuid="id-${vm}",project="p${vm % 10}"} ${valueAt(metric, vm, round % 60)}`,
      );
  }
  return `${lines.join('\n')}\n`;
}
