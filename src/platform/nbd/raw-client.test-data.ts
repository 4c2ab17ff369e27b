/** An NBD client for tests that writes what it likes, and reads what comes. */

import { connect, type Socket } from 'node:net';
import { ByteReader } from './byte-reader.ts';
import {
  CHUNKS,
  decodeChunkHeader,
  encodeRequest,
  lengthAndText,
  OPTIONS,
  optionRequest,
  putUint64,
  SIMPLE_REPLY_MAGIC,
  uint16,
  uint32,
} from './wire.ts';

export class RawClient {
  readonly socket: Socket;
  readonly reader = new ByteReader();
  readonly closed: Promise<unknown>;
  #cookies = 0;

  constructor(socketPath: string) {
    this.socket = connect(socketPath);
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
    this.reader.attachFlowing(this.socket, () => new Error('the server closed'));
  }

  /** Reads the greeting and answers it. */
  async greet(flags = 3): Promise<void> {
    await this.reader.take(18);
    this.socket.write(uint32(flags));
  }

  async option(option: number, data?: Buffer): Promise<{ readonly type: number; readonly data: Buffer }> {
    this.socket.write(optionRequest(option, data));
    return await this.optionReply();
  }

  async optionReply(): Promise<{ readonly type: number; readonly data: Buffer }> {
    const header = await this.reader.take(20);
    return { type: header.readUInt32BE(12), data: await this.reader.take(header.readUInt32BE(16)) };
  }

  async open(): Promise<void> {
    await this.greet();
    await this.option(OPTIONS.structuredReply);
    await this.option(OPTIONS.setMetaContext, contextQuery(['base:allocation']));
    await this.optionReply();
    await this.option(OPTIONS.go, goRequest('vda'));
    await this.optionReply();
  }

  request(command: number, offsetBytes: number, lengthBytes: number, flags = 0): void {
    const cookie = Buffer.alloc(8);
    this.#cookies += 1;
    putUint64(cookie, this.#cookies, 0);
    this.socket.write(encodeRequest({ flags, command, cookie, offsetBytes, lengthBytes }));
  }

  /** The error number of the next reply; 0 for success, whose data is passed over. */
  async errno(): Promise<number> {
    const magic = (await this.reader.take(4)).readUInt32BE(0);
    if (magic === SIMPLE_REPLY_MAGIC) return (await this.reader.take(12)).readUInt32BE(0);
    const header = decodeChunkHeader(await this.reader.take(16));
    if (header.type === CHUNKS.error) return (await this.reader.take(header.lengthBytes)).readUInt32BE(0);
    await this.reader.skip(header.lengthBytes);
    return header.isDone ? 0 : await this.errno();
  }
}

/** The data of INFO and GO. */
export const goRequest = (name: string, ...infos: readonly number[]) =>
  Buffer.concat([lengthAndText(name), uint16(infos.length), ...infos.map(uint16)]);
/** The data of the options for contexts. */
export const contextQuery = (queries: readonly string[], name = 'vda') =>
  Buffer.concat([lengthAndText(name), uint32(queries.length), ...queries.map(lengthAndText)]);
