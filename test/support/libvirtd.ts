/** A libvirtd of a test's own: private mount, network and PID namespaces with its own /etc/libvirt, /run, /var/lib/libvirt, /var/log/libvirt
 *  and /var/cache/libvirt below one temporary folder. Never touches the machine's libvirt; everything dies with `close()` or with the test process.
 *  Needs root, libvirtd, virtlogd, qemu-system-x86_64, virsh, unshare and nsenter. Guests run under TCG. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { makeCertificates, type TestCertificates } from './certificates.ts';
import { startRelay } from './relay.ts';

const run = promisify(execFile);

export interface PrivateLibvirtdOptions {
  /** Listen for TLS too; `tls` then holds the port and the certificates. */
  readonly tls?: boolean;
  /** Start with a network bridge `hvbr0` (192.0.2.1/24) in the private network namespace. */
  readonly bridge?: boolean;
  /** What it calls itself; default: as the machine. A guest moves between two that are called differently. */
  readonly hostName?: string;
  /** Lines added to libvirtd.conf. */
  readonly libvirtdConf?: string;
  /** Lines added to qemu.conf. */
  readonly qemuConf?: string;
  /** Start a D-Bus and a polkitd of its own, and let libvirtd ask it about every call. What talks to this libvirtd must run inside
   *  (`inside`): polkit names callers by process id. */
  readonly polkit?: PrivatePolkit;
}

export interface PrivatePolkit {
  /** Added to the machine's users and groups, inside only. A user's own group has its name and id. */
  readonly users: readonly { readonly name: string; readonly uid: number; readonly groups?: readonly string[] }[];
  readonly groups?: Readonly<Record<string, number>>;
  /** Files of /etc/polkit-1/rules.d by name. */
  readonly rules: Readonly<Record<string, string>>;
  /** Group of libvirt's sockets; default: everybody may knock, so that polkit alone decides. */
  readonly socketGroup?: string;
}

export interface PrivateLibvirtd {
  /** The read-write socket; works from outside the namespaces. */
  readonly socketPath: string;
  readonly readOnlySocketPath: string;
  /** `qemu:///system?socket=…`, for our client and for virsh. */
  readonly uri: string;
  /** Holds etc/, run/, lib/ (= /var/lib/libvirt inside), log/, cache/. Other files may be put here; all goes with close(). */
  readonly dir: string;
  /** libvirtd's process id as seen from outside. */
  readonly pid: number;
  readonly tls: { readonly port: number; readonly certificates: TestCertificates } | null;
  /** stdout of `virsh`, the oracle. Rejects with its stderr. */
  virsh(...args: readonly string[]): Promise<string>;
  /** The outside path of a path that libvirt or QEMU tell, as a VNC socket below /var/lib/libvirt. */
  mapPath(path: string): string;
  /** The argument array that runs `argv` inside the mount and network namespaces, where libvirt's own paths hold. */
  enter(argv: readonly string[]): readonly [string, ...string[]];
  /** As `enter`, and inside the process namespace too; as another user where one is named. */
  inside(
    argv: readonly string[],
    user?: { readonly uid: number; readonly groups?: readonly number[] },
  ): readonly [string, ...string[]];
  /** Replaces files of /etc/polkit-1/rules.d and waits until polkitd has read them. */
  writeRules(rules: Readonly<Record<string, string>>): Promise<void>;
  /** Outside pid of the QEMU process of a running guest. */
  qemuPid(name: string): number;
  /** SIGKILL to libvirtd; guests live on. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT to libvirtd. */
  stop(): void;
  cont(): void;
  /** Ends libvirtd if it runs, starts it anew and waits until it answers. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

/** Debian's packages policykit-1 (polkitd) and dbus. */
const POLKITD = [
  '/usr/lib/polkit-1/polkitd',
  '/usr/libexec/polkitd',
  '/run/current-system/sw/lib/polkit-1/polkitd',
].find(existsSync);

/** Why no libvirtd with a polkitd of its own can run here, or null when it can. */
export function missingForPolkit(): string | null {
  const missing = missingForLibvirtd();
  if (missing !== null) return missing;
  if (POLKITD === undefined) return 'missing programs: polkitd';
  return existsSync('/usr/bin/dbus-daemon') ? null : 'missing programs: dbus-daemon';
}

/** Why no private libvirtd can run here, or null when it can. For `{ skip: await missingForLibvirtd() ?? false }`. */
export function missingForLibvirtd(): string | null {
  if (process.getuid?.() !== 0) return 'needs root for namespaces';
  const folders = (process.env['PATH'] ?? '').split(':').concat('/usr/sbin', '/sbin');
  const programs = ['libvirtd', 'virtlogd', 'virsh', 'qemu-system-x86_64', 'unshare', 'nsenter', 'ip'];
  const missing = programs.filter((program) => !folders.some((folder) => existsSync(join(folder, program))));
  return missing.length > 0 ? `missing programs: ${missing.join(', ')}` : null;
}

// $1 work folder, $2 "bridge" or "", $3 an option of libvirtd, $4 polkitd's program or "", $5 host name or "". The first process of the namespaces: when its standard input ends, it and all others end.
const INIT = `
set -e
export PATH="$PATH:/usr/sbin:/sbin"
d=$1
mount --make-rprivate /
mount -t sysfs sys /sys
mkdir -p /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /etc/libvirt
mount --bind "$d/etc" /etc/libvirt
mount --bind "$d/run" /run
mount --bind "$d/lib" /var/lib/libvirt
mount --bind "$d/log" /var/log/libvirt
mount --bind "$d/cache" /var/cache/libvirt
ip link set lo up
[ -z "$5" ] || hostname "$5"
if [ "$2" = bridge ]; then ip link add hvbr0 type bridge; ip addr add 192.0.2.1/24 dev hvbr0; ip link set hvbr0 up; fi
if [ -n "$4" ]; then
  mount --bind "$d/passwd" /etc/passwd
  mount --bind "$d/group" /etc/group
  mount --bind "$d/rules" /etc/polkit-1/rules.d
  dbus-daemon --system --fork --nopidfile
  "$4" --no-debug >"$d/log/polkitd.log" 2>&1 &
fi
virtlogd -d
libvirtd -d -p /run/hv-libvirtd.pid $3
touch "$d/ready"
read -r _ || true
`;

export async function startPrivateLibvirtd(options: PrivateLibvirtdOptions = {}): Promise<PrivateLibvirtd> {
  const missing = options.polkit ? missingForPolkit() : missingForLibvirtd();
  if (missing !== null) throw new Error(`no private libvirtd: ${missing}`);
  // Unix socket paths are limited to 107 bytes, so the folder's name is short.
  const dir = await mkdtemp(join(tmpdir(), 'hvl-'));
  const certificates = options.tls ? await makeCertificates(join(dir, 'pki'), 'localhost') : null;
  await prepare(dir, options, certificates);
  const listen = options.tls ? '-l' : '';
  const init = spawn(
    'unshare',
    [
      '--mount',
      '--net',
      '--pid',
      '--uts',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'bash',
      '-c',
      INIT,
      'hv-libvirtd',
      dir,
      options.bridge ? 'bridge' : '',
      listen,
      options.polkit ? (POLKITD ?? '') : '',
      options.hostName ?? '',
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true },
  );
  let complaints = '';
  init.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  init.stdout.resume();

  const socketPath = join(dir, 'run/libvirt/libvirt-sock');
  const uri = `qemu:///system?socket=${socketPath}`;
  const closers: (() => Promise<void>)[] = [];
  const fail = async (reason: string): Promise<never> => {
    await end(init);
    const log = await readFile(join(dir, 'log/libvirtd.log'), 'utf8').catch(() => '');
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    throw new Error(
      `the private libvirtd did not start: ${reason}\n${complaints}\n${log.split('\n').slice(-10).join('\n')}`,
    );
  };

  const initPid = await firstChild(init, dir).catch((error: unknown) => fail(String(error)));
  const daemonPid = () => pidInNamespace(initPid, (name) => name === 'libvirtd') ?? 0;
  if (!(await answers(socketPath, 20_000))) await fail('its socket does not accept connections');

  const enter = (argv: readonly string[]): readonly [string, ...string[]] => [
    'nsenter',
    '-t',
    String(initPid),
    '-m',
    '-n',
    '--',
    ...argv,
  ];
  const inside: PrivateLibvirtd['inside'] = (argv, user) => [
    'nsenter',
    '-t',
    String(initPid),
    ...['-m', '-n', '-p', '-u', '--'],
    ...(user
      ? [
          'setpriv',
          `--reuid=${user.uid}`,
          `--regid=${user.uid}`,
          user.groups ? `--groups=${user.groups.join(',')}` : '--init-groups',
          '--',
        ]
      : []),
    ...argv,
  ];
  let tls: PrivateLibvirtd['tls'] = null;
  if (certificates) {
    const relay = await startRelay({ enter, socketPath: join(dir, 'tls.sock'), port: 16514 });
    closers.push(relay.close);
    tls = { port: relay.port, certificates };
  }

  const kill = async () => {
    const pid = daemonPid();
    if (pid === 0) return;
    process.kill(pid, 'SIGKILL');
    await until(() => daemonPid() !== pid, 5_000);
  };

  return {
    socketPath,
    readOnlySocketPath: join(dir, 'run/libvirt/libvirt-sock-ro'),
    uri,
    dir,
    get pid() {
      return daemonPid();
    },
    tls,
    async virsh(...args) {
      return (await run('virsh', ['-q', '-c', uri, ...args], { maxBuffer: 256 * 2 ** 20 })).stdout;
    },
    mapPath(path) {
      const places: [RegExp, string][] = [
        [/^\/var\/lib\/libvirt(?=\/|$)/, 'lib'],
        [/^(\/var)?\/run(?=\/|$)/, 'run'],
        [/^\/var\/log\/libvirt(?=\/|$)/, 'log'],
        [/^\/etc\/libvirt(?=\/|$)/, 'etc'],
      ];
      for (const [prefix, folder] of places) if (prefix.test(path)) return path.replace(prefix, join(dir, folder));
      return path;
    },
    enter,
    inside,
    async writeRules(rules) {
      for (const [name, text] of Object.entries(rules)) await writeFile(join(dir, 'rules', name), text);
      // polkitd is told by the kernel when a file changes, and reads all of them then.
      await sleep(1_000);
    },
    qemuPid(name) {
      const pid = pidInNamespace(
        initPid,
        (_comm, argv) => argv[1] === '-name' && (argv[2] ?? '').startsWith(`guest=${name},`),
      );
      if (pid === null) throw new Error(`no QEMU process of ${name}`);
      return pid;
    },
    kill,
    stop: () => void process.kill(daemonPid(), 'SIGSTOP'),
    cont: () => void process.kill(daemonPid(), 'SIGCONT'),
    async restart() {
      const pid = daemonPid();
      if (pid !== 0) {
        process.kill(pid, 'SIGCONT');
        process.kill(pid, 'SIGTERM');
        if (!(await until(() => daemonPid() !== pid, 5_000))) await kill();
      }
      await rm(join(dir, 'run/hv-libvirtd.pid'), { force: true });
      const [program, ...args] = inside([
        'libvirtd',
        '-d',
        '-p',
        '/run/hv-libvirtd.pid',
        ...(options.tls ? ['-l'] : []),
      ]);
      await run(program, args);
      if (!(await answers(socketPath, 20_000))) throw new Error('libvirtd did not come back');
    },
    async close() {
      for (const closer of closers) await closer();
      await end(init);
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function preparePolkit(dir: string, { users, groups = {}, rules }: PrivatePolkit): Promise<void> {
  await mkdir(join(dir, 'rules'), { mode: 0o755 });
  await mkdir(join(dir, 'run/dbus'), { recursive: true });
  for (const [name, text] of Object.entries(rules)) await writeFile(join(dir, 'rules', name), text);
  const ids = new Map([...users.map(({ name, uid }) => [name, uid] as const), ...Object.entries(groups)]);
  const members = (group: string) => users.filter((user) => user.groups?.includes(group)).map(({ name }) => name);
  const isOurs = (line: string) => ids.has(line.split(':')[0] ?? '');
  const machine = async (file: string) =>
    (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '' && !isOurs(line));
  const passwd = users.map(({ name, uid }) => `${name}:x:${uid}:${uid}::/nonexistent:/bin/sh`);
  // Groups of the machine get members too, as the group of QEMU.
  const known = (await machine('/etc/group')).map((line) => {
    const more = members(line.split(':')[0] ?? '');
    return more.length === 0 ? line : `${line}${line.endsWith(':') ? '' : ','}${more.join(',')}`;
  });
  const added = [...ids].map(([name, id]) => `${name}:x:${id}:${members(name).join(',')}`);
  await writeFile(join(dir, 'passwd'), `${[...(await machine('/etc/passwd')), ...passwd].join('\n')}\n`);
  await writeFile(join(dir, 'group'), `${[...known, ...added].join('\n')}\n`);
}

async function prepare(
  dir: string,
  options: PrivateLibvirtdOptions,
  certificates: TestCertificates | null,
): Promise<void> {
  const folders = [
    'etc/qemu',
    'run/lock',
    'run/libvirt',
    'lib/images',
    'lib/dnsmasq',
    'lib/boot',
    'lib/qemu',
    'log/qemu',
    'cache',
  ];
  for (const folder of folders) await mkdir(join(dir, folder), { recursive: true });
  const tlsLines = certificates
    ? [
        'listen_tls = 1',
        'tls_port = "16514"',
        'listen_addr = "127.0.0.1"',
        `ca_file = "${certificates.caFile}"`,
        `cert_file = "${certificates.hostCertFile}"`,
        `key_file = "${certificates.hostKeyFile}"`,
      ]
    : ['listen_tls = 0'];
  const { polkit } = options;
  if (polkit) await preparePolkit(dir, polkit);
  const auth = polkit
    ? [
        'auth_unix_rw = "polkit"',
        'auth_unix_ro = "polkit"',
        'access_drivers = [ "polkit" ]',
        ...(polkit.socketGroup === undefined ? [] : [`unix_sock_group = "${polkit.socketGroup}"`]),
        `unix_sock_ro_perms = "${polkit.socketGroup === undefined ? '0777' : '0770'}"`,
        `unix_sock_rw_perms = "${polkit.socketGroup === undefined ? '0777' : '0770'}"`,
      ]
    : ['auth_unix_rw = "none"', 'auth_unix_ro = "none"', 'unix_sock_rw_perms = "0700"'];
  await writeFile(
    join(dir, 'etc/libvirtd.conf'),
    [
      ...tlsLines,
      'listen_tcp = 0',
      ...auth,
      `host_uuid = "${randomUUID()}"`,
      'log_filters = "3:rpc 3:util 3:object"',
      'log_outputs = "2:file:/var/log/libvirt/libvirtd.log"',
      options.libvirtdConf ?? '',
      '',
    ].join('\n'),
  );
  await writeFile(
    join(dir, 'etc/qemu.conf'),
    [
      'user = "root"',
      'group = "root"',
      'dynamic_ownership = 0',
      'remember_owner = 0',
      'security_driver = "none"',
      'namespaces = []',
      'cgroup_controllers = []',
      options.qemuConf ?? '',
      '',
    ].join('\n'),
  );
  await writeFile(join(dir, 'etc/virtlogd.conf'), 'log_outputs = "3:file:/var/log/libvirt/virtlogd.log"\n');
}

/** The first process inside the namespaces, by its outside pid, once it has started libvirtd. */
async function firstChild(init: ChildProcess, dir: string): Promise<number> {
  const isReady = await until(() => existsSync(join(dir, 'ready')) || init.exitCode !== null, 20_000);
  if (!isReady || init.exitCode !== null) throw new Error(`its first process ended with ${init.exitCode}`);
  const children = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8').trim().split(' ');
  return Number(children[0]);
}

function pidInNamespace(initPid: number, matches: (comm: string, argv: readonly string[]) => boolean): number | null {
  let namespace: string;
  try {
    namespace = readlinkSync(`/proc/${initPid}/ns/pid`);
  } catch {
    return null; // the namespaces are gone
  }
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readlinkSync(`/proc/${entry}/ns/pid`) !== namespace) continue;
      const argv = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      // A zombie has no command line.
      if (argv[0] && matches(readFileSync(`/proc/${entry}/comm`, 'utf8').trim(), argv)) return Number(entry);
    } catch {
      // The process ended while we looked.
    }
  }
  return null;
}

async function answers(socketPath: string, withinMs: number): Promise<boolean> {
  return until(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(socketPath);
        socket.once('connect', () => {
          socket.destroy();
          resolve(true);
        });
        socket.once('error', () => resolve(false));
      }),
    withinMs,
  );
}

async function until(condition: () => boolean | Promise<boolean>, withinMs: number): Promise<boolean> {
  const end = performance.now() + withinMs;
  while (performance.now() < end) {
    if (await condition()) return true;
    await sleep(20);
  }
  return false;
}

async function end(init: ChildProcess): Promise<void> {
  if (init.exitCode !== null || init.signalCode !== null) return;
  const gone = new Promise((resolve) => init.once('exit', resolve));
  init.kill('SIGKILL'); // --kill-child takes the namespaces' first process, and with it all others, along
  await gone;
  await sleep(50);
}
