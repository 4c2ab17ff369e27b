/** Disks with file systems in them, made without root, loop devices or mounts: each file system in a file, then put into partitions. */

import { mkdir, open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '#kernel/units.ts';
import type { ApplianceImage } from '#platform/appliance/index.ts';
import { packCpio } from '#platform/hello-disk/cpio.ts';
import { runChecked } from '#platform/process.ts';

const TIMEOUT_MS = 60_000;

async function empty(path: string, sizeMib: number): Promise<string> {
  await (await open(path, 'w')).close();
  await truncate(path, sizeMib * MIB);
  return path;
}

/** What every file system holds, as far as it can. */
export const CONTENT = {
  text: 'a file of a guest\n',
  /** No UTF-8. */
  oddName: Buffer.from([0x6f, 0x64, 0x64, 0xff, 0xfe]),
  big: Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * 7919) % 251)),
  sparseBytes: 40 * MIB,
} as const;

/** The folder that `mke2fs -d` and others copy. */
export async function contentTree(folder: string): Promise<string> {
  await mkdir(join(folder, 'etc/deep/er'), { recursive: true });
  await writeFile(join(folder, 'etc/hostname'), CONTENT.text);
  await writeFile(join(folder, 'etc/deep/er/big.bin'), CONTENT.big);
  await writeFile(Buffer.concat([Buffer.from(`${folder}/etc/`), CONTENT.oddName]), 'odd');
  await writeFile(join(folder, 'etc', 'line\nbreak'), 'broken');
  await writeFile(join(folder, 'etc', 'ümläut – €.txt'), 'utf-8');
  await symlink('/etc/hostname', join(folder, 'absolute'));
  await symlink('../../../../../../etc/passwd', join(folder, 'outside'));
  await symlink('loop', join(folder, 'loop'));
  await symlink('etc', join(folder, 'to-folder'));
  await empty(join(folder, 'sparse'), CONTENT.sparseBytes / MIB);
  await runChecked(['mkfifo', join(folder, 'pipe')], { timeoutMs: TIMEOUT_MS });
  return folder;
}

export type FileSystem = 'ext4' | 'vfat' | 'xfs' | 'btrfs' | 'ntfs' | 'luks' | 'swap';

/** An image with the tree in it as far as the kind allows. */
export async function fileSystemImage(path: string, kind: FileSystem, tree: string): Promise<string> {
  const make = (...argv: readonly string[]) => runChecked(argv, { timeoutMs: TIMEOUT_MS });
  switch (kind) {
    case 'ext4':
      await empty(path, 64);
      await make('mke2fs', '-q', '-t', 'ext4', '-L', 'root fs', '-d', tree, path);
      break;
    case 'vfat':
      await empty(path, 40);
      await make('mkfs.vfat', '-F', '32', '-n', 'ESP', path);
      await make('mmd', '-i', path, '::etc');
      await make('mcopy', '-i', path, join(tree, 'etc/hostname'), '::etc/hostname');
      await make('mcopy', '-i', path, join(tree, 'etc/ümläut – €.txt'), '::etc/long name with blanks.txt');
      break;
    case 'xfs': {
      await empty(path, 300);
      const protofile = `${path}.proto`;
      await writeFile(
        protofile,
        `/\n0 0\nd--755 0 0\netc d--755 0 0\nhostname ---644 0 0 ${join(tree, 'etc/hostname')}\nbig.bin ---600 1000 1000 ${join(tree, 'etc/deep/er/big.bin')}\n$\nabsolute l--777 0 0 /etc/hostname\n$\n`,
      );
      await make('mkfs.xfs', '-q', '-p', protofile, path);
      break;
    }
    case 'btrfs':
      await empty(path, 128);
      await make('mkfs.btrfs', '-q', '--rootdir', tree, path);
      break;
    case 'ntfs':
      await empty(path, 24);
      await make('mkntfs', '-F', '-q', '-p', '0', '-s', '512', '-H', '0', '-S', '0', '-L', 'Windows', path);
      await make('ntfscp', path, join(tree, 'etc/hostname'), 'hostname.txt');
      break;
    case 'luks':
      await empty(path, 24);
      await runChecked(
        ['cryptsetup', 'luksFormat', '--batch-mode', '--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', path],
        { timeoutMs: TIMEOUT_MS, stdin: 'secret' },
      );
      break;
    case 'swap':
      await empty(path, 4);
      await make('mkswap', path);
      break;
  }
  return path;
}

/** A disk with these images as its partitions. */
export async function partitionedDisk(path: string, label: 'gpt' | 'dos', images: readonly string[]): Promise<string> {
  const sizes: number[] = [];
  for (const image of images) {
    const file = await open(image, 'r');
    sizes.push(Math.ceil((await file.stat()).size / MIB));
    await file.close();
  }
  await empty(
    path,
    sizes.reduce((sum, size) => sum + size, 2),
  );
  let at = 1;
  const lines: string[] = [];
  for (const size of sizes) {
    lines.push(`start=${at * 2048}, size=${size * 2048}`);
    at += size;
  }
  await runChecked(['sfdisk', '--quiet', path], {
    timeoutMs: TIMEOUT_MS,
    stdin: [`label: ${label}`, ...lines, ''].join('\n'),
  });
  at = 1;
  for (const [n, image] of images.entries()) {
    await runChecked(['dd', `if=${image}`, `of=${path}`, 'bs=1M', `seek=${at}`, 'conv=notrunc,sparse', 'status=none'], {
      timeoutMs: TIMEOUT_MS,
    });
    at += sizes[n] ?? 0;
  }
  return path;
}

/** A disk that is a physical volume of the group `system`, with an image as its logical volume `root`. LVM works in a guest: on the host it
 *  would need block devices, and take note of them. */
export async function volumeGroupDisk(path: string, image: string, guest: ApplianceImage): Promise<string> {
  await empty(path, 96);
  const script = `#!/bin/busybox sh
export PATH=/bin LD_LIBRARY_PATH=/lib
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox modprobe -a virtio_pci virtio_blk dm_mod
lvm pvcreate --yes /dev/vda && lvm vgcreate system /dev/vda && lvm lvcreate --yes --wipesignatures n --zero n --size 72m --name root system
lvm vgmknodes
/bin/busybox dd if=/dev/vdb of=/dev/mapper/system-root bs=1M && /bin/busybox sync && echo MADE-IT >/dev/ttyS0
/bin/busybox poweroff -f
`;
  const initrd = `${path}.cpio`;
  const own = packCpio([{ kind: 'file', path: 'make-group', content: Buffer.from(script), mode: 0o755 }]);
  await writeFile(initrd, Buffer.concat([await readFile(guest.initrd), own]));
  const drive = (file: string) => ['-drive', `file=${file},format=raw,if=virtio`];
  const { stdout } = await runChecked(
    [
      ...['qemu-system-x86_64', '-nodefaults', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
      ...['-machine', 'q35', '-accel', 'tcg', '-cpu', 'qemu64,+rdrand', '-m', '256'],
      ...['-kernel', guest.kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet panic=-1 rdinit=/make-group'],
      ...drive(path),
      ...drive(image),
    ],
    { timeoutMs: 2 * TIMEOUT_MS },
  );
  if (!stdout.includes('MADE-IT')) throw new Error(`the volume group was not made:\n${stdout.slice(-2000)}`);
  await rm(initrd);
  return path;
}
