/** Frames of libvirt's RPC: header, and cutting a byte stream into messages. No sockets here; fed in tests byte by byte. */

import { PROGRAMS } from './table.ts';

export const HEADER_BYTES = 28;
/** libvirt 9.0: 32 MiB of message and its length word. */
export const MAX_FRAME_BYTES = 33_554_432 + 4;
/** Stream data per frame: libvirt's own clients send this much, more brought no gain (measured). */
export const MAX_STREAM_DATA_BYTES = 262_120;

export const MESSAGE_TYPES = {
  call: 0,
  reply: 1,
  event: 2,
  stream: 3,
  callWithFds: 4,
  replyWithFds: 5,
  streamHole: 6,
} as const;
export const STATUS = { ok: 0, error: 1, continue: 2 } as const;

export interface FrameHeader {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
}

/** Bytes that are no frame of this protocol. The connection cannot be used further. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** A whole frame around a payload. */
export function frame(header: FrameHeader, payload?: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + (payload?.length ?? 0));
  writeHeader(bytes, header, bytes.length);
  if (payload) bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** Writes the 28 bytes before a payload. `length` is that of the whole frame. */
export function writeHeader(into: Buffer, header: FrameHeader, length: number): void {
  into.writeUInt32BE(length, 0);
  into.writeUInt32BE(header.program, 4);
  into.writeUInt32BE(header.version, 8);
  into.writeInt32BE(header.procedure, 12);
  into.writeInt32BE(header.type, 16);
  into.writeUInt32BE(header.serial, 20);
  into.writeInt32BE(header.status, 24);
}

export function keepaliveFrame(kind: 'ping' | 'pong'): Buffer {
  const procedure = kind === 'ping' ? 1 : 2;
  return frame({
    program: PROGRAMS.keepalive,
    version: 1,
    procedure,
    type: MESSAGE_TYPES.event,
    serial: 0,
    status: STATUS.ok,
  });
}

export interface FrameSink {
  /** A complete message. The payload is only valid during the call. */
  onFrame(header: FrameHeader, payload: Buffer): void;
  /** Part of the data of a stream, in order, as it arrives: joining frames first halves the throughput (measured). */
  onStreamData(header: FrameHeader, chunk: Buffer): void;
}

const EMPTY = Buffer.alloc(0);

/** Cuts the incoming bytes. Holds at most one unfinished frame, and no more than twice the bytes of it that have arrived. */
export class FrameSplitter {
  readonly #sink: FrameSink;
  readonly #head = Buffer.alloc(HEADER_BYTES);
  #headLength = 0;
  #header: FrameHeader | null = null;
  #payloadLeft = 0;
  #payload: Buffer = EMPTY;
  #payloadLength = 0;
  #descriptorsLeft = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws FrameError on a length outside 28..MAX_FRAME_BYTES; the splitter must not be used after it. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#descriptorsLeft > 0) at += this.#skipDescriptors(chunk.length - at);
      else if (this.#header === null) at = this.#readHeader(chunk, at);
      else at = this.#readPayload(chunk, at, this.#header);
    }
  }

  /** Each passed descriptor leaves one byte outside the framing (measured on libvirt 9.0). */
  #skipDescriptors(available: number): number {
    const skipped = Math.min(available, this.#descriptorsLeft);
    this.#descriptorsLeft -= skipped;
    return skipped;
  }

  #readHeader(chunk: Buffer, at: number): number {
    let head = chunk;
    let headAt = at;
    let next: number;
    if (this.#headLength === 0 && chunk.length - at >= HEADER_BYTES) {
      next = at + HEADER_BYTES;
    } else {
      next = Math.min(chunk.length, at + HEADER_BYTES - this.#headLength);
      chunk.copy(this.#head, this.#headLength, at, next);
      this.#headLength += next - at;
      if (this.#headLength >= 4) checkLength(this.#head.readUInt32BE(0));
      if (this.#headLength < HEADER_BYTES) return next;
      head = this.#head;
      headAt = 0;
      this.#headLength = 0;
    }
    const length = head.readUInt32BE(headAt);
    checkLength(length);
    const header = {
      program: head.readUInt32BE(headAt + 4),
      version: head.readUInt32BE(headAt + 8),
      procedure: head.readInt32BE(headAt + 12),
      type: head.readInt32BE(headAt + 16),
      serial: head.readUInt32BE(headAt + 20),
      status: head.readInt32BE(headAt + 24),
    };
    this.#payloadLeft = length - HEADER_BYTES;
    if (this.#payloadLeft === 0) this.#deliver(header, EMPTY);
    else this.#header = header;
    return next;
  }

  #readPayload(chunk: Buffer, at: number, header: FrameHeader): number {
    const next = Math.min(chunk.length, at + this.#payloadLeft);
    const part = chunk.subarray(at, next);
    this.#payloadLeft -= part.length;
    const isDone = this.#payloadLeft === 0;
    if (header.type === MESSAGE_TYPES.stream && header.status === STATUS.continue) {
      if (isDone) this.#header = null;
      this.#sink.onStreamData(header, part);
      return next;
    }
    if (isDone && this.#payloadLength === 0) {
      this.#header = null;
      this.#deliver(header, part);
      return next;
    }
    this.#keep(part);
    if (isDone) {
      const payload = this.#payload.subarray(0, this.#payloadLength);
      this.#payload = EMPTY;
      this.#payloadLength = 0;
      this.#header = null;
      this.#deliver(header, payload);
    }
    return next;
  }

  #keep(part: Buffer): void {
    const wanted = this.#payloadLength + part.length;
    if (wanted > this.#payload.length) {
      const whole = wanted + this.#payloadLeft;
      const grown = Buffer.allocUnsafe(Math.min(whole, Math.max(4096, wanted * 2)));
      this.#payload.copy(grown, 0, 0, this.#payloadLength);
      this.#payload = grown;
    }
    part.copy(this.#payload, this.#payloadLength);
    this.#payloadLength = wanted;
  }

  #deliver(header: FrameHeader, payload: Buffer): void {
    if (header.type === MESSAGE_TYPES.replyWithFds || header.type === MESSAGE_TYPES.callWithFds) {
      const count = payload.length >= 4 ? payload.readUInt32BE(0) : 0;
      if (count > 32) throw new FrameError(`${count} passed descriptors announced`);
      this.#descriptorsLeft = count;
    }
    this.#sink.onFrame(header, payload);
  }
}

function checkLength(length: number): void {
  if (length < HEADER_BYTES || length > MAX_FRAME_BYTES) throw new FrameError(`a frame of ${length} bytes`);
}
