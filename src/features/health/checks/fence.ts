/** Does the second fence stand? Tried, not looked up: somebody who may nothing knocks at libvirt's sockets. */

import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ACCESS_RECORD, HOST_GROUPS } from '#contract/fence.ts';
import { PREFLIGHT_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { type CheckContext, type CheckDefinition, type Finding, fail, ok, unknown, warn } from '../check.ts';

/** `silent` = nobody was there to refuse. */
const knockSchema = z.object({ socket: z.string(), answer: z.enum(['refused', 'answered', 'silent']) });
export type KnockAnswer = z.infer<typeof knockSchema>;

const SOCKETS = ['libvirt-sock', 'libvirt-sock-ro', 'virtqemud-sock', 'virtqemud-sock-ro'].map(
  (name) => `/run/libvirt/${name}`,
);
const PROBE = fileURLToPath(new URL('../nobody-probe.ts', import.meta.url));
const SET_UP = 'Set it up: `hv system access-setup` (docs/guides/second-fence.md).';

/** Whether `hv system access-setup` came to its end here. */
async function isSetUp({ machine }: Pick<CheckContext, 'machine'>): Promise<boolean> {
  const text = await machine.readText(ACCESS_RECORD);
  return text !== null && /"isComplete": true/.test(text);
}

async function socketsOf({ machine }: Pick<CheckContext, 'machine'>) {
  const found = await Promise.all(SOCKETS.map(async (path) => ({ path, facts: await machine.facts(path) })));
  return found.flatMap(({ path, facts }) => (facts === null ? [] : [{ path, facts }]));
}

async function nobody(context: CheckContext): Promise<Finding> {
  const { machine, signal } = context;
  const sockets = (await socketsOf(context)).map(({ path }) => path);
  if (sockets.length === 0)
    return unknown(
      'None of libvirt’s sockets is there, so nobody could be sent to knock.',
      PREFLIGHT_WAITS_FOR_LIBVIRT,
    );
  if (machine.userId() !== 0) return nobodyThroughUs(context);
  const { stdout } = await machine.run([process.execPath, '--disable-warning=ExperimentalWarning', PROBE, ...sockets], {
    timeoutMs: 20_000,
    signal,
  });
  const knocks = z.array(knockSchema).parse(JSON.parse(stdout));
  const opened = knocks.filter(({ answer }) => answer === 'answered').map(({ socket }) => socket);
  if (opened.length > 0) return opening(context, `The user nobody got an answer at ${opened.join(' and ')}`);
  if (!knocks.some(({ answer }) => answer === 'refused'))
    return unknown('libvirt does not answer anybody, so it could not be tried.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  return ok(`The user nobody was refused at ${sockets.join(' and ')}.`);
}

/** Only root can become somebody else. libvirt can be asked what it would say to nobody: the same rules answer. */
async function nobodyThroughUs(context: CheckContext): Promise<Finding> {
  if (context.libvirt.connection().state !== 'connected')
    return unknown('libvirt does not answer, so it could not be tried.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  const answer = await context.libvirt.asNobody();
  return answer === 'refused'
    ? ok('libvirt, asked in the name of the user nobody, refuses.')
    : opening(context, 'libvirt, asked in the name of the user nobody, answers');
}

async function opening(context: CheckContext, what: string): Promise<Finding> {
  return (await isSetUp(context))
    ? fail(
        `${what}: the second fence is broken.`,
        'Put the rules back with `hv system access-setup`; look for what polkitd could not read: `journalctl -u polkit`.',
      )
    : warn(`${what}: every local user may look at the VMs. That is libvirt’s default.`, SET_UP);
}

const CONFIGS = ['/etc/libvirt/libvirtd.conf', '/etc/libvirt/virtqemud.conf'];
const LISTEN = '0A';
const DEFAULT_TLS_PORT = 16_514;

async function tls({ machine }: CheckContext): Promise<Finding> {
  const texts = (await Promise.all(CONFIGS.map((path) => machine.readText(path)))).filter((text) => text !== null);
  if (texts.length === 0)
    return unknown(
      `None of ${CONFIGS.join(' and ')} can be read.`,
      'Make them readable, or see whether libvirt is installed.',
    );
  const hasDriver = texts.some((text) => /^\s*access_drivers\s*=\s*\[[^\]]*"polkit"/m.test(text));
  if (!hasDriver) return ok('libvirt has no access driver, which is what a TLS listener would get in the way of.');
  const tables = (await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => machine.readText(path)))).filter(
    (text) => text !== null,
  );
  if (tables.length === 0) return unknown('The open ports cannot be read (/proc/net/tcp).', 'Mount /proc.');
  const configured = texts
    .map((text) => /^\s*tls_port\s*=\s*"?(\d+)/m.exec(text)?.[1])
    .find((port) => port !== undefined);
  const port = Number(configured ?? DEFAULT_TLS_PORT);
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const isListening = tables.some((text) =>
    text.split('\n').some((row) => {
      const [, local = '', , state] = row.trim().split(/\s+/);
      return state === LISTEN && local.endsWith(`:${hex}`);
    }),
  );
  if (!isListening) return ok('libvirt asks polkit about every call, and does not listen for TLS.');
  return fail(
    `libvirt asks polkit about every call and something listens at port ${port} for TLS: with the access driver on it refuses every TLS connection, and a client certificate would be root.`,
    'Reach the host over SSH and switch the listener off: `systemctl disable --now libvirtd-tls.socket virtproxyd-tls.socket`, or libvirtd without `--listen`.',
  );
}

const OTHERS = 0o007;

async function sockets(context: CheckContext): Promise<Finding> {
  const found = await socketsOf(context);
  if (found.length === 0) return unknown('None of libvirt’s sockets is there.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  const shown = (each: typeof found) => each.map(({ path, facts }) => `${path} (${facts.mode.toString(8)})`).join(', ');
  if (!(await isSetUp(context)))
    return ok(`The second fence is not set up; the sockets are as libvirt makes them: ${shown(found)}.`);
  const gid = new RegExp(`^${HOST_GROUPS.door}:[^:]*:(\\d+):`, 'm').exec(
    (await context.machine.readText('/etc/group')) ?? '',
  )?.[1];
  const open = found.filter(
    ({ facts }) => (facts.mode & OTHERS) !== 0 || (gid !== undefined && facts.gid !== Number(gid)),
  );
  if (open.length === 0) return ok(`Only ${HOST_GROUPS.door} may knock: ${shown(found)}.`);
  return fail(
    `Others than the group ${HOST_GROUPS.door} may knock at ${shown(open)}.`,
    'Run `hv system access-setup` again, and start libvirt anew so that it makes its sockets with the new mode.',
  );
}

export const fenceChecks: readonly CheckDefinition[] = [
  {
    id: 'fence.nobody',
    title: 'Nobody is refused',
    meaning:
      'A program runs as the user nobody and knocks at libvirt’s sockets; it must be refused. Where hyperd is not root, libvirt is asked in the name of nobody. A warning before `hv system access-setup`, a failure after it.',
    deadlineMs: 30_000,
    run: nobody,
  },
  {
    id: 'fence.tls',
    title: 'TLS and the access driver',
    meaning:
      'With libvirt’s access driver on, its TLS listener must be off: it would refuse every connection, and its client certificates are as good as root.',
    run: tls,
  },
  {
    id: 'fence.sockets',
    title: 'libvirt’s sockets',
    meaning: 'After `hv system access-setup` only the group hyper-libvirt may reach them, whatever the rules say.',
    run: sockets,
  },
];
