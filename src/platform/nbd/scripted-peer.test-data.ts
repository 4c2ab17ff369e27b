/** NBD servers for tests that say whatever a test wants, at the place where it wants it. */

import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { ByteReader } from './byte-reader.ts';
import {
  CHUNKS,
  decodeRequest,
  encodeChunkHeader,
  INFO_TYPES,
  type NbdRequest,
  OPTION_ERRORS,
  OPTION_HEADER_BYTES,
  OPTION_REPLIES,
  OPTIONS,
  optionReply,
  REQUEST_BYTES,
  uint16,
  uint32,
  uint64,
} from './wire.ts';

export interface PeerSide {
  readonly socket: Socket;
  readonly reader: ByteReader;
  send(...parts: readonly Buffer[]): void;
}

export interface ScriptedPeer extends AsyncDisposable {
  readonly socketPath: string;
  /** Of 127.0.0.1 when no path was given, otherwise 0. */
  readonly port: number;
  /** Resolves when the first client's connection is closed. */
  readonly closed: Promise<void>;
}

export const GREETING = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), uint16(3)]);

/** @param socketPath null for TCP
 *  Every client gets `script`; when it ends the connection stays open, so that only the client closes it. */
export async function scriptedPeer(
  socketPath: string | null,
  script: (peer: PeerSide) => Promise<void>,
): Promise<ScriptedPeer> {
  const sockets = new Set<Socket>();
  const closed = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => closed.resolve());
    const reader = new ByteReader();
    reader.attachFlowing(socket, () => new Error('the client is gone'));
    const send = (...parts: readonly Buffer[]) => void socket.write(Buffer.concat(parts));
    script({ socket, reader, send }).catch(() => undefined); // the client may go in the middle of it
  });
  if (socketPath === null) server.listen(0, '127.0.0.1');
  else server.listen(socketPath);
  await once(server, 'listening');
  const address = server.address();
  return {
    socketPath: socketPath ?? '',
    port: typeof address === 'object' && address ? address.port : 0,
    closed: closed.promise,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface NextOption {
  readonly option: number;
  readonly data: Buffer;
}

/** Greets and takes the client's flags. */
export async function greetClient({ reader, send }: PeerSide): Promise<void> {
  send(GREETING);
  await reader.take(4);
}

export async function nextOption({ reader }: PeerSide): Promise<NextOption> {
  const header = await reader.take(OPTION_HEADER_BYTES);
  return { option: header.readUInt32BE(8), data: await reader.take(header.readUInt32BE(12)) };
}

export interface PeerDisk {
  readonly sizeBytes: number;
  readonly isStructured: boolean;
  /** Contexts that are granted, numbered from 1. */
  readonly contexts?: readonly string[];
}

/** The whole handshake of a well-behaved server. */
export async function openForClient(
  peer: PeerSide,
  { sizeBytes, isStructured, contexts = [] }: PeerDisk,
): Promise<void> {
  await greetClient(peer);
  for (;;) {
    const { option } = await nextOption(peer);
    const reply = (type: number, data?: Buffer) => peer.send(optionReply(option, type, data));
    if (option === OPTIONS.structuredReply) reply(isStructured ? OPTION_REPLIES.ack : OPTION_ERRORS.unsupported);
    else if (option === OPTIONS.setMetaContext) {
      for (const [index, name] of contexts.entries())
        reply(OPTION_REPLIES.metaContext, Buffer.concat([uint32(index + 1), Buffer.from(name)]));
      reply(OPTION_REPLIES.ack);
    } else {
      reply(OPTION_REPLIES.info, Buffer.concat([uint16(INFO_TYPES.export), uint64(sizeBytes), uint16(0x103)]));
      reply(OPTION_REPLIES.ack);
      return;
    }
  }
}

/** @throws Error when what comes is no request */
export async function nextRequest({ reader }: PeerSide): Promise<NbdRequest> {
  const request = decodeRequest(await reader.take(REQUEST_BYTES));
  if (!request) throw new Error('no request');
  return request;
}

/** A piece of a structured reply. `lengthBytes` is a lie when it is given. */
export function chunk(
  cookie: Buffer,
  type: number,
  payload: readonly Buffer[],
  { isDone = true, lengthBytes }: { readonly isDone?: boolean; readonly lengthBytes?: number } = {},
): Buffer {
  const content = Buffer.concat(payload);
  return Buffer.concat([
    encodeChunkHeader({ type, isDone, cookie, lengthBytes: lengthBytes ?? content.length }),
    content,
  ]);
}

export function dataChunk(cookie: Buffer, offsetBytes: number, data: Buffer, isDone = true): Buffer {
  return chunk(cookie, CHUNKS.data, [uint64(offsetBytes), data], { isDone });
}

export function holeChunk(cookie: Buffer, offsetBytes: number, lengthBytes: number, isDone = true): Buffer {
  return chunk(cookie, CHUNKS.hole, [uint64(offsetBytes), uint32(lengthBytes)], { isDone });
}
