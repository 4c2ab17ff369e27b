/** A throw-away guest that reads disks of strangers: their file systems are parsed by its kernel, never by the host's nor by hyperd.
 *  QEMU runs in the sandbox without a network, reads the disks over our NBD server, writes to overlays that nobody keeps, and ends with us. */

import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { backupFileErrors } from '#contract/backup-files.ts';
import { AppError, messageOf, registerErrors } from '#kernel/errors.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { TRUST_TIMER } from '../hello-disk/kernel.ts';
import { type NbdSource, serveNbd } from '../nbd/index.ts';
import { runChecked } from '../process.ts';
import { runSandboxed } from '../sandbox.ts';
import type { ApplianceImage } from './image.ts';
import { createPort } from './port.ts';
import { createPool, type PortPool } from './port-pool.ts';

registerErrors(backupFileErrors);

export interface ApplianceOptions {
  readonly image: ApplianceImage;
  /** Made and removed; its path has room for a socket's name, which may have 107 bytes in all. */
  readonly folder: string;
  /** By name, as `vda`; at most 20 bytes each. */
  readonly disks: ReadonlyMap<string, NbdSource>;
  readonly accel: 'kvm' | 'tcg';
  readonly memoryMib: number;
  /** Questions at once. */
  readonly ports: number;
  /** All of its life. */
  readonly lifetimeMs: number;
  /** Of its start. */
  readonly signal: AbortSignal;
  /** Hears why a start failed that is tried once more. */
  onFailedStart(error: AppError): void;
  /** Hears why a disk could not be read; the guest sees an input/output error. */
  onReadError(disk: string, error: unknown): void;
}

export interface Appliance extends PortPool {
  /** Resolves with the reason when it is gone. */
  readonly ended: Promise<Error>;
  close(): Promise<void>;
}

/** QEMU beside the guest's memory. */
export const APPLIANCE_OVERHEAD_MIB = 160;

/** Emulated it is there after 5 s, on a host that does much else after 20. The second try has more time: slowness may have been why. */
const START_MS = 60_000;
const SECOND_START_MS = 120_000;
const MAKE_MS = 30_000;
/** What does not answer is killed, not asked to stop. */
const NEVER = new AbortController().signal;
/** Of an overlay: a journal that is brought to its end fits many times over. */
const MOST_WRITTEN_BYTES = GIB;
const CONSOLE_BYTES = 16 * 1024;
/** More than disks would need a further bus. */
const MOST_DISKS = 24;

/** Tries twice: an emulated guest now and then does not start, and what it reads is not why.
 *  @throws program_missing, sandbox_unavailable, file_reader_failed, no_space, the signal's reason */
export async function startAppliance(options: ApplianceOptions): Promise<Appliance> {
  try {
    return await startOnce(options, START_MS);
  } catch (error) {
    if (options.signal.aborted || !(error instanceof AppError) || error.code !== 'file_reader_failed') throw error;
    options.onFailedStart(error);
    return await startOnce(options, SECOND_START_MS);
  }
}

async function startOnce(options: ApplianceOptions, limitMs: number): Promise<Appliance> {
  const { folder, signal } = options;
  const stack = new AsyncDisposableStack();
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
    const disks = [...options.disks].slice(0, MOST_DISKS);
    const nbd = await serveNbd({
      socketPath: join(folder, 'nbd'),
      exports: new Map(disks),
      onReadError: options.onReadError,
    });
    stack.defer(() => nbd.close());
    for (const [n, [, { sizeBytes }]] of disks.entries())
      await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', join(folder, `${n}.qcow2`), String(sizeBytes)], {
        timeoutMs: MAKE_MS,
        signal,
      });

    const stop = new AbortController();
    let console = '';
    const consoleSocket = await listenFor(folder, 'console', stack);
    void consoleSocket.arrived.then((socket) =>
      socket.on('data', (bytes: Buffer) => {
        console = (console + bytes.toString('latin1')).slice(-CONSOLE_BYTES);
      }),
    );
    const listening = [];
    for (let n = 0; n < options.ports; n += 1) listening.push(await listenFor(folder, `files.${n}`, stack));
    const ended = runSandboxed(
      qemuArguments(
        options,
        disks.map(([name]) => name),
      ),
      {
        readOnly: [options.image.kernel, options.image.initrd],
        writable: [folder],
        devices: options.accel === 'kvm' ? ['/dev/kvm'] : [],
        memoryBytes: 4 * GIB + options.memoryMib * MIB,
        cpuSeconds: Math.ceil((options.lifetimeMs / 1000) * 4),
        fileSizeBytes: MOST_WRITTEN_BYTES,
        timeoutMs: options.lifetimeMs,
        signal: stop.signal,
      },
    ).then(
      ({ stderr }) => failure(stderr, console),
      (error: unknown) => (error instanceof Error ? error : new Error(messageOf(error))),
    );
    stack.defer(async () => {
      stop.abort(new Error('the appliance is closed'));
      await ended;
    });

    const ports = await Promise.race([
      Promise.all(listening.map(({ arrived }) => arrived)).then((sockets) =>
        sockets.map((socket) => createPort(socket, (reason) => stop.abort(reason))),
      ),
      ended.then((reason) => Promise.reject(reason)),
      aborted(signal),
    ]);
    void ended.then((reason) => {
      for (const port of ports) port.end(reason);
    });
    // QEMU opens the ports before its guest runs: only an answer shows that this one does.
    const deadline = AbortSignal.timeout(limitMs);
    await Promise.race([
      // A port that breaks is the end of QEMU, which has more to say.
      Promise.all(ports.map((port) => port.ask(['ready'], NEVER).next())).catch(async () => {
        throw await ended;
      }),
      aborted(signal),
      aborted(deadline).catch(() => Promise.reject(late(limitMs, console))),
    ]);
    const resources = stack.move();
    return { ...createPool(ports), ended, close: () => resources.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

function qemuArguments(options: ApplianceOptions, names: readonly string[]): string[] {
  const { image, folder, accel, memoryMib, ports } = options;
  const block = (node: unknown) => ['-blockdev', JSON.stringify(node)];
  const socket = (name: string) => `socket,id=${name},path=${join(folder, name).replaceAll(',', ',,')}`;
  return [
    'qemu-system-x86_64',
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-machine', 'q35', '-m', String(memoryMib), '-smp', '1'],
    // The processor has a source of random numbers: without one the guest waits for seconds until it trusts its own.
    ...(accel === 'kvm' ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg,tb-size=64', '-cpu', 'qemu64,+rdrand']),
    ...['-kernel', image.kernel, '-initrd', image.initrd, '-append', commandLine(ports)],
    ...['-chardev', socket('console'), '-serial', 'chardev:console'],
    ...names.flatMap((name, n) => [
      ...block({
        driver: 'nbd',
        'node-name': `nbd${n}`,
        'read-only': true,
        server: { type: 'unix', path: join(folder, 'nbd') },
        export: name,
      }),
      ...block({ driver: 'raw', 'node-name': `raw${n}`, 'read-only': true, file: `nbd${n}` }),
      ...block({ driver: 'file', 'node-name': `file${n}`, filename: join(folder, `${n}.qcow2`) }),
      ...block({ driver: 'qcow2', 'node-name': `disk${n}`, file: `file${n}`, backing: `raw${n}` }),
      ...['-device', `virtio-blk-pci,drive=disk${n},serial=${name}`],
    ]),
    ...['-device', 'virtio-serial-pci'],
    ...Array.from({ length: ports }, (_, n) => [
      ...['-chardev', socket(`files.${n}`)],
      ...['-device', `virtserialport,chardev=files.${n},name=files.${n}`],
    ]).flat(),
  ];
}

/** A file system that makes its driver fail ends the guest, rather than leave half of it. */
const commandLine = (ports: number) =>
  `console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off cryptomgr.notests random.trust_cpu=on ${TRUST_TIMER} hyper.ports=${ports}`;

/** QEMU comes to us: nobody else can, and there is nothing to wait for. */
async function listenFor(
  folder: string,
  name: string,
  stack: AsyncDisposableStack,
): Promise<{ readonly arrived: Promise<Socket> }> {
  const { promise: arrived, resolve } = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    stack.defer(() => void socket.destroy());
    // Its end is what counts.
    socket.on('error', () => undefined);
    server.close();
    resolve(socket);
  });
  stack.defer(() => void server.close());
  server.listen(join(folder, name));
  await once(server, 'listening');
  return { arrived };
}

/** Why the guest is gone, in the words of its kernel where it left some. */
function failure(stderr: string, console: string): AppError {
  const said = /Kernel panic - not syncing: [ -~]{1,200}/.exec(console)?.[0] ?? null;
  return new AppError('file_reader_failed', {
    ...(said === null ? {} : { detail: `What reads the file systems of the restore point ended: "${said}".` }),
    cause: new Error(`${stderr.slice(-1000)}\n${console.slice(-2000)}`.trim()),
  });
}

function late(limitMs: number, console: string): AppError {
  return new AppError('file_reader_failed', {
    detail: `What reads the file systems of the restore point did not start within ${limitMs / 1000} s.`,
    hint: 'Try again when the host has less to do.',
    cause: new Error(console.slice(-2000).trim() || 'It said nothing.'),
  });
}

async function aborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}
