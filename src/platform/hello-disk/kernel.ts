/** The guests' kernel and the drivers that they load, taken from the distribution's kernel package and kept in the cache. */

import { copyFile, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { AppError } from '#kernel/errors.ts';
import { runChecked } from '../process.ts';
import { cached, kernelPackages, type PackageSource, signalOf, unpackPackages } from './packages.ts';

export interface GuestKernel {
  /** Compressed kernel image, as a boot loader or `qemu -kernel` takes it. */
  readonly image: string;
  /** Kernel release, as `6.1.0-56-cloud-amd64`. */
  readonly release: string;
  /** Driver files, uncompressed, each after those it depends on. */
  readonly modules: readonly string[];
}

/** For the command line of each kernel of ours. While it starts, Linux counts whether its timer ticks. On an emulated processor that the
 *  host does not let run for some 40 ms in that moment it finds that the timer is broken, takes another way (seen in four of
 *  ten starts beside a busy host), and where the same happens to the other ways, it gives up: "IO-APIC + timer doesn't work". Under KVM
 *  Linux leaves the trial out by itself. Source: check_timer() in arch/x86/kernel/apic/io_apic.c. */
export const TRUST_TIMER = 'no_timer_check';

/** What the hello guest loads; a driver that its kernel has built in is left out. `prefix`: of the entry in the cache. */
const HELLO = {
  prefix: 'kernel-',
  drivers: [
    'virtio_pci',
    'virtio_blk',
    'virtio_console',
    'virtio_net',
    'virtio_balloon',
    'virtio_rng',
    'ext4',
    'evdev',
    'button',
  ],
};

/** A kernel with the drivers that a small guest wants.
 *  @throws unavailable when the package cannot be had or lacks a driver */
export async function guestKernel(
  source: PackageSource,
  { prefix, drivers }: { readonly prefix: string; readonly drivers: readonly string[] } = HELLO,
): Promise<GuestKernel> {
  const entry = await cached(source, prefix, async (folder, scratch) => {
    const root = join(scratch, 'packages');
    await unpackPackages(source, await kernelPackages(source), root);
    const release = (await readdir(join(root, 'boot')))
      .find((name) => name.startsWith('vmlinuz-'))
      ?.slice('vmlinuz-'.length);
    if (release === undefined) throw new AppError('unavailable', { detail: 'The kernel package holds no kernel' });
    await copyFile(join(root, 'boot', `vmlinuz-${release}`), join(folder, 'vmlinuz'));
    const order: string[] = [];
    for (const file of await moduleClosure(await modulesFolder(root, release), drivers, source)) {
      const name = basename(file);
      await copyFile(file, join(folder, name));
      order.push(name);
    }
    await writeFile(join(folder, 'order'), order.map((name) => `${name}\n`).join(''));
    return { suffix: release };
  });
  const order = (await readFile(join(entry, 'order'), 'utf8')).split('\n').filter(Boolean);
  return {
    image: join(entry, 'vmlinuz'),
    release: basename(entry).slice(prefix.length),
    modules: order.map((name) => join(entry, name)),
  };
}

/** Older packages keep modules in /lib, newer ones in /usr/lib. */
async function modulesFolder(root: string, release: string): Promise<string> {
  const places = await readdir(root);
  return join(root, places.includes('lib') ? 'lib' : 'usr/lib', 'modules', release);
}

async function moduleClosure(folder: string, drivers: readonly string[], source: PackageSource): Promise<string[]> {
  const files = new Map<string, string>();
  for (const path of await readdir(join(folder, 'kernel'), { recursive: true })) {
    if (/\.ko(\.xz|\.zst)?$/.test(path)) files.set(moduleName(path), join(folder, 'kernel', path));
  }
  const builtin = new Set((await readFile(join(folder, 'modules.builtin'), 'utf8')).split('\n').map(moduleName));
  const ordered = new Map<string, string>();
  const add = async (name: string): Promise<void> => {
    if (ordered.has(name) || builtin.has(name)) return;
    const packed = files.get(name);
    if (packed === undefined)
      throw new AppError('unavailable', { detail: `The kernel package lacks the driver ${name}` });
    const file = await unpackModule(packed, source);
    for (const needed of await moduleDependencies(file)) await add(needed);
    ordered.set(name, file);
  };
  for (const name of drivers) await add(name);
  return [...ordered.values()];
}

/** `kernel/drivers/char/hw_random/virtio-rng.ko.xz` is the module `virtio_rng`. */
export function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.xz|\.zst)?$/, '')
    .replaceAll('-', '_');
}

async function unpackModule(file: string, source: PackageSource): Promise<string> {
  if (file.endsWith('.ko')) return file;
  if (file.endsWith('.xz')) {
    await runChecked(['xz', '--decompress', file], { timeoutMs: 30_000, ...signalOf(source) });
    return file.slice(0, -'.xz'.length);
  }
  const target = file.slice(0, -'.zst'.length);
  await writeFile(`${target}.part`, zstdDecompressSync(await readFile(file)));
  await rename(`${target}.part`, target);
  return target;
}

/** What a driver needs. Reads `depends=a,b` out of the module's .modinfo section, which is a list of strings ending with NUL. */
export async function moduleDependencies(file: string): Promise<string[]> {
  const match = /\0depends=([a-zA-Z0-9_,-]*)\0/.exec((await readFile(file)).toString('latin1'));
  return (match?.[1] ?? '')
    .split(',')
    .filter(Boolean)
    .map((name) => name.replaceAll('-', '_'));
}
