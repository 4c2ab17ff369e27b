/** A console WebSocket as a test sees it, over a local socket or the network door. */

import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientOptions, WebSocket } from 'ws';
import type { TestDaemon } from './daemon.ts';

export interface ConsoleClient {
  readonly socket: WebSocket;
  /** Everything received so far. */
  bytes(): Buffer;
  /** Rejects with the end of what was received. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<void>;
  waitForBytes(count: number): Promise<Buffer>;
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
}

/** The server refused the upgrade. */
export class UpgradeRefused extends Error {
  readonly status: number;
  /** The problem document's code, or null. */
  readonly code: string | null;

  constructor(status: number, code: string | null) {
    super(`the upgrade was refused with ${status} ${code ?? ''}`);
    this.status = status;
    this.code = code;
  }
}

/** @throws UpgradeRefused */
export async function connectConsole(url: string, options: ClientOptions = {}): Promise<ConsoleClient> {
  const socket = new WebSocket(url, ['binary'], options);
  const parts: Buffer[] = [];
  socket.on('message', (data: Buffer) => parts.push(data));
  const closed = new Promise<number>((resolve) => {
    socket.on('close', resolve);
  });
  await new Promise<void>((resolve, reject) => {
    socket.on('open', resolve);
    socket.on('error', reject);
    socket.on('unexpected-response', (_request, response) => void refusalOf(response).then(reject, reject));
  });
  const bytes = () => Buffer.concat(parts);
  const until = async (what: string, isTrue: () => boolean, timeoutMs: number) => {
    for (const deadline = performance.now() + timeoutMs; !isTrue(); await sleep(20)) {
      if (performance.now() > deadline)
        throw new Error(`no ${what} within ${timeoutMs} ms; got:\n${bytes().toString('latin1').slice(-2000)}`);
    }
  };
  return {
    socket,
    bytes,
    closed,
    waitFor: (pattern, timeoutMs = 60_000) =>
      until(String(pattern), () => pattern.test(bytes().toString('latin1')), timeoutMs),
    async waitForBytes(count) {
      await until(`${count} bytes`, () => bytes().length >= count, 15_000);
      return bytes();
    },
  };
}

async function refusalOf(response: IncomingMessage): Promise<UpgradeRefused> {
  const parts: Buffer[] = [];
  for await (const part of response) if (Buffer.isBuffer(part)) parts.push(part);
  const code = /"code":"([a-z_]+)"/.exec(Buffer.concat(parts).toString())?.[1] ?? null;
  return new UpgradeRefused(response.statusCode ?? 0, code);
}

/** The address of a console path on a local socket. */
export function localConsole(daemon: TestDaemon, path: string, door: 'admin' | 'operator' = 'admin'): string {
  return `ws+unix:${join(daemon.runtimeDir, `${door}.sock`)}:${path}`;
}

/** Bytes of a VNC client that chooses no security and asks for the screen alone. */
export const RFB_HANDSHAKE = Buffer.from('RFB 003.008\n\x01\x00', 'latin1');

/** The RFB 3.8 handshake; resolves with the screen's size and how many bytes the server sent for it. */
export async function shakeHands(
  viewer: ConsoleClient,
): Promise<{ readonly width: number; readonly height: number; readonly used: number }> {
  await viewer.waitFor(/^RFB 003\.008\n/, 15_000);
  viewer.socket.send(RFB_HANDSHAKE.subarray(0, 12));
  const types = await viewer.waitForBytes(14);
  const at = 13 + types.readUInt8(12);
  viewer.socket.send(RFB_HANDSHAKE.subarray(12, 13));
  const result = (await viewer.waitForBytes(at + 4)).readUInt32BE(at);
  if (result !== 0) throw new Error(`the VNC server refused with ${result}`);
  viewer.socket.send(RFB_HANDSHAKE.subarray(13));
  const init = await viewer.waitForBytes(at + 28);
  const used = at + 28 + init.readUInt32BE(at + 24);
  await viewer.waitForBytes(used);
  return { width: init.readUInt16BE(at + 4), height: init.readUInt16BE(at + 6), used };
}
