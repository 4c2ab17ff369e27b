/** Does libvirt answer, and can the user that its QEMU runs as reach the disks? */

import { PREFLIGHT_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import { type CheckContext, type CheckDefinition, type Finding, fail, ok, unknown, warn } from '../check.ts';

const SOCKETS = [
  { path: '/run/libvirt/libvirt-sock', mode: 'libvirtd' },
  { path: '/run/libvirt/virtqemud-sock', mode: 'virtqemud (modular)' },
];

/** What we are tried with; older ones lack calls that backups and snapshots use. */
const OLDEST_LIBVIRT = 8;

async function connection({ machine, libvirt }: CheckContext): Promise<Finding> {
  const { state, problem } = libvirt.connection();
  const found: string[] = [];
  for (const { path, mode } of SOCKETS) if ((await machine.facts(path)) !== null) found.push(mode);
  const sockets =
    found.length > 0 ? `sockets of ${found.join(' and ')} are there` : 'none of its usual sockets is there';
  if (state !== 'connected') {
    const start =
      found.includes('virtqemud (modular)') && !found.includes('libvirtd')
        ? 'systemctl start virtqemud.socket'
        : 'systemctl start libvirtd';
    return fail(
      `libvirt does not answer at ${libvirt.uri} (${problem ?? state}); ${sockets}.`,
      `Start it: \`${start}\`, or run \`./hv up\` which does. Its log: \`journalctl -u libvirtd\`.`,
    );
  }
  const version = await libvirt.version();
  const detail = `libvirt ${version} answers at ${libvirt.uri}; ${sockets}.`;
  return Number(version.split('.')[0]) < OLDEST_LIBVIRT
    ? warn(detail, 'It is older than what is tried (9.0): upgrade the distribution.')
    : ok(detail);
}

const ENTER = 0o1;

async function user({ machine, libvirt, settings }: CheckContext): Promise<Finding> {
  if (libvirt.connection().state !== 'connected')
    return unknown('libvirt does not answer, so the user that QEMU runs as is not known.', PREFLIGHT_WAITS_FOR_LIBVIRT);
  const qemu = await libvirt.qemuUser();
  if (qemu === null)
    return unknown(
      'libvirt does not tell which user QEMU runs as.',
      'Look at `user` and `group` in /etc/libvirt/qemu.conf; that user must be able to enter the state folder.',
    );
  if (qemu.uid === 0) return ok('QEMU runs as root, which can read every disk.');
  const blocked = await firstClosedFolder({ machine }, settings.disks, qemu);
  if (blocked === null) return ok(`QEMU runs as user ${qemu.uid}, who can reach the disks in ${settings.disks}.`);
  if (blocked === 'missing')
    return unknown(
      `The folder of the disks (${settings.disks}) is not there yet.`,
      'hyperd makes it when it starts; run `hv preflight` again.',
    );
  return fail(
    `QEMU runs as user ${qemu.uid}, who cannot enter ${blocked}, so no VM with a disk can start.`,
    `Let it pass: \`chmod o+x ${blocked}\`.`,
  );
}

/** The first folder on the way to `path` that the user may not enter, `missing` when a folder is not there, null when the way is free. */
async function firstClosedFolder(
  { machine }: Pick<CheckContext, 'machine'>,
  path: string,
  user: { uid: number; gid: number },
): Promise<string | 'missing' | null> {
  const parts = path.split('/').filter(Boolean);
  for (let depth = 0; depth <= parts.length; depth += 1) {
    const folder = `/${parts.slice(0, depth).join('/')}`;
    const facts = await machine.facts(folder);
    if (facts === null) return 'missing';
    const shift = facts.uid === user.uid ? 6 : facts.gid === user.gid ? 3 : 0;
    if (((facts.mode >> shift) & ENTER) === 0) return folder;
  }
  return null;
}

export const libvirtChecks: readonly CheckDefinition[] = [
  {
    id: 'libvirt.connection',
    title: 'libvirt',
    meaning:
      'Whether libvirt answers, in which version, and by which sockets. Nothing about VMs can be changed without it.',
    run: connection,
  },
  {
    id: 'libvirt.user',
    title: "QEMU's user",
    meaning:
      'libvirt runs QEMU as a user of its own. That user must be able to enter the folders in which the disks lie.',
    run: user,
  },
];
