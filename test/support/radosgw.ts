/** A small Ceph with its S3 gateway as programs of a test: one monitor, one storage daemon in memory, radosgw. Signatures, versions and
 *  object lock are those of a real service. Ended and removed by `close`. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newUuid } from '#kernel/ids.ts';
import { runChecked } from '#platform/process.ts';
import { freePort } from './free-port.ts';

const PROGRAMS = ['ceph', 'ceph-mon', 'ceph-osd', 'ceph-authtool', 'monmaptool', 'radosgw', 'radosgw-admin'];
const READY_MS = 60_000;

/** Why it cannot run here, or null. */
export function missingForRadosgw(): string | null {
  const missing = PROGRAMS.filter((program) => !existsSync(`/usr/bin/${program}`));
  return missing.length === 0 ? null : `missing programs: ${missing.join(', ')}`;
}

export interface S3User {
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface Radosgw {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  readonly user: S3User;
  /** `radosgw-admin`, as `quota set …`. */
  admin(...args: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

export async function startRadosgw(): Promise<Radosgw> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-rgw-'));
  const at = (name: string) => join(folder, name);
  const [monPort, port] = [await freePort(), await freePort()];
  const cluster = newUuid();
  for (const name of ['mon', 'osd', 'rgw', 'run']) await mkdir(at(name));
  await writeFile(
    at('ceph.conf'),
    `[global]
fsid = ${cluster}
mon host = v2:127.0.0.1:${monPort}/0
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = ${at('run')}
admin socket = ${at('run')}/$name.$pid.asok
log file = ${at('$name.log')}
pid file = ${at('run')}/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw rados pool pg num min = 4
mon allow pool size one = true
mon max pg per osd = 1000
mon data = ${at('mon')}
osd objectstore = memstore
memstore device bytes = 1073741824
osd data = ${at('osd')}
keyring = ${at('keyring')}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
rgw data = ${at('rgw')}
rgw frontends = beast endpoint=127.0.0.1:${port}
`,
  );
  const children: ChildProcess[] = [];
  const run = async (program: string, ...args: readonly string[]) =>
    (await runChecked([program, '-c', at('ceph.conf'), ...args], { timeoutMs: 60_000 })).stdout;
  const daemon = (program: string, ...args: readonly string[]) => {
    const child = spawn(program, ['-c', at('ceph.conf'), ...args, '-f'], { stdio: 'ignore' });
    children.push(child);
    return child;
  };
  const close = async () => {
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  try {
    for (const name of ['mon.', 'client.admin'])
      await runChecked(
        [
          'ceph-authtool',
          ...(name === 'mon.' ? ['--create-keyring'] : []),
          at('keyring'),
          '--gen-key',
          '-n',
          name,
          ...['mon', 'osd', 'mgr'].flatMap((service) => ['--cap', service, 'allow *']),
        ],
        { timeoutMs: 20_000 },
      );
    await runChecked(
      ['monmaptool', '--create', '--fsid', cluster, '--addv', 'a', `[v2:127.0.0.1:${monPort}/0]`, at('monmap')],
      { timeoutMs: 20_000 },
    );
    await run('ceph-mon', '--mkfs', '-i', 'a', '--monmap', at('monmap'), '--keyring', at('keyring'));
    daemon('ceph-mon', '-i', 'a');
    const osd = newUuid();
    await run('ceph', '--connect-timeout', '50', 'osd', 'new', osd);
    await run('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd);
    daemon('ceph-osd', '-i', '0');
    const end = performance.now() + READY_MS;
    while (!(await run('ceph', 'osd', 'stat')).includes('1 up')) {
      if (performance.now() > end) throw new Error('the storage daemon does not come up');
      await sleep(200);
    }
    daemon('radosgw', '-n', 'client.admin');
    const endpoint = `http://127.0.0.1:${port}`;
    // Not listening yet: exactly what this loop waits for.
    while ((await fetch(endpoint).catch(() => null))?.status !== 200) {
      if (performance.now() > end) throw new Error('radosgw does not answer');
      await sleep(200);
    }
    const admin = (...args: readonly string[]) => run('radosgw-admin', ...args);
    const user = { accessKey: 'AKTESTER', secretKey: 'a-secret-of-the-test' };
    await admin(
      'user',
      'create',
      '--uid=tester',
      '--display-name=tester',
      `--access-key=${user.accessKey}`,
      `--secret-key=${user.secretKey}`,
    );
    return { endpoint, user, admin, close };
  } catch (error) {
    await close();
    throw error;
  }
}
