/** A host with a fence, for tests: a libvirtd that asks a polkitd of its own, people in all roles, two projects with a VM each and a network.
 *  Needs root; the machine's own users, rules and libvirt are not touched. */

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatedDenyRules, generatedRules } from '#features/fence/generated-rules.ts';
import { filterDocuments } from '#features/networks/filter-documents.ts';
import type { FenceClientAnswer, FenceClientInput } from './fence-client.ts';
import { type PrivateLibvirtd, type PrivatePolkit, startPrivateLibvirtd } from './libvirtd.ts';

const CLIENT = new URL('fence-client.ts', import.meta.url).pathname;

export const USERS = {
  hyper: { uid: 5001, groups: ['hyper-libvirt', 'hyper-admin', 'hyper-operator', 'libvirt-qemu', 'kvm'] },
  /** hyper-admin */
  ada: { uid: 5002, groups: ['hyper-libvirt', 'hyper-admin'] },
  /** hyper-operator */
  opal: { uid: 5003, groups: ['hyper-libvirt', 'hyper-operator'] },
  /** member of project 3 */
  pia: { uid: 5004, groups: ['hyper-libvirt', 'hv-p3'] },
  /** nothing of ours, but in libvirt's own group */
  lib: { uid: 5005, groups: ['libvirt'] },
  /** for rules that a test makes up */
  mallory: { uid: 5006, groups: [] },
  'hv-p3': { uid: 5103, groups: [] },
  'hv-p4': { uid: 5104, groups: [] },
  nobody: { uid: 65_534, groups: null },
  root: { uid: 0, groups: null },
} as const;
export type FenceUser = keyof typeof USERS;

const DOOR_GID = 5012;
const GROUPS = { 'hyper-admin': 5010, 'hyper-operator': 5011, 'hyper-libvirt': DOOR_GID };

export const UUIDS = {
  'p3-web': '5a3c0e8a-0d0c-4a53-8a43-000000000003',
  'p4-web': '5a3c0e8a-0d0c-4a53-8a43-000000000004',
} as const;

export const RULES = { '50-hyper-nixos.rules': generatedRules(), '99-hyper-nixos-deny.rules': generatedDenyRules() };

export interface Ran {
  readonly code: number;
  readonly text: string;
}

export interface FenceHost {
  readonly libvirtd: PrivateLibvirtd;
  /** Runs a program inside as that user. `isInDoor` puts the process, not the user, into the group of the sockets. */
  as(user: FenceUser, argv: readonly string[], options?: { readonly isInDoor?: boolean }): Promise<Ran>;
  virsh(user: FenceUser, ...args: readonly string[]): Promise<Ran>;
  /** Our own client, as that user. */
  client(user: FenceUser, input: FenceClientInput): Promise<readonly FenceClientAnswer[]>;
  /** By root: makes sure that the domain is on or off. */
  put(domain: string, state: 'on' | 'off'): Promise<void>;
  isOn(domain: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Path inside of the file that holds the definition of a domain, for `define`. */
export const definitionPath = (domain: string): string => `/var/lib/libvirt/${domain}.xml`;

function definition(name: keyof typeof UUIDS): string {
  return `<domain type='qemu'><name>${name}</name><uuid>${UUIDS[name]}</uuid><memory>65536</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='network'><source network='isolated'/>
<filterref filter='hyper-mac-ip'><parameter name='CTRL_IP_LEARNING' value='dhcp'/></filterref></interface>
<graphics type='vnc' passwd='secret'><listen type='socket'/></graphics><serial type='pty'/></devices></domain>`;
}

export async function startFenceHost(
  options: { readonly rules?: PrivatePolkit['rules']; readonly socketGroup?: string } = {},
): Promise<FenceHost> {
  const libvirtd = await startPrivateLibvirtd({
    qemuConf: 'user = "root"\nremember_owner = 0',
    polkit: {
      users: Object.entries(USERS).flatMap(([name, { uid, groups }]) =>
        groups === null ? [] : [{ name, uid, groups }],
      ),
      groups: GROUPS,
      rules: options.rules ?? RULES,
      ...(options.socketGroup === undefined ? {} : { socketGroup: options.socketGroup }),
    },
  });
  const as: FenceHost['as'] = (user, argv, { isInDoor = false } = {}) => {
    const { uid } = USERS[user];
    const [program, ...args] = libvirtd.inside(argv, { uid, ...(isInDoor ? { groups: [DOOR_GID] } : {}) });
    return new Promise((resolve, reject) => {
      const child = execFile(program, args, { timeout: 60_000, cwd: '/' }, (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error);
        else resolve({ code: child.exitCode ?? 0, text: `${stdout}${stderr}` });
      });
    });
  };
  const virsh: FenceHost['virsh'] = (user, ...args) => as(user, ['virsh', '-q', '-c', 'qemu:///system', ...args]);
  const asRoot = async (...args: readonly string[]) => {
    const { code, text } = await virsh('root', ...args);
    if (code !== 0) throw new Error(text);
    return text;
  };
  const isOn = async (domain: string) => (await asRoot('domstate', domain)).trim() !== 'shut off';
  try {
    const network = `<network><name>isolated</name><bridge name='hvfence0'/></network>`;
    await writeFile(join(libvirtd.dir, 'lib/isolated.xml'), network);
    await asRoot('net-define', '/var/lib/libvirt/isolated.xml');
    await asRoot('net-start', 'isolated');
    for (const { name, xml } of filterDocuments({ addresses: ['192.0.2.1'], ports: [8080], edition: 0 })) {
      await writeFile(join(libvirtd.dir, `lib/${name}.xml`), xml(null));
      await asRoot('nwfilter-define', `/var/lib/libvirt/${name}.xml`);
    }
    for (const name of ['p3-web', 'p4-web'] as const) {
      await writeFile(join(libvirtd.dir, `lib/${name}.xml`), definition(name));
      await asRoot('define', definitionPath(name));
    }
  } catch (error) {
    await libvirtd.close();
    throw error;
  }
  return {
    libvirtd,
    as,
    virsh,
    async client(user, input) {
      const { code, text } = await as(user, [process.execPath, CLIENT, JSON.stringify(input)]);
      if (code !== 0) throw new Error(text);
      return text
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line));
    },
    async put(domain, state) {
      if ((await isOn(domain)) === (state === 'on')) {
        if (state === 'on' && (await asRoot('domstate', domain)).trim() === 'paused') await asRoot('resume', domain);
        return;
      }
      await asRoot(state === 'on' ? 'start' : 'destroy', domain);
    },
    isOn,
    close: () => libvirtd.close(),
  };
}
