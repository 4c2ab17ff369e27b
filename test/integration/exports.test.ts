/** Figures in other systems, on a real libvirtd with a real guest (TCG): Prometheus fetches them over HTTPS with a token, and takes them by
 *  remote write; InfluxDB takes them; what they then answer is what was measured. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { RAW_FAMILY_NAMES } from '#features/metrics/collect/raw-families.ts';
import { newMac, newUuid } from '#kernel/ids.ts';
import { buildDomainXml } from '#libvirt/index.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { freePort } from '../support/free-port.ts';
import { helloDiskCopy } from '../support/guest.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import {
  missingForInflux,
  missingForPrometheus,
  type RunningServer,
  startInflux,
  startPrometheus,
} from '../support/other-monitoring.ts';

const skip = missingForLibvirtd() ?? missingForPrometheus() ?? missingForInflux() ?? false;
const DASHBOARD = new URL('../../docs/grafana/hyper-nixos.json', import.meta.url);
const NAME = 'web 1,a=b';
/** Figures of what only some machines have, and one that comes with time. */
const OF_SOME_MACHINES = /^hyper_(host_(ksm|hugepages|bond)_|vm_memory_dirty_rate$)/;

async function until<Value>(what: string, ms: number, find: () => Promise<Value | null>): Promise<Value> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await find();
    if (found !== null) return found;
    assert.ok(performance.now() < end, `${what} within ${ms} ms`);
    await sleep(250);
  }
}

const vectorSchema = z.object({
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
  }),
});
const matrixSchema = z.object({
  data: z.object({
    result: z.array(
      z.object({ metric: z.record(z.string(), z.string()), values: z.array(z.tuple([z.number(), z.string()])) }),
    ),
  }),
});
const influxSchema = z.object({
  results: z.array(
    z.object({
      series: z
        .array(
          z.object({
            columns: z.array(z.string()),
            values: z.array(z.array(z.union([z.number(), z.string(), z.null()]))),
          }),
        )
        .optional(),
    }),
  ),
});

describe('exports to real programs', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let influx: RunningServer;
  let receiver: RunningServer;
  let dead: Server;
  let daemon: TestDaemon;
  let folder: string;
  const uuid = newUuid();

  const metricsText = async (path = '/metrics', accept = '') =>
    (
      await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
        method: 'GET',
        path,
        headers: accept === '' ? {} : { accept },
      })
    ).body.toString();
  const ask = async (server: RunningServer, expression: string) => {
    const answer = await fetch(`${server.origin}/api/v1/query?query=${encodeURIComponent(expression)}`);
    return vectorSchema.parse(await answer.json()).data.result;
  };
  const influxQuery = async (query: string) => {
    const answer = await fetch(
      `${influx.origin}/query?db=hyper&epoch=ms&q=${encodeURIComponent(query)}`,
      query.startsWith('CREATE') ? { method: 'POST' } : {},
    );
    return influxSchema.parse(await answer.json()).results[0]?.series?.[0]?.values ?? [];
  };
  const target = async (name: string) =>
    (await daemon.admin('GET /metrics/targets')).items.find((one) => one.name === name) ?? assert.fail(name);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hv-exports-'));
    [libvirtd, influx, receiver] = await Promise.all([startPrivateLibvirtd(), startInflux(), startPrometheus([])]);
    await influxQuery('CREATE DATABASE hyper');
    const disk = join(libvirtd.dir, 'web1.qcow2');
    await helloDiskCopy(disk);
    const file = join(libvirtd.dir, 'web1.xml');
    await libvirtd.virsh('pool-define-as', 'one', 'dir', '--target', libvirtd.dir);
    await libvirtd.virsh('pool-start', 'one');
    await writeFile(join(libvirtd.dir, 'net.xml'), '<network><name>lan</name><bridge name="virbr7"/></network>');
    await libvirtd.virsh('net-define', join(libvirtd.dir, 'net.xml'));
    await libvirtd.virsh('net-start', 'lan');
    await writeFile(
      file,
      buildDomainXml({
        name: NAME,
        uuid,
        virtType: 'qemu',
        vcpus: 1,
        memoryKib: 262_144,
        firmware: { kind: 'bios' },
        graphics: 'none',
        disks: [{ path: disk, format: 'qcow2', bootOrder: 1 }],
        nics: [{ mac: newMac(), source: { kind: 'network', network: 'lan' } }],
      }),
    );
    await libvirtd.virsh('define', file);
    await libvirtd.virsh('start', NAME);
    // Takes connections and never says a word.
    dead = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(dead, 'listening');
    const address = dead.address();
    const deadPort = typeof address === 'object' && address !== null ? address.port : 0;
    await writeFile(join(folder, 'token'), 'not-asked-for\n', { mode: 0o600 });
    const push = [
      { name: 'influx', kind: 'influx_v1', url: influx.origin, database: 'hyper' },
      {
        name: 'prometheus',
        kind: 'remote_write',
        url: `${receiver.origin}/api/v1/write`,
        tokenFile: join(folder, 'token'),
      },
      { name: 'dead', kind: 'otlp', url: `http://127.0.0.1:${deadPort}/v1/metrics` },
      { name: 'gone', kind: 'influx_v2', url: `http://127.0.0.1:${await freePort()}`, organisation: 'o', bucket: 'b' },
    ];
    daemon = await startDaemon({ env: { HV_LIBVIRT_URI: libvirtd.uri }, config: { metrics: { push } } });
    for (const name of [
      'hyper_vm_block_write_bytes_total',
      'hyper_vm_net_receive_bytes_total',
      'hyper_pool_capacity_bytes',
    ])
      await until(name, 60_000, async () => ((await metricsText()).includes(`\n${name}{`) ? true : null));
  });
  after(async () => {
    await daemon?.close();
    dead?.closeAllConnections();
    dead?.close();
    await Promise.all([receiver?.close(), influx?.close()]);
    await libvirtd?.close();
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('promtool finds nothing wrong with the page, in our names and in those of the other exporter', async () => {
    for (const path of ['/metrics', '/metrics?compat=libvirt']) {
      const child = spawn('promtool', ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] });
      let said = '';
      child.stdout.on('data', (data: Buffer) => {
        said += data.toString();
      });
      child.stderr.on('data', (data: Buffer) => {
        said += data.toString();
      });
      child.stdin.end(await metricsText(path));
      const [code] = await once(child, 'exit');
      // Names of the other exporter are its own; they must be readable, not pretty.
      if (path === '/metrics') assert.equal(`${said}${code}`, '0');
      else assert.doesNotMatch(said, /error|duplicate|unexpected/i);
    }
  });

  test('every figure of the dashboard for Grafana is there', async () => {
    const dashboard = await readFile(DASHBOARD, 'utf8');
    const page = await metricsText();
    const there = new Set([...page.matchAll(/^([a-z_0-9]+)[{ ]/gm)].map(([, name]) => name));
    const used = new Set([...dashboard.matchAll(/\b(?:hyper|process)_[a-z0-9_]+/g)].map(([name]) => name));
    assert.ok(used.size > 20, [...used].join());
    assert.deepEqual(
      [...used].filter((name) => !there.has(name) && !OF_SOME_MACHINES.test(name)),
      [],
    );
    // Of the others there must at least be such a figure.
    assert.deepEqual(
      [...used].filter((name) => OF_SOME_MACHINES.test(name) && !RAW_FAMILY_NAMES.includes(name)),
      [],
    );
  });

  test('Prometheus fetches over HTTPS with a token, and understands each question of the dashboard', async () => {
    const permission = 'metrics.read,vm.read,host.read';
    const made = await hvOn(daemon, ['token', 'create', 'prometheus', '--user', 'admin', '--permission', permission]);
    assert.equal(made.code, 0, made.stderr);
    const prometheus = await startPrometheus([
      {
        job_name: 'hyper-nixos',
        scheme: 'https',
        authorization: { credentials: made.stdout.trim() },
        tls_config: { ca_file: join(daemon.stateDir, 'ca', 'ca.pem') },
        static_configs: [{ targets: [new URL(daemon.origin).host] }],
      },
    ]);
    try {
      await until('up', 30_000, async () => ((await ask(prometheus, 'up == 1')).length === 1 ? true : null));
      const [state] = await ask(prometheus, `hyper_vm_state{vm="${NAME}",state="running"}`);
      assert.equal(state?.value[1], '1');
      assert.equal(state?.metric['uuid'], uuid);
      const targetsAnswer = await fetch(`${prometheus.origin}/api/v1/targets`);
      assert.match(await targetsAnswer.text(), /"lastError":""/);
      // Each question of the dashboard is one that Prometheus understands.
      const expressions = [...(await readFile(DASHBOARD, 'utf8')).matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
        ([, text = '""']) => z.string().parse(JSON.parse(text)),
      );
      assert.ok(expressions.length > 20);
      for (const expression of expressions)
        await ask(
          prometheus,
          expression.replaceAll('$__rate_interval', '5s').replaceAll(/\$(host|vm|project|job)/g, '.*'),
        );
      const asked = expressions.filter((one) => one.includes('hyper_host_memory_used_bytes'))[0] ?? '';
      assert.equal((await ask(prometheus, asked.replaceAll('$host', '.*'))).length, 1);
    } finally {
      await prometheus.close();
    }
    const openMetrics = await metricsText('/metrics', 'application/openmetrics-text');
    assert.match(openMetrics, /^# UNIT hyper_vm_cpu_seconds seconds$/m);
    assert.ok(openMetrics.endsWith('\n# EOF\n'));
  });

  test('what Prometheus got by remote write and InfluxDB by its lines is the same, at the same moments', {
    timeout: 180_000,
  }, async () => {
    await until('three measurements at both', 120_000, async () => {
      const [one, two] = [await target('influx'), await target('prometheus')];
      assert.deepEqual([one.error, two.error], [null, null]);
      const rows = await influxQuery('SELECT value FROM hyper_host_memory_used_bytes');
      return rows.length >= 3 ? true : null;
    });
    let compared = 0;
    for (const name of ['hyper_host_memory_used_bytes', 'hyper_vm_block_write_bytes_total', 'hyper_host_load15']) {
      const rows = await influxQuery(`SELECT value FROM ${name} WHERE host =~ /./ GROUP BY nothing`);
      assert.ok(rows.length >= 3, `${name}: ${rows.length}`);
      const [first, last] = [Number(rows[0]?.[0]), Number(rows.at(-1)?.[0])];
      const spanSeconds = Math.ceil((last - first) / 1000) + 20;
      const answer = await fetch(
        `${receiver.origin}/api/v1/query?query=${encodeURIComponent(`${name}[${spanSeconds}s]`)}&time=${last / 1000 + 5}`,
      );
      const [series] = matrixSchema.parse(await answer.json()).data.result;
      const theirs = new Map(series?.values.map(([at, value]) => [Math.round(at * 1000), Number(value)]));
      for (const [at, value] of rows) {
        assert.equal(theirs.get(Number(at)), value, `${name} at ${at}`);
        compared += 1;
      }
    }
    assert.ok(compared >= 9);
    const rows = await influxQuery(`SHOW TAG VALUES FROM hyper_vm_info WITH KEY = "vm"`);
    assert.deepEqual(rows, [['vm', NAME]]);
  });

  test('targets that are dead delay nothing, and say so', async () => {
    const { stdout, code } = await hvOn(daemon, ['metrics', 'targets', '--json']);
    assert.equal(code, 0);
    const items = z
      .array(z.object({ name: z.string(), state: z.string(), error: z.string().nullable(), queuedTicks: z.number() }))
      .parse(JSON.parse(stdout));
    const of = (name: string) => items.find((item) => item.name === name) ?? assert.fail(name);
    assert.equal(of('influx').state, 'ok');
    assert.equal(of('gone').state, 'failing');
    assert.match(of('gone').error ?? '', /refuses the connection/);
    assert.ok(of('gone').queuedTicks > 0 && of('dead').queuedTicks > 0);
    const { items: newest } = await daemon.admin('GET /metrics/latest', {
      query: { entity: 'host', metric: 'cpu_usage,outbox_oldest,dead_letters,collector_missed_total' },
    });
    assert.deepEqual(newest.map(({ metric }) => metric).sort(), [
      'collector_missed_total',
      'cpu_usage',
      'dead_letters',
      'outbox_oldest',
    ]);
    for (const { metric, ageSeconds } of newest) assert.ok(ageSeconds < 15, `${metric}: ${ageSeconds} s`);
    const table = await hvOn(daemon, ['metrics', 'targets']);
    assert.match(table.stdout, /gone\s+influx_v2\s+\S+ failing/);
    assert.doesNotMatch(daemon.output() + stdout, /not-asked-for/);
  });
});
