/** Real NBD servers for tests: qemu-nbd on a socket or port of its own, and its disks as sources for our own server. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ALLOCATION_CONTEXT, EXTENT_FLAGS, type NbdConnection, type NbdSource } from '#platform/nbd/index.ts';

export interface QemuNbd extends AsyncDisposable {
  /** Its process, to be stopped or killed by a test. */
  readonly process: ChildProcess;
}

export interface QemuNbdOptions {
  readonly image: string;
  readonly format: 'raw' | 'qcow2';
  readonly exportName: string;
  /** A socket path, or a port of 127.0.0.1. */
  readonly listenOn: string | number;
  /** More of its own arguments, as `--bitmap` or `--tls-creds`. */
  readonly args?: readonly string[];
}

const READY_MS = 20_000;

/** Starts a read-only server for up to eight clients and waits until it listens. */
export async function startQemuNbd(options: QemuNbdOptions): Promise<QemuNbd> {
  const { image, format, exportName, listenOn, args = [] } = options;
  const where = typeof listenOn === 'string' ? ['-k', listenOn] : ['-b', '127.0.0.1', '-p', String(listenOn)];
  const child = spawn(
    'qemu-nbd',
    ['--read-only', '--persistent', '--shared=8', '-f', format, '-x', exportName, ...where, ...args, image],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let complaint = '';
  child.stderr.on('data', (bytes: Buffer) => {
    complaint += bytes.toString();
  });
  const exited = once(child, 'exit');
  const server = {
    process: child,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await exited;
    },
  };
  const endMs = performance.now() + READY_MS;
  while (!(await listens(listenOn))) {
    if (child.exitCode !== null || performance.now() > endMs) {
      await server[Symbol.asyncDispose]();
      throw new Error(`qemu-nbd does not listen: ${complaint}`);
    }
    await sleep(20);
  }
  return server;
}

async function listens(listenOn: string | number): Promise<boolean> {
  const socket = typeof listenOn === 'string' ? connect(listenOn) : connect(listenOn, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // not yet
  } finally {
    socket.destroy();
  }
}

/** A disk of another server as a source for ours. Its connection must have been granted `base:allocation`. */
export function sourceOf(connection: NbdConnection): NbdSource & Required<Pick<NbdSource, 'extents'>> {
  return {
    sizeBytes: connection.sizeBytes,
    read: (offsetBytes, lengthBytes) => connection.read(offsetBytes, lengthBytes),
    async extents(offsetBytes, lengthBytes) {
      const found = [];
      for await (const extent of connection.extents(ALLOCATION_CONTEXT, { offsetBytes, lengthBytes }))
        found.push({ lengthBytes: extent.lengthBytes, isZero: (extent.flags & EXTENT_FLAGS.zero) !== 0 });
      return found;
    },
  };
}
