/** Programs of the appliance and the libraries that they need, from the distribution's packages and from the host: collected once into
 *  a folder of the cache, as they lie in the appliance. Nothing is installed. */

import { chmod, copyFile, mkdir, readdir } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { AppError } from '#kernel/errors.ts';
import {
  cached,
  isReadableFile,
  type PackageSource,
  requiredPackages,
  sharedLibrariesOf,
  signalOf,
  unpackPackages,
} from '../hello-disk/packages.ts';
import { runChecked } from '../process.ts';

/** Not on every host, and not to be installed on one: lvm2 would take up the volume groups of guests. */
const PACKAGES = ['btrfs-progs', 'dosfstools', 'lvm2', 'ntfs-3g', 'xfsprogs'];
/** Libraries of these that no program below uses. */
const NOT_WANTED = /^lib(?:c6|gcc|icu|systemd|elogind|gnutls)/;

const PROGRAMS = [
  'blkid',
  'btrfs',
  'busybox',
  'e2fsck',
  'fsck.fat',
  'lvm',
  'ntfs-3g',
  'ntfsfix',
  'perl',
  'xfs_repair',
] as const;

const FOLDERS = ['usr/bin', 'usr/sbin', 'bin', 'sbin'];

/** The folder: `bin`, `lib` and `lib/perl`.
 *  @throws unavailable naming what cannot be had */
export async function applianceTools(source: PackageSource): Promise<string> {
  return cached(source, 'appliance-tools', async (folder, scratch) => {
    const root = join(scratch, 'packages');
    await unpackPackages(source, await requiredPackages(source, PACKAGES, NOT_WANTED), root);
    for (const name of ['bin', 'lib', 'lib/perl']) await mkdir(join(folder, name));
    const libraryPath = (await libraryFolders(root)).join(delimiter);
    for (const name of PROGRAMS) {
      const program = await find(name, [root, '/']);
      await copyFile(program, join(folder, 'bin', name));
      await chmod(join(folder, 'bin', name), 0o755);
      for (const library of await sharedLibrariesOf(program, source, libraryPath))
        await copyFile(library, join(folder, 'lib', basename(library)));
    }
    await copyPerlFiles(join(folder, 'bin/perl'), join(folder, 'lib/perl'), source);
    return { suffix: '' };
  });
}

async function find(name: string, roots: readonly string[]): Promise<string> {
  for (const root of roots)
    for (const folder of FOLDERS) {
      const path = join(root, folder, name);
      if (await isReadableFile(path)) return path;
    }
  throw new AppError('unavailable', {
    detail: `The program ${name} for reading file systems is not on this machine.`,
    hint: 'Install the packages `perl-base`, `e2fsprogs`, `util-linux` and `busybox-static`.',
  });
}

async function libraryFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const place of ['lib', 'usr/lib'])
    for (const entry of await readdir(join(root, place), { withFileTypes: true }).catch(() => [])) // not every package has both
      if (entry.isDirectory() && entry.name.includes('linux-gnu')) found.push(join(root, place, entry.name));
  return found;
}

/** What of its library the agent names. */
async function copyPerlFiles(perl: string, folder: string, source: PackageSource): Promise<void> {
  const script = 'use strict; use warnings; use constant; print map { "$_\\0$INC{$_}\\n" } keys %INC';
  const { stdout } = await runChecked([perl, '-e', script], { timeoutMs: 10_000, ...signalOf(source) });
  for (const line of stdout.split('\n').filter(Boolean)) {
    const [name = '', path = ''] = line.split('\0');
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await copyFile(path, join(folder, name));
  }
}
