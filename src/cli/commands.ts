/** Every noun of the command line: one line each. A noun's file is loaded only when it is used. */

import type { Command } from './command.ts';

interface NounFile {
  readonly commands: readonly Command[];
}

export interface Noun {
  readonly name: string;
  readonly summary: string;
  load(): Promise<NounFile>;
}

export const NOUNS: readonly Noun[] = [
  { name: 'status', summary: 'what runs here, at a glance', load: () => import('./status.ts') },
  { name: 'vm', summary: 'virtual machines: create, power, edit, consoles', load: () => import('./vm.ts') },
  { name: 'image', summary: 'ISOs and cloud images', load: () => import('./image.ts') },
  { name: 'network', summary: 'networks and bridges', load: () => import('./network.ts') },
  { name: 'pool', summary: 'storage pools', load: () => import('./pool.ts') },
  { name: 'project', summary: 'tenants: their VMs, and what they may use', load: () => import('./project.ts') },
  { name: 'quota', summary: 'limits of projects, and what is used of them', load: () => import('./quota.ts') },
  { name: 'trash', summary: 'deleted VMs that can be restored', load: () => import('./trash.ts') },
  { name: 'backup', summary: 'restore points of VMs', load: () => import('./backup.ts') },
  { name: 'repo', summary: 'where backups lie', load: () => import('./repo.ts') },
  { name: 'op', summary: 'operations: long work and its progress', load: () => import('./op.ts') },
  { name: 'channel', summary: 'where messages about alerts go', load: () => import('./channel.ts') },
  { name: 'silence', summary: 'planned quiet', load: () => import('./silence.ts') },
  { name: 'notice', summary: 'messages: sent, waiting, given up', load: () => import('./notice.ts') },
  { name: 'alert', summary: 'what is wrong', load: () => import('./alert.ts') },
  { name: 'rule', summary: 'what counts as wrong', load: () => import('./rule.ts') },
  { name: 'heal', summary: 'what hyperd mends by itself', load: () => import('./heal.ts') },
  {
    name: 'verify',
    summary: 'whether restore points restore: proofs and their evidence',
    load: () => import('./verify.ts'),
  },
  { name: 'audit', summary: 'who did what', load: () => import('./audit.ts') },
  {
    name: 'preflight',
    summary: 'check this machine: KVM, libvirt, QEMU, memory, disks',
    load: () => import('./preflight.ts'),
  },
  { name: 'health', summary: 'what is looked at all the time, and what is wrong', load: () => import('./health.ts') },
  { name: 'doctor', summary: 'whether the second fence stands', load: () => import('./doctor.ts') },
  { name: 'host', summary: 'hosts and their load', load: () => import('./host.ts') },
  {
    name: 'metrics',
    summary: 'figures, their history, and how long the space will last',
    load: () => import('./metrics.ts'),
  },
  { name: 'user', summary: 'people, and what they may do', load: () => import('./user.ts') },
  { name: 'group', summary: 'users who get the same rights', load: () => import('./group.ts') },
  { name: 'role', summary: 'lists of permissions', load: () => import('./role.ts') },
  { name: 'grant', summary: 'who holds which role where', load: () => import('./grant.ts') },
  { name: 'token', summary: 'API tokens for scripts', load: () => import('./token.ts') },
  { name: 'login', summary: 'sign in with an SSH key, here or to another machine', load: () => import('./login.ts') },
  { name: 'logout', summary: 'end the session on another machine', load: () => import('./logout.ts') },
  { name: 'session', summary: 'who is signed in', load: () => import('./session.ts') },
  { name: 'system', summary: 'sign-in links, the demo guest, the second fence', load: () => import('./system.ts') },
  { name: 'completion', summary: 'completion for bash, zsh and fish', load: () => import('./completion.ts') },
];

/** Words after `hv` that the launcher itself answers. */
export const LAUNCHER_WORDS: readonly (readonly [name: string, summary: string])[] = [
  ['up', 'install what is missing and start everything'],
  ['down', 'stop what `hv up` started'],
  ['test', 'run the tests'],
];

/** The commands of all nouns, for help, completion and the reference. */
export async function loadAll(): Promise<readonly Command[]> {
  const files = await Promise.all(NOUNS.map((noun) => noun.load()));
  return files.flatMap(({ commands }) => commands);
}
