/** A machine of a test's own, as a person sets one up: mount, network and process namespaces with copies of what the machine's packages
 *  brought (/etc, without the VMs of whoever runs the test), and its own /run, /var/lib/libvirt, /var/log/libvirt, /var/cache/libvirt and
 *  /var/lib/hyper-nixos. libvirt and QEMU run there as the packages want it: QEMU as its own user, who is given the files. Everything dies
 *  with `close()` or the test process. */

import { execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FINAL_STATES } from '#contract/operations.ts';
import { missingForPolkit } from './libvirtd.ts';

export const HV = fileURLToPath(new URL('../../hv', import.meta.url));

const COMMAND_MS = 180_000;

// $1 work folder. The first process of the namespaces: when its standard input ends, it and all others end.
const INIT = `
set -e
export PATH="$PATH:/usr/sbin:/sbin"
d=$1
mount --make-rprivate /
mount -t sysfs sys /sys
mkdir -p "$d/etc"
cp -a /etc/. "$d/etc/"
mount --bind "$d/etc" /etc
for folder in /run /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /var/lib/hyper-nixos; do
  mkdir -p "$d$folder" "$folder"
  mount --bind "$d$folder" "$folder"
done
mkdir -p /run/lock
rm -rf /etc/hyper-nixos /etc/polkit-1/rules.d/*hyper-nixos*
rm -f "$d"/etc/libvirt/qemu/*.xml "$d"/etc/libvirt/qemu/autostart/*
printf 'cgroup_controllers = []\\nnamespaces = []\\nsecurity_driver = "none"\\n' >>/etc/libvirt/qemu.conf
ip link set lo up
touch "$d/ready"
read -r _ || true
`;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  /** stdout and stderr */
  readonly text: string;
}

export interface OwnMachine {
  /** Runs a program in there, as root; at most three minutes. */
  run(...argv: readonly string[]): Promise<Ran>;
  hv(...args: readonly string[]): Promise<Ran>;
  /** `hv`, which has to succeed. */
  done(...args: readonly string[]): Promise<Ran>;
  /** Asks its hyperd over the administrator's socket. @returns the answer's document, as it is */
  // biome-ignore lint/suspicious/noExplicitAny: the document of whatever route was named
  api(method: string, path: string, body?: unknown): Promise<any>;
  /** Follows an operation to its end, which has to be `done`. */
  finish(operation: { readonly id?: string }): Promise<void>;
  /** Where a path of the machine lies outside. */
  inside(path: string): string;
  close(): Promise<void>;
}

/** Why no such machine can be made here; null = it can. */
export function missingForOwnMachine(): string | null {
  const missing = missingForPolkit();
  if (missing !== null) return missing;
  for (const program of ['/usr/sbin/useradd', '/usr/bin/setpriv', '/usr/bin/curl'])
    if (!existsSync(program)) return `missing programs: ${program}`;
  return null;
}

export async function startOwnMachine(): Promise<OwnMachine> {
  const dir = await mkdtemp(join(tmpdir(), 'hvs-'));
  const init = spawn(
    'unshare',
    ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc', 'bash', '-c', INIT, 'hv-machine', dir],
    { stdio: ['pipe', 'inherit', 'inherit'], detached: true },
  );
  const close = async () => {
    const gone = new Promise((resolve) => init.once('exit', resolve));
    if (init.exitCode === null && init.kill('SIGKILL')) await gone;
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  };
  for (let turn = 0; !existsSync(join(dir, 'ready')); turn += 1) {
    if (turn >= 600 || init.exitCode !== null) {
      await close();
      throw new Error('the machine did not start');
    }
    await sleep(50);
  }
  const first = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8').trim().split(' ')[0] ?? '';

  // Where hyperd is and what it reads is that machine's own.
  const env = { ...process.env };
  for (const name of ['HV_STATE_DIR', 'HV_RUNTIME_DIR', 'HV_CONFIG', 'HV_LISTEN']) delete env[name];
  const run = (...argv: readonly string[]): Promise<Ran> =>
    new Promise((resolve) => {
      const enter = ['-t', first, '-m', '-n', '-p', '--', ...argv];
      const child = execFile('nsenter', enter, { timeout: COMMAND_MS, cwd: '/', env }, (_error, stdout, stderr) =>
        resolve({ code: child.exitCode ?? -1, stdout, text: `${stdout}${stderr}` }),
      );
    });
  const hv = (...args: readonly string[]) => run(HV, ...args);
  const api: OwnMachine['api'] = async (method, path, body) => {
    const sent = body === undefined ? [] : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)];
    const socket = ['--unix-socket', '/run/hyper-nixos/admin.sock'];
    const { code, stdout, text } = await run(
      'curl',
      '-sS',
      ...socket,
      ...['-X', method, ...sent, `http://localhost/api/v1${path}`],
    );
    if (code !== 0) throw new Error(`${method} ${path}: curl ended with ${code}: ${text}`);
    return JSON.parse(stdout);
  };
  return {
    run,
    hv,
    async done(...args) {
      const ran = await hv(...args);
      if (ran.code !== 0) throw new Error(`hv ${args.join(' ')} ended with ${ran.code}: ${ran.text}`);
      return ran;
    },
    api,
    async finish(operation) {
      if (operation.id === undefined) throw new Error(`no operation: ${JSON.stringify(operation)}`);
      for (;;) {
        const { state, title, error } = await api('GET', `/operations/${operation.id}?waitSeconds=20`);
        if (state === undefined) throw new Error(`no operation ${operation.id}`);
        if (state === 'done') return;
        if (FINAL_STATES.includes(state) || state === 'attention')
          throw new Error(`${title} ended as ${state}: ${JSON.stringify(error)}`);
      }
    },
    inside: (path) => join(dir, path),
    close,
  };
}
