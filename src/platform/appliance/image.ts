/** Kernel and first file system of the appliance, made once and kept in the cache. */

import { createHash } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { newSecret } from '#kernel/ids.ts';
import { type ArchiveEntry, packCpio } from '../hello-disk/cpio.ts';
import { type GuestKernel, guestKernel, moduleDependencies, moduleName } from '../hello-disk/kernel.ts';
import { isReadableFile, type PackageSource } from '../hello-disk/packages.ts';
import { applianceTools } from './tools.ts';

export interface ApplianceImage {
  /** Paths for `qemu -kernel` and `-initrd`. */
  readonly kernel: string;
  readonly initrd: string;
}

const GUEST = join(import.meta.dirname, 'guest');

const KERNEL = {
  prefix: 'appliance-kernel-',
  drivers: [
    ...['virtio_pci', 'virtio_blk', 'virtio_console'],
    ...['ext4', 'xfs', 'btrfs', 'vfat', 'exfat', 'isofs', 'udf', 'fuse'],
    ...['nls_cp437', 'nls_iso8859_1', 'nls_utf8', 'nls_ascii', 'crc32c_generic'],
    ...['dm_mod', 'dm_snapshot', 'dm_mirror', 'dm_raid', 'dm_thin_pool'],
  ],
};

/** LVM without udev and without its list of devices. */
const LVM_CONFIG = `activation { udev_sync=0 udev_rules=0 thin_pool_autoextend_threshold=100 monitoring=0 }
devices { use_devicesfile=0 obtain_device_list_from_udev=0 }
global { locking_type=1 thin_check_executable="" }
backup { backup=0 archive=0 }
`;

/** @throws unavailable when a package cannot be had */
export async function applianceImage(source: PackageSource): Promise<ApplianceImage> {
  const kernel = await guestKernel(source, KERNEL);
  const tools = await applianceTools(source);
  const scripts = await Promise.all(['init', 'agent'].map((name) => readFile(join(GUEST, name))));
  const digest = createHash('sha256').update(kernel.release).update(LVM_CONFIG);
  for (const script of scripts) digest.update(script);
  const initrd = join(source.cacheDir, `appliance-${digest.digest('hex').slice(0, 16)}.cpio`);
  if (!(await isReadableFile(initrd))) {
    const half = `${initrd}.${newSecret().slice(0, 8)}`;
    await writeFile(half, packCpio(await entriesOf(kernel, tools, scripts)));
    await rename(half, initrd);
    await removeOlder(source.cacheDir, basename(initrd));
  }
  return { kernel: kernel.image, initrd };
}

/** Those of earlier versions of the program. */
async function removeOlder(folder: string, newest: string): Promise<void> {
  for (const name of await readdir(folder))
    if (/^appliance-[0-9a-f]{16}\.cpio$/.test(name) && name !== newest) await rm(join(folder, name), { force: true });
}

async function entriesOf(
  kernel: GuestKernel,
  tools: string,
  [init = Buffer.alloc(0), agent = Buffer.alloc(0)]: readonly Buffer[],
): Promise<ArchiveEntry[]> {
  const modules = `lib/modules/${kernel.release}`;
  const file = (path: string, content: Uint8Array, mode = 0o644): ArchiveEntry => ({
    kind: 'file',
    path,
    content,
    mode,
  });
  const text = (path: string, content: string) => file(path, Buffer.from(content));
  const entries: ArchiveEntry[] = [
    ...['dev', 'proc', 'run', 'sys', 'tmp', 'etc', 'var', 'm'].map((path): ArchiveEntry => ({ kind: 'folder', path })),
    file('init', init, 0o755),
    file('agent', agent, 0o755),
    text('etc/lvm/lvm.conf', LVM_CONFIG),
    { kind: 'link', path: 'lib64', target: 'lib' },
    { kind: 'link', path: 'sbin', target: 'bin' },
    { kind: 'link', path: 'bin/sh', target: 'busybox' },
    { kind: 'link', path: 'bin/modprobe', target: 'busybox' },
  ];
  for (const path of kernel.modules) entries.push(file(`${modules}/${basename(path)}`, await readFile(path)));
  entries.push(text(`${modules}/modules.dep`, await dependencyList(kernel.modules)));
  for (const entry of await readdir(tools, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    entries.push(file(relative(tools, path), await readFile(path), 0o755));
  }
  return entries;
}

/** As depmod writes it: each driver with all that it needs, the first to load last.
 *  @param paths each after those that it needs */
async function dependencyList(paths: readonly string[]): Promise<string> {
  const needs = new Map<string, ReadonlySet<string>>();
  for (const path of paths) {
    const names = (await moduleDependencies(path)).filter((name) => needs.has(name));
    needs.set(moduleName(path), new Set(names.flatMap((name) => [...(needs.get(name) ?? []), name])));
  }
  const files = new Map(paths.map((path) => [moduleName(path), basename(path)]));
  return [...needs]
    .map(
      ([name, below]) =>
        `${files.get(name)}: ${[...below]
          .reverse()
          .map((each) => files.get(each))
          .join(' ')}\n`,
    )
    .join('');
}
