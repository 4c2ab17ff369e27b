/** Puts the guests' first file systems together: busybox, the guest agent with its libraries, drivers and the scripts in `guest/`. */

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { runChecked } from '../process.ts';
import { type ArchiveEntry, packCpio } from './cpio.ts';
import type { GuestKernel } from './kernel.ts';
import { cached, isReadableFile, type PackageSource, sharedLibrariesOf, signalOf, unpackPackages } from './packages.ts';

const GUEST_SCRIPTS = join(import.meta.dirname, 'guest');

/** Where each script of `guest/` goes, and whether it is a program. */
const SCRIPTS = [
  { name: 'inittab', path: 'etc/inittab', mode: 0o644 },
  { name: 'profile', path: 'etc/profile', mode: 0o644 },
  { name: 'motd', path: 'etc/hello/motd', mode: 0o644 },
  { name: 'start', path: 'etc/hello/start', mode: 0o755 },
  { name: 'stop', path: 'etc/hello/stop', mode: 0o755 },
  { name: 'ready', path: 'etc/hello/ready', mode: 0o755 },
  { name: 'agent', path: 'etc/hello/agent', mode: 0o755 },
  { name: 'network', path: 'etc/hello/network', mode: 0o755 },
  { name: 'lease', path: 'etc/hello/lease', mode: 0o755 },
  { name: 'serial', path: 'etc/hello/serial', mode: 0o755 },
  { name: 'screen', path: 'etc/hello/screen', mode: 0o755 },
  { name: 'header', path: 'etc/hello/header', mode: 0o755 },
  { name: 'power-button', path: 'etc/acpi/PWRF/00000080', mode: 0o755 },
  { name: 'shutdown', path: 'sbin/shutdown', mode: 0o755 },
] as const;

const FOLDERS = ['data', 'dev', 'proc', 'root', 'run', 'sys', 'tmp', 'var', 'usr/lib'];

/** The initial memory disk of the hello guest, zstd-compressed.
 *  @throws unavailable */
export async function helloInitramfs(source: PackageSource, kernel: GuestKernel): Promise<Buffer> {
  const busybox = await staticBusybox(source);
  const agent = await guestAgent(source);
  const libraries = await sharedLibrariesOf(agent, source);
  const entries: ArchiveEntry[] = [
    ...FOLDERS.map((path): ArchiveEntry => ({ kind: 'folder', path })),
    await program('bin/busybox', busybox),
    ...(await appletLinks(busybox, source)),
    { kind: 'link', path: 'init', target: 'bin/busybox' },
    await program('usr/sbin/qemu-ga', agent),
    ...(await Promise.all(libraries.map((path) => program(path.slice(1), path)))),
    ...(await Promise.all(kernel.modules.map((path) => program(`lib/modules/${basename(path)}`, path)))),
    text('lib/modules/order', kernel.modules.map((path) => `${basename(path)}\n`).join('')),
    text('etc/passwd', 'root::0:0:root:/root:/bin/sh\n'),
    text('etc/group', 'root:x:0:\n'),
    text('etc/hostname', 'hello\n'),
    text('etc/hosts', '127.0.0.1 localhost hello\n'),
    text(
      'etc/os-release',
      `ID=hello\nNAME="Hyper-NixOS hello guest"\nPRETTY_NAME="Hyper-NixOS hello guest (Linux ${kernel.release})"\n`,
    ),
    ...(await Promise.all(SCRIPTS.map(({ name, path, mode }) => program(path, join(GUEST_SCRIPTS, name), mode)))),
  ];
  return zstdCompressSync(packCpio(entries));
}

/** The initial memory disk of the micro-guest: busybox and one script. Not compressed, so that any kernel takes it. */
export async function microInitramfs(source: PackageSource): Promise<Buffer> {
  return packCpio([
    { kind: 'folder', path: 'dev' },
    { kind: 'folder', path: 'proc' },
    await program('bin/busybox', await staticBusybox(source)),
    await program('init', join(GUEST_SCRIPTS, 'micro-init')),
  ]);
}

async function program(path: string, from: string, mode = 0o755): Promise<ArchiveEntry> {
  return { kind: 'file', path, content: await readFile(from), mode };
}

function text(path: string, content: string): ArchiveEntry {
  return { kind: 'file', path, content: Buffer.from(content) };
}

/** The host's busybox when it needs no libraries, else the one of the package busybox-static. */
async function staticBusybox(source: PackageSource): Promise<string> {
  for (const path of ['/usr/bin/busybox', '/bin/busybox']) {
    if ((await isReadableFile(path)) && (await sharedLibrariesOf(path, source)).length === 0) return path;
  }
  const entry = await cached(source, 'busybox', async (folder) => {
    await unpackPackages(source, ['busybox-static'], folder);
    return { suffix: '' };
  });
  const merged = join(entry, 'usr/bin/busybox');
  return (await isReadableFile(merged)) ? merged : join(entry, 'bin/busybox');
}

async function guestAgent(source: PackageSource): Promise<string> {
  const entry = await cached(source, 'agent', async (folder) => {
    await unpackPackages(source, ['qemu-guest-agent'], folder);
    return { suffix: '' };
  });
  return join(entry, 'usr/sbin/qemu-ga');
}

async function appletLinks(busybox: string, source: PackageSource): Promise<ArchiveEntry[]> {
  const { stdout } = await runChecked([busybox, '--list-full'], { timeoutMs: 10_000, ...signalOf(source) });
  return stdout
    .split('\n')
    .filter((path) => path !== '' && path !== 'linuxrc' && !path.endsWith('/busybox'))
    .map((path) => ({ kind: 'link', path, target: '/bin/busybox' }));
}
