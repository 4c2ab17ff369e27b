/** Real guests for tests: the hello disk and the micro-guest, made once per machine and kept in a cache, and a bare QEMU (TCG)
 *  that boots them without libvirt. Tests that want libvirt take `helloDiskCopy` and define a domain around it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { applianceImage } from '#platform/appliance/index.ts';
import { buildHelloDisk, buildMicroGuest, HELLO_WORDS, type MicroGuest } from '#platform/hello-disk/index.ts';
import { cached, unpackPackages } from '#platform/hello-disk/packages.ts';
import { runChecked } from '#platform/process.ts';

/** Where the guests are kept between test runs: outside of the repository, so that a clean checkout need not make them again. */
export const GUEST_CACHE =
  process.env['HV_TEST_CACHE'] ?? join(tmpdir(), `hyper-nixos-test-cache-${process.getuid?.() ?? 0}`);

/** The pristine hello disk (qcow2). Do not write to it: take a copy. Made again when its sources are newer. */
export async function helloDisk(): Promise<string> {
  const path = join(GUEST_CACHE, 'hello.qcow2');
  const [made, changed] = await Promise.all([modifiedMs(path), newestSourceMs()]);
  if (made !== null && made > changed) return path;
  await mkdir(GUEST_CACHE, { recursive: true });
  const folder = await mkdtemp(join(GUEST_CACHE, '.making-'));
  try {
    await buildHelloDisk({ outPath: join(folder, 'hello.qcow2'), cacheDir: join(GUEST_CACHE, 'packages') });
    await rename(join(folder, 'hello.qcow2'), path);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
  return path;
}

/** A disk of its own at `path`: a complete copy, no backing file. */
export async function helloDiskCopy(path: string): Promise<void> {
  const from = await helloDisk();
  await mkdir(dirname(path), { recursive: true });
  await runChecked(['cp', '--sparse=always', '--reflink=auto', from, path], { timeoutMs: 30_000 });
}

/** Lets a copy of the hello disk (raw) start by UEFI too: GRUB, where firmware looks on a disk that it was told nothing of. */
export async function withUefiLoader(path: string): Promise<void> {
  const source = { cacheDir: join(GUEST_CACHE, 'packages') };
  const grub = await cached(source, 'grub-efi', async (folder, scratch) => {
    await unpackPackages(source, ['grub-efi-amd64-bin'], scratch);
    await copyFile(join(scratch, 'usr/lib/grub/x86_64-efi/monolithic/grubx64.efi'), join(folder, 'loader.efi'));
    return { suffix: '' };
  });
  const config = `${path}.grub.cfg`;
  await writeFile(config, `linux /vmlinuz ${HELLO_WORDS}\ninitrd /initrd\nboot\n`);
  const inBoot = (...argv: [string, ...string[]]) => runChecked(argv, { timeoutMs: 20_000 });
  const partition = `${path}@@1M`;
  await inBoot('mmd', '-i', partition, '::EFI', '::EFI/BOOT', '::EFI/debian');
  await inBoot('mcopy', '-i', partition, join(grub, 'loader.efi'), '::EFI/BOOT/BOOTX64.EFI');
  await inBoot('mcopy', '-i', partition, config, '::EFI/debian/grub.cfg');
  await rm(config);
}

export async function microGuest(): Promise<MicroGuest> {
  return await buildMicroGuest({ cacheDir: join(GUEST_CACHE, 'packages') });
}

/** What reads file systems of restore points, made before a hyperd without a way to the package mirror wants it. @returns its folder */
export async function applianceParts(): Promise<string> {
  const cacheDir = join(GUEST_CACHE, 'packages');
  await applianceImage({ cacheDir });
  return cacheDir;
}

export interface BootedGuest extends AsyncDisposable {
  /** All that the guest wrote to its serial port so far. */
  serial(): string;
  /** Waits for text on the serial port; fails with what was there instead. */
  waitForSerial(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Writes to the serial port, as a person types. */
  type(text: string): void;
  /** One QMP command; resolves with its `return`. */
  qmp(command: string, args?: Record<string, unknown>): Promise<unknown>;
  /** One guest agent command; resolves with its `return`. */
  agent(command: string, args?: Record<string, unknown>): Promise<unknown>;
  /** Resolves with QEMU's exit status when the guest is gone. */
  readonly exited: Promise<number | null>;
}

export interface BootOptions {
  /** A qcow2 disk, attached with virtio-blk. */
  readonly disk?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly commandLine?: string;
  readonly memoryMib?: number;
}

/** Boots a guest under TCG with serial, agent channel and QEMU's own user network. Dispose kills it and removes its folder. */
export async function bootGuest(options: BootOptions): Promise<BootedGuest> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-guest-'));
  const socketPath = (name: string) => join(folder, `${name}.sock`);
  const channel = (name: string) => ['-chardev', `socket,id=${name},path=${socketPath(name)},server=on,wait=off`];
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...[
        '-machine',
        'q35,accel=tcg',
        '-cpu',
        'max',
        '-m',
        String(options.memoryMib ?? 256),
        '-display',
        'none',
        '-no-user-config',
      ],
      ...(options.disk === undefined ? [] : ['-drive', `file=${options.disk},format=qcow2,if=virtio`]),
      ...(options.kernel === undefined ? [] : ['-kernel', options.kernel]),
      ...(options.initrd === undefined ? [] : ['-initrd', options.initrd]),
      ...(options.commandLine === undefined ? [] : ['-append', options.commandLine]),
      ...['-netdev', 'user,id=net,restrict=on', '-device', 'virtio-net-pci,netdev=net,romfile='],
      ...['-device', 'virtio-serial-pci', ...channel('agent')],
      ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
      ...[...channel('serial'), '-serial', 'chardev:serial', ...channel('qmp'), '-mon', 'chardev=qmp,mode=control'],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const exited = exitOf(child);
  try {
    const serial = await connectText(socketPath('serial'));
    const qmp = await connectCommands(socketPath('qmp'));
    await qmp.call('qmp_capabilities');
    const agent = await connectCommands(socketPath('agent'));
    return {
      serial: serial.text,
      waitForSerial: (pattern, timeoutMs = 60_000) => serial.waitFor(pattern, timeoutMs),
      type: (text) => serial.socket.write(text),
      qmp: (command, args) => qmp.call(command, args),
      agent: (command, args) => agent.call(command, args),
      exited,
      [Symbol.asyncDispose]: () => dispose(child, exited, folder),
    };
  } catch (error) {
    await dispose(child, exited, folder);
    throw error;
  }
}

async function dispose(child: ChildProcess, exited: Promise<unknown>, folder: string): Promise<void> {
  child.kill('SIGKILL');
  await exited;
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, 'exit');
  return typeof code === 'number' ? code : null;
}

async function connectText(path: string) {
  const socket = await connect(path);
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('utf8');
  });
  return {
    socket,
    text: () => received,
    waitFor: async (pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> => {
      const deadline = performance.now() + timeoutMs;
      while (performance.now() < deadline) {
        const match = pattern.exec(received);
        if (match) return match;
        await delay(50);
      }
      throw new Error(
        `the guest did not print ${pattern} within ${timeoutMs} ms; it printed:\n${received.slice(-3000)}`,
      );
    },
  };
}

/** QMP and the guest agent both speak one JSON object a line; answers come in order. */
async function connectCommands(path: string) {
  const socket = await connect(path);
  const waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  let rest = '';
  socket.on('data', (chunk) => {
    rest += chunk.toString('utf8');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const message: Record<string, unknown> = JSON.parse(line);
      if ('return' in message) waiting.shift()?.resolve(message['return']);
      else if ('error' in message) waiting.shift()?.reject(new Error(JSON.stringify(message['error'])));
    }
  });
  socket.on('close', () => {
    for (const call of waiting.splice(0)) call.reject(new Error('the guest is gone'));
  });
  return {
    call: (command: string, args?: Record<string, unknown>) =>
      new Promise<unknown>((resolve, reject) => {
        waiting.push({ resolve, reject });
        socket.write(`${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}) })}\n`);
      }),
  };
}

async function connect(path: string): Promise<Socket> {
  for (let tries = 100; ; tries -= 1) {
    const socket = createConnection(path);
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (tries === 0) throw error;
      await delay(50); // QEMU has not made its sockets yet
    }
  }
}

async function modifiedMs(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.mtimeMs ?? null;
}

async function newestSourceMs(): Promise<number> {
  const folder = join(import.meta.dirname, '../../src/platform/hello-disk');
  const { stdout } = await runChecked(
    ['find', folder, '-type', 'f', '-not', '-name', '*.test.ts', '-printf', '%T@\\n'],
    { timeoutMs: 10_000 },
  );
  return Math.max(...stdout.split('\n').filter(Boolean).map(Number)) * 1000;
}

/** Reads a portable pixmap as QEMU's screendump writes it and returns how many different colours it has. */
export async function screenColours(path: string): Promise<number> {
  const bytes = await readFile(path);
  const header = /^P6\s+\d+\s+\d+\s+255\s/.exec(bytes.subarray(0, 40).toString('latin1'));
  const pixels = bytes.subarray(header?.[0].length ?? 0);
  const colours = new Set<number>();
  for (let at = 0; at + 2 < pixels.length; at += 3) colours.add(pixels.readUIntBE(at, 3));
  return colours.size;
}
