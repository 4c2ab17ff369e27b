/** The two small guests that the platform makes for itself from the distribution's packages: `hello`, the demonstration VM
 *  with a real disk, and the micro-guest that proves whether a hypervisor runs guests at all. x86-64 with BIOS. */

import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { runChecked } from '../process.ts';
import { writeHelloDisk } from './disk.ts';
import { helloInitramfs, microInitramfs } from './initramfs.ts';
import { guestKernel, TRUST_TIMER } from './kernel.ts';
import { isReadableFile, type PackageSource, signalOf } from './packages.ts';

export { HELLO_WORDS } from './disk.ts';

/** The line that the hello guest writes to its serial port when its data is mounted and its agent runs. */
export const HELLO_READY = 'HELLO-READY';

/** Memory that the hello guest needs. */
export const HELLO_MEMORY_MIB = 256;

export interface BuildHelloDiskOptions extends PackageSource {
  /** Absolute path of the qcow2 file to make; it appears there complete or not at all. */
  readonly outPath: string;
  /** Told the share done (0-1) and what happens now. */
  readonly onProgress?: (ratio: number, text: string) => void;
}

/** Makes the demonstration disk: 64 MiB virtual, about 20 MB of qcow2, bootable by BIOS from any bus that virtio-blk serves.
 *  About 2 s, plus 28 MB of packages the first time.
 *  @throws unavailable (packages), program_missing, program_failed, no_space, the signal's reason */
export async function buildHelloDisk(options: BuildHelloDiskOptions): Promise<void> {
  const progress = options.onProgress ?? (() => undefined);
  await mkdir(dirname(options.outPath), { recursive: true });
  const folder = await mkdtemp(join(dirname(options.outPath), '.hello-'));
  try {
    progress(0, 'getting the kernel');
    const kernel = await guestKernel(options);
    progress(0.5, 'packing the first file system');
    const initramfs = await helloInitramfs(options, kernel);
    options.signal?.throwIfAborted();
    progress(0.7, 'writing the disk');
    const raw = join(folder, 'hello.raw');
    await writeHelloDisk(raw, folder, { kernel: kernel.image, initramfs }, options);
    progress(0.9, 'converting to qcow2');
    const image = join(folder, 'hello.qcow2');
    await runChecked(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, image], {
      timeoutMs: 60_000,
      ...signalOf(options),
    });
    await rename(image, options.outPath);
    progress(1, 'done');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface MicroGuest {
  /** Paths for `qemu -kernel` and `-initrd`. */
  readonly kernel: string;
  readonly initrd: string;
}

/** Makes the micro-guest. Started with `microGuestCommandLine(token)` it prints `microGuestAnswer(token)` on its serial port
 *  and switches itself off. Prefers a kernel of the host, which needs no download.
 *  @throws unavailable when there is neither a readable kernel nor a package */
export async function buildMicroGuest(source: PackageSource): Promise<MicroGuest> {
  await mkdir(source.cacheDir, { recursive: true });
  const initrd = join(source.cacheDir, 'micro.cpio');
  const scratch = await mkdtemp(join(source.cacheDir, '.making-'));
  try {
    await writeFile(join(scratch, 'initrd'), await microInitramfs(source));
    await rename(join(scratch, 'initrd'), initrd);
    const kernel = (await hostKernel()) ?? (await guestKernel(source)).image;
    return { kernel, initrd };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** `quiet` keeps the kernel from printing its command line, and so the token, by itself. */
export function microGuestCommandLine(token: string): string {
  return `console=ttyS0 quiet panic=-1 ${TRUST_TIMER} hyper.token=${token}`;
}

/** What the micro-guest prints, on a line of its own. */
export function microGuestAnswer(token: string): string {
  return `HYPER-GUEST ${token}`;
}

async function hostKernel(): Promise<string | null> {
  const names = await readdir('/boot').catch(() => []); // NixOS has another /boot, containers have none
  for (const name of names
    .filter((candidate) => candidate.startsWith('vmlinuz-'))
    .sort()
    .reverse()) {
    const path = join('/boot', name);
    if (await isReadableFile(path)) return path;
  }
  return null;
}
