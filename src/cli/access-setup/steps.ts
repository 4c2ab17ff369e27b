/** The steps of `hv system access-setup`, in order. Each looks at the machine whether it is needed, so a setup that was cut off is mended
 *  by running it again, and each can be taken back. */

import { lchown, lstat, mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HOST_GROUPS, HYPER_USER, projectAccount, RULE_FILES } from '#contract/fence.ts';
import { accountOf, isThere, membersOf, mustRun, removeFile, replaceFile, textOf, tryRun } from './host.ts';
import type { AccessRecord } from './record.ts';
import { type Settings, withoutSettings, withSettings } from './settings-file.ts';

export interface SetupOptions {
  readonly projectAccounts: number;
  readonly stateDir: string;
}

/** Notes what a step made, before it makes it. */
export type Note = (change: (record: AccessRecord) => AccessRecord) => Promise<void>;

export interface Step {
  readonly title: string;
  /** What must not run, or has to learn of it: hyperd while its files change hands; libvirt when its settings change. */
  readonly concerns: 'hyperd' | 'libvirt' | 'nobody';
  /** What it would do, one line each; none = it is done. */
  plan(): Promise<readonly string[]>;
  apply(note: Note): Promise<void>;
  /** What taking it back would do. */
  undoPlan(record: AccessRecord): Promise<readonly string[]>;
  undo(record: AccessRecord): Promise<void>;
}

const RULES_FOLDER = '/etc/polkit-1/rules.d';
const PROGRAM_ROOT = new URL('../../../', import.meta.url);

/** libvirt's daemons; each has a configuration of its own name. Tried: libvirtd (the only one of Debian 12). */
const LIBVIRT_DAEMONS = [
  'libvirtd',
  'virtqemud',
  'virtnetworkd',
  'virtstoraged',
  'virtnodedevd',
  'virtsecretd',
  'virtnwfilterd',
  'virtinterfaced',
  'virtproxyd',
] as const;

const LIBVIRT_SETTINGS: Settings = {
  auth_unix_ro: '"polkit"',
  auth_unix_rw: '"polkit"',
  access_drivers: '[ "polkit" ]',
  unix_sock_group: `"${HOST_GROUPS.door}"`,
  unix_sock_ro_perms: '"0770"',
  unix_sock_rw_perms: '"0770"',
};

/** systemd makes the sockets itself and does not look at libvirt's settings for them. */
const SOCKET_DROP_IN = `# Made by \`hv system access-setup\`.
[Socket]
SocketMode=0660
SocketGroup=${HOST_GROUPS.door}
`;

const union = (list: readonly string[], added: readonly string[]) => [...new Set([...list, ...added])];

export function setupSteps(options: SetupOptions): readonly Step[] {
  return [
    groups(),
    hyperUser(options),
    projectUsers(options),
    polkitRules(),
    libvirtSettings(),
    socketDropIns(),
    stateFolder(options),
  ];
}

function groups(): Step {
  const missing = async () => {
    const found = await Promise.all(
      Object.values(HOST_GROUPS).map(async (name) => ({ name, members: await membersOf(name) })),
    );
    return found.filter(({ members }) => members === null).map(({ name }) => name);
  };
  const present = () => existing(Object.values(HOST_GROUPS), membersOf);
  return {
    title: 'groups of people',
    concerns: 'nobody',
    plan: async () => (await missing()).map((name) => `make the group ${name}`),
    async apply() {
      for (const name of await missing()) await mustRun('groupadd', '--system', name);
    },
    undoPlan: async () => (await present()).map((name) => `remove the group ${name}`),
    async undo() {
      for (const name of await present()) await mustRun('groupdel', name);
    },
  };
}

async function existing(
  names: readonly string[],
  look: (name: string) => Promise<unknown>,
): Promise<readonly string[]> {
  const found = await Promise.all(names.map(look));
  return names.filter((_name, index) => found[index] !== null);
}

/** In the comment field of the users that we make, so that no other is ever removed. */
const OURS = 'made by hyper-nixos access-setup';

/** Names of all users, and of those that we made. */
async function users(): Promise<{ readonly all: ReadonlySet<string>; readonly ours: readonly string[] }> {
  // One look at all of them: asking for each would start a program hundreds of times.
  const rows = (await mustRun('getent', 'passwd')).split('\n').map((line) => line.split(':'));
  return {
    all: new Set(rows.map(([name = '']) => name)),
    ours: rows.filter((fields) => fields[4] === OURS).map(([name = '']) => name),
  };
}

/** Accounts of somebody else that have the names of ours: taken over, they would get our rights. */
export async function foreignAccounts(projectAccounts: number): Promise<readonly string[]> {
  const { all, ours } = await users();
  const wanted = [HYPER_USER, ...Array.from({ length: projectAccounts }, (_, index) => projectAccount(index + 1))];
  return wanted.filter((name) => all.has(name) && !ours.includes(name));
}

async function makeUser(name: string, home: string): Promise<void> {
  const looks = ['--no-create-home', '--home-dir', home, '--shell', await noLoginShell(), '--comment', OURS];
  await mustRun('useradd', '--system', '--user-group', ...looks, name);
}

async function noLoginShell(): Promise<string> {
  for (const path of ['/usr/sbin/nologin', '/sbin/nologin']) if (await isThere(path)) return path;
  return '/bin/false';
}

/** The group that QEMU runs in: its screens' sockets and its disks are open to it (measured: libvirt starts QEMU with umask 002). */
async function qemuGroup(): Promise<string | null> {
  const configured = /^\s*group\s*=\s*"([^"+]+)"/m.exec((await textOf('/etc/libvirt/qemu.conf')) ?? '')?.[1];
  for (const name of [configured, 'libvirt-qemu', 'qemu', 'kvm'])
    if (name !== undefined && name !== 'root' && (await membersOf(name)) !== null) return name;
  return null;
}

function hyperUser({ stateDir }: SetupOptions): Step {
  /** Its doors' groups, so that it may give its sockets to them; QEMU's, for screens and disks; kvm, to prove that KVM works. */
  const wantedGroups = async () => {
    const others = [await qemuGroup(), (await membersOf('kvm')) === null ? null : 'kvm'];
    return [...Object.values(HOST_GROUPS), ...others.filter((name) => name !== null)];
  };
  const missingGroups = async () => {
    const wanted = await wantedGroups();
    const members = await Promise.all(wanted.map(membersOf));
    return [...new Set(wanted.filter((_name, index) => !members[index]?.includes(HYPER_USER)))];
  };
  return {
    title: `the user ${HYPER_USER}`,
    concerns: 'hyperd',
    async plan() {
      const isMissing = (await accountOf(HYPER_USER)) === null;
      const added = await missingGroups();
      return [
        ...(isMissing ? [`make the system user ${HYPER_USER}, without login, with ${stateDir} as its home`] : []),
        ...(added.length > 0 ? [`put ${HYPER_USER} into ${added.join(', ')}`] : []),
      ];
    },
    async apply() {
      if ((await accountOf(HYPER_USER)) === null) await makeUser(HYPER_USER, stateDir);
      const added = await missingGroups();
      if (added.length > 0) await mustRun('usermod', '--append', '--groups', added.join(','), HYPER_USER);
    },
    undoPlan: async () => ((await users()).ours.includes(HYPER_USER) ? [`remove the user ${HYPER_USER}`] : []),
    async undo() {
      if ((await users()).ours.includes(HYPER_USER)) await mustRun('userdel', HYPER_USER);
    },
  };
}

function projectUsers({ projectAccounts }: SetupOptions): Step {
  const missing = async () => {
    const { all } = await users();
    return Array.from({ length: projectAccounts }, (_, index) => projectAccount(index + 1)).filter(
      (name) => !all.has(name),
    );
  };
  const made = async () => (await users()).ours.filter((name) => name !== HYPER_USER);
  const span = (names: readonly string[]) =>
    names.length === 1 ? names[0] : `${names[0]} … ${names.at(-1)} (${names.length})`;
  return {
    title: 'users of projects',
    concerns: 'nobody',
    async plan() {
      const names = await missing();
      return names.length === 0 ? [] : [`make the users ${span(names)}, without login and home`];
    },
    async apply(note) {
      await note((record) => ({ ...record, projectAccounts }));
      for (const name of await missing()) await makeUser(name, '/nonexistent');
    },
    async undoPlan() {
      const names = await made();
      return names.length === 0 ? [] : [`remove the users ${span(names)}`];
    },
    async undo() {
      for (const name of await made()) {
        await mustRun('userdel', name);
        // userdel keeps a user's own group when it has members.
        await tryRun('groupdel', name);
      }
    },
  };
}

function polkitRules(): Step {
  const files = Object.values(RULE_FILES).map(({ name, source }) => ({
    path: join(RULES_FOLDER, name),
    read: () => readFile(fileURLToPath(new URL(source, PROGRAM_ROOT)), 'utf8'),
  }));
  const stale = async () => {
    const texts = await Promise.all(
      files.map(async ({ path, read }) => [path, await textOf(path), await read()] as const),
    );
    return texts.filter(([, found, wanted]) => found !== wanted);
  };
  return {
    title: "polkit's rules",
    concerns: 'nobody',
    plan: async () => (await stale()).map(([path, found]) => `${found === null ? 'write' : 'replace'} ${path}`),
    async apply() {
      // The one that refuses comes first, so that there is no moment in which only half of the rules count.
      for (const [path, , wanted] of (await stale()).toReversed()) await replaceFile(path, wanted, 0o644);
    },
    undoPlan: async () =>
      (
        await existing(
          files.map(({ path }) => path),
          textOf,
        )
      ).map((path) => `remove ${path}`),
    async undo() {
      for (const { path } of files) await removeFile(path);
    },
  };
}

function libvirtSettings(): Step {
  const paths = LIBVIRT_DAEMONS.map((name) => `/etc/libvirt/${name}.conf`);
  const differing = async (change: (text: string) => string) => {
    const found: { path: string; text: string; wanted: string }[] = [];
    for (const path of paths) {
      const text = await textOf(path);
      if (text === null) continue;
      const wanted = change(text);
      if (wanted !== text) found.push({ path, text, wanted });
    }
    return found;
  };
  const setting = (text: string) => withSettings(text, LIBVIRT_SETTINGS);
  return {
    title: "libvirt's settings",
    concerns: 'libvirt',
    plan: async () =>
      (await differing(setting)).map(
        ({ path }) => `let libvirt ask polkit about every call: ${Object.keys(LIBVIRT_SETTINGS).join(', ')} in ${path}`,
      ),
    async apply() {
      for (const { path, text, wanted } of await differing(setting)) {
        const backup = `${path}.before-hyper-nixos`;
        if (!(await isThere(backup))) await replaceFile(backup, text, 0o600);
        await replaceFile(path, wanted, 0o644);
      }
    },
    undoPlan: async () => (await differing(withoutSettings)).map(({ path }) => `take our settings out of ${path}`),
    async undo() {
      for (const { path, wanted } of await differing(withoutSettings)) {
        await replaceFile(path, wanted, 0o644);
        await removeFile(`${path}.before-hyper-nixos`);
      }
    },
  };
}

function socketDropIns(): Step {
  const dropIns = LIBVIRT_DAEMONS.flatMap((name) => [`${name}.socket`, `${name}-ro.socket`]).map((unit) => ({
    unit,
    path: `/etc/systemd/system/${unit}.d/hyper-nixos.conf`,
  }));
  const isUnit = async (unit: string) =>
    (await Promise.all(['/usr/lib', '/lib', '/etc'].map((root) => isThere(`${root}/systemd/system/${unit}`)))).includes(
      true,
    );
  const stale = async () => {
    const found = await Promise.all(
      dropIns.map(async (each) => ({ ...each, is: await isUnit(each.unit), text: await textOf(each.path) })),
    );
    return found.filter(({ is, text }) => is && text !== SOCKET_DROP_IN).map(({ path }) => path);
  };
  const present = () =>
    existing(
      dropIns.map(({ path }) => path),
      textOf,
    );
  return {
    title: "modes of libvirt's sockets",
    concerns: 'libvirt',
    plan: async () => (await stale()).map((path) => `let only ${HOST_GROUPS.door} knock: ${path}`),
    async apply() {
      for (const path of await stale()) await replaceFile(path, SOCKET_DROP_IN, 0o644);
    },
    undoPlan: async () => (await present()).map((path) => `remove ${path}`),
    async undo() {
      for (const path of await present()) await removeFile(path);
    },
  };
}

/** Every path below that belongs to `uid`, folders first. Links are not followed. Logs of serial ports are virtlogd's, which is root:
 *  hyperd takes them over when a VM starts. */
async function* ownedBy(path: string, uid: number): AsyncGenerator<string> {
  const found = await lstat(path);
  if (found.uid === uid) yield path;
  if (!found.isDirectory() || (uid === 0 && basename(path) === 'serial')) return;
  for (const name of await readdir(path)) yield* ownedBy(join(path, name), uid);
}

async function firstOf(paths: AsyncGenerator<string>): Promise<string | null> {
  for await (const path of paths) return path;
  return null;
}

function stateFolder({ stateDir }: SetupOptions): Step {
  const isRoots = async (folder: string) => (await isThere(folder)) && (await firstOf(ownedBy(folder, 0))) !== null;
  return {
    title: 'the state folder',
    concerns: 'hyperd',
    async plan() {
      if (!(await isThere(stateDir))) return [`make ${stateDir} for ${HYPER_USER}`];
      return (await isRoots(stateDir)) ? [`give what root owns in ${stateDir} to ${HYPER_USER}`] : [];
    },
    async apply(note) {
      const hyper = await accountOf(HYPER_USER);
      if (hyper === null) throw new TypeError('the user is made before');
      await note((record) => ({ ...record, folders: union(record.folders, [stateDir]) }));
      if (!(await isThere(stateDir))) await mkdir(stateDir, { recursive: true, mode: 0o711 });
      // Files of running guests are QEMU's for now; libvirt gives them back to whom they belonged.
      for await (const path of ownedBy(stateDir, 0)) await lchown(path, hyper.uid, hyper.gid);
    },
    async undoPlan(record) {
      const hyper = await accountOf(HYPER_USER);
      if (hyper === null) return [];
      return (
        await existing(union(record.folders, [stateDir]), (folder) => isThere(folder).then((is) => is || null))
      ).map((folder) => `give what ${HYPER_USER} owns in ${folder} back to root`);
    },
    async undo(record) {
      const hyper = await accountOf(HYPER_USER);
      if (hyper === null) return;
      for (const folder of union(record.folders, [stateDir])) {
        if (!(await isThere(folder))) continue;
        for await (const path of ownedBy(folder, hyper.uid)) await lchown(path, 0, 0);
      }
    },
  };
}
