/** Builds the bootable disk of the hello guest: MBR, a FAT16 partition with boot loader and kernel, an ext4 data partition.
 *  Plain files all the way: no loop device, no mount, no root. */

import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import { type RunOptions, runChecked } from '../process.ts';
import { TRUST_TIMER } from './kernel.ts';
import { signalOf } from './packages.ts';

export interface DiskContents {
  /** Kernel image file. */
  readonly kernel: string;
  readonly initramfs: Buffer;
}

const DISK_MIB = 64;
const BOOT = { startMib: 1, sizeMib: 36 } as const;
const DATA = { startMib: 37, sizeMib: 27 } as const;
const SECTORS_PER_MIB = MIB / 512;

/** Where Debian, Ubuntu and others keep the boot code for the master boot record. */
const MBR_CODE = ['/usr/lib/syslinux/mbr/mbr.bin', '/usr/lib/SYSLINUX/mbr.bin', '/usr/share/syslinux/mbr.bin'];

/** Command line of the hello guest's kernel. */
export const HELLO_WORDS = `console=tty0 console=ttyS0,115200 quiet loglevel=4 consoleblank=0 ${TRUST_TIMER}`;

const BOOT_CONFIG = `DEFAULT hello
PROMPT 0
LABEL hello
  KERNEL /vmlinuz
  INITRD /initrd
  APPEND ${HELLO_WORDS}
`;

/** Writes a raw disk of 64 MiB, sparse, to `rawPath`. `folder` is for the pieces and is left to the caller.
 *  @throws program_missing, program_failed, no_space */
export async function writeHelloDisk(
  rawPath: string,
  folder: string,
  contents: DiskContents,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  const limits: RunOptions = { timeoutMs: 60_000, ...signalOf(options) };
  const bootPath = join(folder, 'boot.img');
  const dataPath = join(folder, 'data.img');
  await makeBootPartition(bootPath, folder, contents, limits);
  await makeDataPartition(dataPath, folder, limits);

  await makeSparseFile(rawPath, DISK_MIB * MIB);
  await runChecked(['sfdisk', '--quiet', rawPath], {
    ...limits,
    stdin: [
      'label: dos',
      `start=${BOOT.startMib * SECTORS_PER_MIB}, size=${BOOT.sizeMib * SECTORS_PER_MIB}, type=6, bootable`,
      `start=${DATA.startMib * SECTORS_PER_MIB}, size=${DATA.sizeMib * SECTORS_PER_MIB}, type=83`,
      '',
    ].join('\n'),
  });
  const disk = await open(rawPath, 'r+');
  try {
    const code = await bootCode();
    await disk.write(code, 0, code.length, 0);
    for (const [path, { startMib }] of [
      [bootPath, BOOT],
      [dataPath, DATA],
    ] as const) {
      const bytes = await readFile(path);
      await disk.write(bytes, 0, bytes.length, startMib * MIB);
    }
    await disk.sync();
  } finally {
    await disk.close();
  }
}

async function makeBootPartition(
  path: string,
  folder: string,
  contents: DiskContents,
  limits: RunOptions,
): Promise<void> {
  const config = join(folder, 'syslinux.cfg');
  const initramfs = join(folder, 'initrd');
  await writeFile(config, BOOT_CONFIG);
  await writeFile(initramfs, contents.initramfs);
  await makeSparseFile(path, BOOT.sizeMib * MIB);
  // The boot loader finds its own sectors by the number of sectors before the partition.
  await runChecked(
    ['mkfs.vfat', '-F', '16', '-n', 'HELLO-BOOT', '-h', String(BOOT.startMib * SECTORS_PER_MIB), path],
    limits,
  );
  await runChecked(['mcopy', '-i', path, config, '::syslinux.cfg'], limits);
  await runChecked(['mcopy', '-i', path, contents.kernel, '::vmlinuz'], limits);
  await runChecked(['mcopy', '-i', path, initramfs, '::initrd'], limits);
  await runChecked(['syslinux', '--install', path], limits);
}

async function makeDataPartition(path: string, folder: string, limits: RunOptions): Promise<void> {
  const content = join(folder, 'data');
  await mkdir(content);
  await writeFile(join(content, 'README.txt'), await readFile(join(import.meta.dirname, 'guest', 'README.txt')));
  await writeFile(join(content, 'boots'), '0\n');
  await makeSparseFile(path, DATA.sizeMib * MIB);
  await runChecked(
    ['mke2fs', '-q', '-t', 'ext4', '-L', 'hello-data', '-E', 'root_owner=0:0', '-d', content, path],
    limits,
  );
}

async function makeSparseFile(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}

/** The first 440 bytes; what follows them in the sector is the partition table. */
async function bootCode(): Promise<Buffer> {
  for (const path of MBR_CODE) {
    const code = await readFile(path).catch(() => null); // the next place may have it
    if (code) return code.subarray(0, 440);
  }
  throw new AppError('program_missing', {
    detail: 'The boot code mbr.bin is not installed',
    hint: 'Install the package `syslinux-common` (`apt-get install syslinux-common`), or run `./hv up` which does.',
    params: { program: 'mbr.bin', package: 'syslinux-common' },
  });
}
