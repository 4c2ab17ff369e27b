/** Serves the requests of one client that has opened an export: many at once, with bounded memory whatever the client asks
 *  for and however slowly it takes the answers. Never throws towards the client what a source said; it sees error numbers. */

import type { Socket } from 'node:net';
import { ByteBudget } from './byte-budget.ts';
import type { ByteReader } from './byte-reader.ts';
import { ALLOCATION_CONTEXT_ID, type OpenExport } from './server-handshake.ts';
import { extentsOf, readWhole } from './source.ts';
import {
  CHUNKS,
  COMMANDS,
  decodeRequest,
  ERRNO,
  EXTENT_FLAGS,
  encodeChunkHeader,
  encodeSimpleReply,
  MAX_READ_BYTES,
  type NbdRequest,
  REQUEST_BYTES,
  REQUEST_FLAG_ONE,
  uint16,
  uint32,
  uint64,
} from './wire.ts';

/** Of data that is being read or waits for the client to take it. */
const MAX_BYTES_IN_FLIGHT = 8 * 2 ** 20;
const MAX_REQUESTS_IN_FLIGHT = 128;
/** Sources are asked for this much at once, and never across a border of it. */
const PIECE_BYTES = 2 ** 20;
/** Extents in one block status, which may stop short of what was asked for. */
const MAX_EXTENTS = 8192;
const ZEROS = Buffer.alloc(PIECE_BYTES);

export interface ServedClient {
  readonly socket: Socket;
  readonly reader: ByteReader;
  readonly opened: OpenExport;
  onReadError(error: unknown): void;
}

/** Serves until the client says goodbye.
 *  @throws Error when the client goes without a word, or sends what is no request */
export async function serveRequests(client: ServedClient): Promise<void> {
  const server = new RequestServer(client);
  try {
    await server.run();
  } finally {
    server.end();
  }
}

class RequestServer {
  readonly #client: ServedClient;
  readonly #bytes = new ByteBudget(MAX_BYTES_IN_FLIGHT);
  readonly #requests = new ByteBudget(MAX_REQUESTS_IN_FLIGHT);

  constructor(client: ServedClient) {
    this.#client = client;
    // Also while nothing is read or sent: whoever waits for room would otherwise wait on.
    client.socket.once('close', () => this.end());
  }

  end(): void {
    const gone = new Error('the client is gone');
    this.#bytes.end(gone);
    this.#requests.end(gone);
  }

  async run(): Promise<void> {
    const { reader } = this.#client;
    for (;;) {
      const request = decodeRequest(await reader.take(REQUEST_BYTES));
      if (!request) throw new Error('no request of NBD');
      if (request.command === COMMANDS.disconnect) return;
      if (request.command === COMMANDS.write) {
        if (request.lengthBytes > MAX_READ_BYTES) throw new Error(`a write of ${request.lengthBytes} bytes`);
        await reader.skip(request.lengthBytes);
      }
      await this.#requests.take(1);
      void this.#serve(request);
    }
  }

  /** Never rejects. */
  async #serve(request: NbdRequest): Promise<void> {
    try {
      await this.#answer(request).catch((error: unknown) => this.#report(request, error));
    } catch {
      // Waiting for a client fails when it is gone. Whatever else it was, nobody may wait for an answer that does not come.
      this.#client.socket.destroy();
    } finally {
      this.#requests.giveBack(1);
    }
  }

  async #answer(request: NbdRequest): Promise<void> {
    const refusal = this.#refusalOf(request);
    if (refusal !== null) await this.#sendError(request, refusal);
    else if (request.command === COMMANDS.blockStatus) await this.#blockStatus(request);
    else if (request.command !== COMMANDS.read) await this.#send([encodeSimpleReply(request.cookie, 0)]);
    else if (this.#client.opened.isStructured) await this.#readInPieces(request);
    else await this.#readAtOnce(request);
  }

  async #report(request: NbdRequest, error: unknown): Promise<void> {
    if (!(error instanceof SourceError)) throw error;
    const sent = this.#sendError(request, ERRNO.io);
    this.#client.onReadError(error.cause);
    await sent;
  }

  /** The error number for what cannot be served, or null. */
  #refusalOf({ command, flags, offsetBytes, lengthBytes }: NbdRequest): number | null {
    const { source, hasAllocation } = this.#client.opened;
    switch (command) {
      case COMMANDS.read:
        if (flags !== 0 || lengthBytes > MAX_READ_BYTES) return ERRNO.invalid;
        return offsetBytes + lengthBytes > source.sizeBytes ? ERRNO.invalid : null;
      case COMMANDS.blockStatus:
        if (!hasAllocation || (flags & ~REQUEST_FLAG_ONE) !== 0 || lengthBytes === 0) return ERRNO.invalid;
        return offsetBytes + lengthBytes > source.sizeBytes ? ERRNO.invalid : null;
      case COMMANDS.flush:
        return null;
      case COMMANDS.write:
      case COMMANDS.trim:
      case COMMANDS.writeZeroes:
        return ERRNO.notPermitted;
      default:
        return ERRNO.invalid;
    }
  }

  /** Structured: each piece goes out when it is there, zeros without their bytes. */
  async #readInPieces({ cookie, offsetBytes, lengthBytes }: NbdRequest): Promise<void> {
    if (lengthBytes === 0)
      return await this.#send([encodeChunkHeader({ type: CHUNKS.none, isDone: true, cookie, lengthBytes: 0 })]);
    const end = offsetBytes + lengthBytes;
    for await (const { at, bytes, isZero } of this.#piecesOf(offsetBytes, lengthBytes)) {
      const isDone = at + bytes === end;
      if (isZero) {
        const header = encodeChunkHeader({ type: CHUNKS.hole, isDone, cookie, lengthBytes: 12 });
        await this.#send([header, uint64(at), uint32(bytes)]);
        continue;
      }
      const data = await this.#load(at, bytes);
      const header = encodeChunkHeader({ type: CHUNKS.data, isDone, cookie, lengthBytes: bytes + 8 });
      void this.#send([header, uint64(at), data])
        // Not when it failed: what became of the bytes then is the socket's secret.
        .then(() => this.#client.opened.source.release?.(data))
        .catch(() => undefined)
        .finally(() => this.#bytes.giveBack(bytes));
    }
  }

  /** Simple: an error must be known before the first byte of data goes out, so all of it is in memory. */
  async #readAtOnce({ cookie, offsetBytes, lengthBytes }: NbdRequest): Promise<void> {
    const parts = [encodeSimpleReply(cookie, 0)];
    await this.#bytes.take(lengthBytes);
    try {
      for await (const { at, bytes, isZero } of this.#piecesOf(offsetBytes, lengthBytes)) {
        if (isZero) for (let left = bytes; left > 0; left -= PIECE_BYTES) parts.push(ZEROS.subarray(0, left));
        else parts.push(await this.#fromSource(() => readWhole(this.#client.opened.source, at, bytes)));
      }
      await this.#send(parts);
    } finally {
      this.#bytes.giveBack(lengthBytes);
    }
  }

  /** The range in zeros of any length and pieces of data that lie within one chunk of the source. */
  async *#piecesOf(offsetBytes: number, lengthBytes: number) {
    const { source } = this.#client.opened;
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end; ) {
      for (const extent of await this.#fromSource(() => extentsOf(source, at, end - at, MAX_EXTENTS))) {
        const extentEnd = at + extent.lengthBytes;
        while (at < extentEnd) {
          const border = extent.isZero ? extentEnd : (Math.floor(at / PIECE_BYTES) + 1) * PIECE_BYTES;
          const bytes = Math.min(border, extentEnd) - at;
          yield { at, bytes, isZero: extent.isZero };
          at += bytes;
        }
      }
    }
  }

  /** Data of the source; the caller gives its bytes back to the budget. */
  async #load(at: number, bytes: number): Promise<Buffer> {
    await this.#bytes.take(bytes);
    try {
      return await this.#fromSource(() => readWhole(this.#client.opened.source, at, bytes));
    } catch (error) {
      this.#bytes.giveBack(bytes);
      throw error;
    }
  }

  async #fromSource<Value>(work: () => Promise<Value>): Promise<Value> {
    try {
      return await work();
    } catch (cause) {
      throw new SourceError('the source failed', { cause });
    }
  }

  async #blockStatus({ cookie, flags, offsetBytes, lengthBytes }: NbdRequest): Promise<void> {
    const maxCount = (flags & REQUEST_FLAG_ONE) === 0 ? MAX_EXTENTS : 1;
    const extents = await this.#fromSource(() =>
      extentsOf(this.#client.opened.source, offsetBytes, lengthBytes, maxCount),
    );
    const payload = Buffer.alloc(4 + extents.length * 8);
    payload.writeUInt32BE(ALLOCATION_CONTEXT_ID, 0);
    for (const [index, extent] of extents.entries()) {
      payload.writeUInt32BE(extent.lengthBytes, 4 + index * 8);
      payload.writeUInt32BE(extent.isZero ? EXTENT_FLAGS.hole | EXTENT_FLAGS.zero : 0, 8 + index * 8);
    }
    const header = { type: CHUNKS.blockStatus, isDone: true, cookie, lengthBytes: payload.length };
    await this.#send([encodeChunkHeader(header), payload]);
  }

  async #sendError({ command, cookie }: NbdRequest, errno: number): Promise<void> {
    const needsPieces = command === COMMANDS.read || command === COMMANDS.blockStatus;
    if (!needsPieces || !this.#client.opened.isStructured) return await this.#send([encodeSimpleReply(cookie, errno)]);
    const header = encodeChunkHeader({ type: CHUNKS.error, isDone: true, cookie, lengthBytes: 6 });
    await this.#send([header, uint32(errno), uint16(0)]);
  }

  /** Sends parts in one go; resolves when the client's side of the socket has taken them. */
  #send(parts: readonly Buffer[]): Promise<void> {
    const { socket } = this.#client;
    return new Promise((resolve, reject) => {
      socket.cork();
      for (const [index, part] of parts.entries()) {
        if (index < parts.length - 1) socket.write(part);
        else
          socket.write(part, (error) => {
            if (!error) return resolve();
            // At once: room that is given back now must not make the source read on for nobody.
            this.end();
            reject(error);
          });
      }
      socket.uncork();
    });
  }
}

/** The source could not give what it was asked for; `cause` is what it said. */
class SourceError extends Error {}
