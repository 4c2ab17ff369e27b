/** An open export: requests in any number at once, matched to replies by cookie, with a deadline each.
 *  It never reconnects. After it is lost every pending request has failed with one clear error. */

import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { AppError } from '#kernel/errors.ts';
import type { ByteReader } from './byte-reader.ts';
import type { Agreement } from './client-handshake.ts';
import { protocolBroken } from './errors.ts';
import { type Pending, PendingRead, PendingStatus } from './pending.ts';
import type { NbdExtent } from './source.ts';
import {
  CHUNK_MAGIC,
  CHUNK_REST_BYTES,
  COMMANDS,
  decodeChunkHeader,
  encodeRequest,
  getUint64,
  MAX_READ_BYTES,
  MAX_STATUS_BYTES,
  putUint64,
  SIMPLE_REPLY_MAGIC,
  SIMPLE_REPLY_REST_BYTES,
} from './wire.ts';

/** Part of the disk. Offsets and lengths are whole bytes; both default to all that is left of the disk. */
export interface NbdRange {
  readonly offsetBytes?: number;
  readonly lengthBytes?: number;
}

export interface NbdConnection {
  readonly sizeBytes: number;
  /** Those asked for that the server grants. */
  readonly contexts: ReadonlySet<string>;
  /** Reads part of the disk into a buffer with memory of its own, which may be transferred to a worker. Many calls may run at
   *  once; four to eight keep a server busy. At most 32 MiB at a time.
   *  @throws RangeError outside the disk; AppError nbd_read_failed with `errno`, and the connection goes on; timeout,
   *  nbd_unreachable, nbd_protocol_broken or the signal's reason, after which the connection is closed */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
  /** The state of a range in one context, without gaps, neighbours of equal flags joined. Flags of `base:allocation`: 1 hole,
   *  2 reads as zeros; of `qemu:dirty-bitmap:*`: 1 dirty.
   *  @throws TypeError for a context that was not granted, and what `read` throws */
  extents(context: string, range?: NbdRange): AsyncIterable<NbdExtent>;
  /** Says goodbye and closes. Requests that are still pending fail with `cancelled`. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  readonly socket: Duplex;
  readonly reader: ByteReader;
  readonly agreement: Agreement;
  readonly requestTimeoutMs: number;
  readonly signal?: AbortSignal;
}

const GOODBYE_MS = 1_000;

export class Connection implements NbdConnection {
  readonly sizeBytes: number;
  readonly contexts: ReadonlySet<string>;
  readonly #socket: Duplex;
  readonly #reader: ByteReader;
  readonly #agreement: Agreement;
  readonly #requestTimeoutMs: number;
  readonly #releaseSignal: () => void;
  /** In the order of their deadlines, as all have the same time. */
  readonly #pending = new Map<number, { readonly request: Pending; readonly dueMs: number }>();
  #nextCookie = 1;
  #timer: NodeJS.Timeout | null = null;
  /** Why it cannot be used any more. */
  #lost: { readonly reason: unknown } | null = null;

  constructor({ socket, reader, agreement, requestTimeoutMs, signal }: ConnectionOptions) {
    this.sizeBytes = agreement.sizeBytes;
    this.contexts = new Set(agreement.contextIds.keys());
    this.#socket = socket;
    this.#reader = reader;
    this.#agreement = agreement;
    this.#requestTimeoutMs = requestTimeoutMs;
    const onAbort = () => this.#lose(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#releaseSignal = () => signal?.removeEventListener('abort', onAbort);
    void this.#receive();
  }

  async read(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    this.#checkRange(offsetBytes, lengthBytes);
    if (lengthBytes > MAX_READ_BYTES) throw new RangeError(`${lengthBytes} bytes are more than one read may take`);
    if (lengthBytes === 0) return Buffer.alloc(0);
    return await this.#send(COMMANDS.read, new PendingRead(offsetBytes, lengthBytes, this.#agreement.isStructured));
  }

  async *extents(context: string, range: NbdRange = {}): AsyncGenerator<NbdExtent, void> {
    const contextId = this.#agreement.contextIds.get(context);
    if (contextId === undefined) throw new TypeError(`the context ${context} was not granted`);
    const offsetBytes = range.offsetBytes ?? 0;
    const lengthBytes = range.lengthBytes ?? this.sizeBytes - offsetBytes;
    this.#checkRange(offsetBytes, lengthBytes);
    const endBytes = offsetBytes + lengthBytes;
    const known = [...this.#agreement.contextIds.values()];
    let start = offsetBytes;
    let flagsSinceStart: number | null = null;
    for (let at = offsetBytes; at < endBytes; ) {
      const asked = Math.min(MAX_STATUS_BYTES, endBytes - at);
      const status = await this.#send(COMMANDS.blockStatus, new PendingStatus(at, asked, contextId, known));
      for (const extent of status) {
        if (flagsSinceStart !== null && extent.flags !== flagsSinceStart) {
          yield { offsetBytes: start, lengthBytes: at - start, flags: flagsSinceStart };
          start = at;
        }
        flagsSinceStart = extent.flags;
        at += Math.min(extent.lengthBytes, endBytes - at);
      }
    }
    if (flagsSinceStart !== null) yield { offsetBytes: start, lengthBytes: endBytes - start, flags: flagsSinceStart };
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    const closed = socket.closed ? Promise.resolve() : once(socket, 'close');
    if (!this.#lost) {
      const goodbye = {
        flags: 0,
        command: COMMANDS.disconnect,
        cookie: Buffer.alloc(8),
        offsetBytes: 0,
        lengthBytes: 0,
      };
      this.#end(new AppError('cancelled', { detail: 'The connection to the disk’s data was closed.' }));
      socket.end(encodeRequest(goodbye), () => socket.destroy());
      // A server that takes nothing any more is not waited for.
      const timer = setTimeout(() => socket.destroy(), GOODBYE_MS);
      socket.once('close', () => clearTimeout(timer));
    }
    await closed;
  }

  #checkRange(offsetBytes: number, lengthBytes: number): void {
    const isInside =
      Number.isSafeInteger(offsetBytes) &&
      Number.isSafeInteger(lengthBytes) &&
      offsetBytes >= 0 &&
      lengthBytes >= 0 &&
      offsetBytes + lengthBytes <= this.sizeBytes;
    if (!isInside)
      throw new RangeError(`${lengthBytes} bytes at ${offsetBytes} are not on a disk of ${this.sizeBytes} bytes`);
  }

  #send<Result>(command: number, request: Pending<Result>): Promise<Result> {
    if (this.#lost) return Promise.reject(this.#lost.reason);
    const number = this.#nextCookie;
    this.#nextCookie += 1;
    const cookie = Buffer.allocUnsafe(8);
    putUint64(cookie, number, 0);
    this.#pending.set(number, { request, dueMs: performance.now() + this.#requestTimeoutMs });
    this.#timer ??= setTimeout(() => this.#expire(), this.#requestTimeoutMs).unref();
    const { offsetBytes, lengthBytes } = request;
    this.#socket.write(encodeRequest({ flags: 0, command, cookie, offsetBytes, lengthBytes }));
    return request.result;
  }

  #expire(): void {
    this.#timer = null;
    const [oldest] = this.#pending.values();
    if (!oldest) return;
    const leftMs = oldest.dueMs - performance.now();
    // A timer may fire up to a millisecond early.
    if (leftMs > 1) this.#timer = setTimeout(() => this.#expire(), leftMs).unref();
    else
      this.#lose(
        new AppError('timeout', {
          detail: `The server of the disk’s data did not answer within ${this.#requestTimeoutMs} ms.`,
        }),
      );
  }

  async #receive(): Promise<void> {
    try {
      for (;;) await this.#receiveReply();
    } catch (error) {
      this.#lose(error);
    }
  }

  async #receiveReply(): Promise<void> {
    const magic = (await this.#reader.take(4)).readUInt32BE(0);
    if (magic === SIMPLE_REPLY_MAGIC) await this.#receiveSimple();
    else if (magic === CHUNK_MAGIC && this.#agreement.isStructured) await this.#receiveChunk();
    else throw protocolBroken('something that is no reply');
  }

  async #receiveSimple(): Promise<void> {
    const rest = await this.#reader.take(SIMPLE_REPLY_REST_BYTES);
    const number = getUint64(rest, 4);
    const request = this.#requestOf(number);
    await request.takeSimple(rest.readUInt32BE(0), this.#reader);
    this.#finish(number, request);
  }

  async #receiveChunk(): Promise<void> {
    const { type, isDone, cookie, lengthBytes } = decodeChunkHeader(await this.#reader.take(CHUNK_REST_BYTES));
    const number = getUint64(cookie, 0);
    const request = this.#requestOf(number);
    await request.takeChunk({ type, isDone, lengthBytes }, this.#reader);
    if (isDone) this.#finish(number, request);
  }

  #requestOf(number: number): Pending {
    const entry = this.#pending.get(number);
    if (!entry) throw protocolBroken('a reply that nothing was asked for');
    return entry.request;
  }

  #finish(number: number, request: Pending): void {
    request.finish();
    this.#pending.delete(number);
  }

  #lose(reason: unknown): void {
    this.#end(reason);
    this.#socket.destroy();
  }

  #end(reason: unknown): void {
    if (this.#lost) return;
    this.#lost = { reason };
    this.#releaseSignal();
    if (this.#timer) clearTimeout(this.#timer);
    for (const { request } of this.#pending.values()) request.reject(reason);
    this.#pending.clear();
    this.#reader.fail(new Error('the connection has ended'));
  }
}
