/** Requests that wait for their reply. What a server announces is held against the request before a byte of it is read, so it
 *  can make us keep no more than was asked for. */

import { AppError } from '#kernel/errors.ts';
import type { ByteReader } from './byte-reader.ts';
import { CoveredRanges } from './covered-ranges.ts';
import { peerText, protocolBroken } from './errors.ts';
import { CHUNK_ERROR_BIT, CHUNKS, getUint64, MAX_STRING_BYTES } from './wire.ts';

export interface ChunkShape {
  readonly type: number;
  readonly isDone: boolean;
  /** Of what follows the header; all of it has to be read. */
  readonly lengthBytes: number;
}

/** What one server may make us keep for one block status. */
const MAX_STATUS_EXTENTS = 2 ** 20;

/** Base of both kinds. What takes replies throws `nbd_protocol_broken` when the connection cannot go on. */
export abstract class Pending<Result = unknown> {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly result: Promise<Result>;
  #failure: AppError | null = null;
  readonly #succeed: () => void;
  readonly #reject: (reason: unknown) => void;

  constructor(offsetBytes: number, lengthBytes: number) {
    this.offsetBytes = offsetBytes;
    this.lengthBytes = lengthBytes;
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.result = promise;
    this.#succeed = () => resolve(this.whole());
    this.#reject = reject;
  }

  /** The result, when all of it has come. */
  protected abstract whole(): Result;
  protected abstract takeContent(chunk: ChunkShape, reader: ByteReader): Promise<void>;
  protected abstract takeSimpleContent(reader: ByteReader): Promise<void>;

  /** A simple reply: an error, or everything at once. */
  async takeSimple(errno: number, reader: ByteReader): Promise<void> {
    if (errno === 0) await this.takeSimpleContent(reader);
    else this.#failure ??= this.#failed(errno, '');
  }

  /** A piece of a structured reply. */
  async takeChunk(chunk: ChunkShape, reader: ByteReader): Promise<void> {
    if (chunk.type >= CHUNK_ERROR_BIT) await this.#takeError(chunk, reader);
    else if (chunk.type === CHUNKS.none) {
      if (chunk.lengthBytes > 0 || !chunk.isDone) throw protocolBroken('an empty piece that is not the last');
    } else await this.takeContent(chunk, reader);
  }

  /** Nothing more will come: settles the result. */
  finish(): void {
    if (this.#failure) this.reject(this.#failure);
    else this.#succeed();
  }

  reject(reason: unknown): void {
    this.#reject(reason);
  }

  async #takeError({ type, lengthBytes }: ChunkShape, reader: ByteReader): Promise<void> {
    if (lengthBytes < 6 || lengthBytes > MAX_STRING_BYTES + 14)
      throw protocolBroken(`an error of ${lengthBytes} bytes`);
    const payload = await reader.take(lengthBytes);
    const errno = payload.readUInt32BE(0);
    const textBytes = payload.readUInt16BE(4);
    const expectedBytes = 6 + textBytes + (type === CHUNKS.errorOffset ? 8 : 0);
    if (errno === 0 || lengthBytes < expectedBytes) throw protocolBroken('an error without a number or text');
    this.#failure ??= this.#failed(errno, peerText(payload.subarray(6, 6 + textBytes)));
  }

  #failed(errno: number, text: string): AppError {
    const { offsetBytes, lengthBytes } = this;
    return new AppError('nbd_read_failed', {
      detail: `${lengthBytes} bytes at ${offsetBytes} of the disk cannot be read (error ${errno}).`,
      params: { errno, offsetBytes, lengthBytes },
      cause: new Error(`the server said: ${text || 'nothing'}`),
    });
  }
}

export class PendingRead extends Pending<Buffer> {
  readonly #into: Buffer;
  readonly #covered = new CoveredRanges();
  readonly #isStructured: boolean;

  constructor(offsetBytes: number, lengthBytes: number, isStructured: boolean) {
    super(offsetBytes, lengthBytes);
    this.#isStructured = isStructured;
    // Not of the pool, so that it can be transferred to a worker.
    this.#into = Buffer.allocUnsafeSlow(lengthBytes);
  }

  protected override async takeSimpleContent(reader: ByteReader): Promise<void> {
    if (this.#isStructured) throw protocolBroken('data in the form that was given up');
    this.#cover(0, this.lengthBytes);
    await reader.readInto(this.#into);
  }

  protected override async takeContent({ type, lengthBytes }: ChunkShape, reader: ByteReader): Promise<void> {
    if (type === CHUNKS.data) {
      if (lengthBytes <= 8) throw protocolBroken('a piece without data');
      const start = getUint64(await reader.take(8), 0) - this.offsetBytes;
      await reader.readInto(this.#cover(start, start + lengthBytes - 8));
    } else if (type === CHUNKS.hole) {
      if (lengthBytes !== 12) throw protocolBroken(`a hole described in ${lengthBytes} bytes`);
      const payload = await reader.take(12);
      const start = getUint64(payload, 0) - this.offsetBytes;
      this.#cover(start, start + payload.readUInt32BE(8)).fill(0);
    } else throw protocolBroken(`a piece of type ${type} for a read`);
  }

  protected override whole(): Buffer {
    if (!this.#covered.isWhole(this.lengthBytes)) throw protocolBroken('less than what was asked for');
    return this.#into;
  }

  /** Where bytes [start, end) of the request go, which must be inside it and new. */
  #cover(start: number, end: number): Buffer {
    if (!(start >= 0 && start < end && end <= this.lengthBytes))
      throw protocolBroken('data outside of what was asked for');
    if (!this.#covered.add(start, end)) throw protocolBroken('the same data twice');
    return this.#into.subarray(start, end);
  }
}

/** An extent that begins where the one before ends. */
export interface StatusExtent {
  readonly lengthBytes: number;
  readonly flags: number;
}

export class PendingStatus extends Pending<readonly StatusExtent[]> {
  readonly #contextId: number;
  readonly #expectedIds: Set<number>;
  #extents: readonly StatusExtent[] | null = null;

  /** @param contextId whose extents are wanted. @param grantedIds of all contexts: the server answers for each */
  constructor(offsetBytes: number, lengthBytes: number, contextId: number, grantedIds: readonly number[]) {
    super(offsetBytes, lengthBytes);
    this.#contextId = contextId;
    this.#expectedIds = new Set(grantedIds);
  }

  protected override takeSimpleContent(): Promise<void> {
    throw protocolBroken('a block status without extents');
  }

  protected override async takeContent({ type, lengthBytes }: ChunkShape, reader: ByteReader): Promise<void> {
    if (type !== CHUNKS.blockStatus) throw protocolBroken(`a piece of type ${type} for a block status`);
    const count = (lengthBytes - 4) / 8;
    if (!Number.isInteger(count) || count < 1 || count > MAX_STATUS_EXTENTS)
      throw protocolBroken(`a block status of ${lengthBytes} bytes`);
    const payload = Buffer.allocUnsafe(lengthBytes);
    await reader.readInto(payload);
    const id = payload.readUInt32BE(0);
    if (!this.#expectedIds.delete(id)) throw protocolBroken('a block status of an unknown context');
    if (id === this.#contextId) this.#extents = this.#extentsIn(payload);
  }

  protected override whole(): readonly StatusExtent[] {
    if (this.#extents === null) throw protocolBroken('no block status');
    return this.#extents;
  }

  #extentsIn(payload: Buffer): StatusExtent[] {
    const extents: StatusExtent[] = [];
    let coveredBytes = 0;
    for (let at = 4; at < payload.length; at += 8) {
      const extent = { lengthBytes: payload.readUInt32BE(at), flags: payload.readUInt32BE(at + 4) };
      if (extent.lengthBytes === 0) throw protocolBroken('an extent without a length');
      // Only the last may reach beyond the request.
      if (coveredBytes >= this.lengthBytes) throw protocolBroken('extents beyond what was asked for');
      coveredBytes += extent.lengthBytes;
      extents.push(extent);
    }
    return extents;
  }
}
