/** The numbers of the NBD protocol and the shapes of its fixed-size messages. No sockets here.
 *  Source: doc/proto.md of NetworkBlockDevice/nbd; limits as measured on QEMU 7.2. All integers are big-endian. */

export const GREETING_BYTES = 18;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_BYTES = 20;
export const REQUEST_BYTES = 28;
/** After the magic, which tells which of the two it is. */
export const SIMPLE_REPLY_REST_BYTES = 12;
export const CHUNK_REST_BYTES = 16;

/** `NBDMAGIC` and `IHAVEOPT`. */
export const NBD_MAGIC = Buffer.from('NBDMAGIC', 'latin1');
export const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1');
export const OPTION_REPLY_MAGIC = Buffer.from('0003e889045565a9', 'hex');
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const CHUNK_MAGIC = 0x668e33ef;

/** Of greeting and answer: FIXED_NEWSTYLE lets options fail without ending the connection, NO_ZEROES spares 124 bytes. */
export const HANDSHAKE_FLAGS = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const OPTIONS = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const OPTION_REPLIES = { ack: 1, server: 2, info: 3, metaContext: 4 } as const;
/** Every option reply with this bit is a refusal. */
export const OPTION_ERROR_BIT = 0x80000000;
export const OPTION_ERRORS = {
  unsupported: 0x80000001,
  policy: 0x80000002,
  invalid: 0x80000003,
  tlsRequired: 0x80000005,
  unknownExport: 0x80000006,
  tooBig: 0x80000009,
} as const;

export const INFO_TYPES = { export: 0, blockSize: 3 } as const;

/** Of an export: its flags are there, it is read-only, and all connections see the same bytes. */
export const EXPORT_FLAGS_READ_ONLY = 0x103;

export const COMMANDS = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  writeZeroes: 6,
  blockStatus: 7,
} as const;
/** Of a block status request: answer with the first extent only. */
export const REQUEST_FLAG_ONE = 8;

export const CHUNK_FLAG_DONE = 1;
export const CHUNKS = { none: 0, data: 1, hole: 2, blockStatus: 5, error: 0x8001, errorOffset: 0x8002 } as const;
/** Every chunk type with this bit is an error. */
export const CHUNK_ERROR_BIT = 0x8000;

/** Error numbers of the protocol: Linux's, on every system. */
export const ERRNO = { notPermitted: 1, io: 5, invalid: 22 } as const;

export const ALLOCATION_CONTEXT = 'base:allocation';
/** Flags of `base:allocation`: nothing is stored, and the bytes read as zeros. */
export const EXTENT_FLAGS = { hole: 1, zero: 2 } as const;

/** The most that one READ may ask for: what QEMU allows. */
export const MAX_READ_BYTES = 32 * 2 ** 20;
/** The most that one BLOCK_STATUS asks for: below 2 GiB and a multiple of every block size (measured on QEMU 7.2). */
export const MAX_STATUS_BYTES = 0x7fff0000;
/** Names and texts of the protocol. */
export const MAX_STRING_BYTES = 4096;

/** An unsigned 64-bit number. Beyond 2^53 it is not exact, but still larger than every size that we accept. */
export function getUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

export function putUint64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

export function uint16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function uint64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  putUint64(bytes, value, 0);
  return bytes;
}

/** A string as options carry it: length, then UTF-8. */
export function lengthAndText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([uint32(bytes.length), bytes]);
}

/** An option of the client with its data. */
export function optionRequest(option: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([OPTION_MAGIC, uint32(option), uint32(data.length), data]);
}

/** The server's answer to an option. */
export function optionReply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([OPTION_REPLY_MAGIC, uint32(option), uint32(type), uint32(data.length), data]);
}

export interface NbdRequest {
  readonly flags: number;
  readonly command: number;
  /** Eight bytes that come back in the reply. */
  readonly cookie: Buffer;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export function encodeRequest({ flags, command, cookie, offsetBytes, lengthBytes }: NbdRequest): Buffer {
  const bytes = Buffer.allocUnsafe(REQUEST_BYTES);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(command, 6);
  cookie.copy(bytes, 8);
  putUint64(bytes, offsetBytes, 16);
  bytes.writeUInt32BE(lengthBytes, 24);
  return bytes;
}

/** null when these 28 bytes are no request. The cookie shares their memory. */
export function decodeRequest(bytes: Buffer): NbdRequest | null {
  if (bytes.readUInt32BE(0) !== REQUEST_MAGIC) return null;
  return {
    flags: bytes.readUInt16BE(4),
    command: bytes.readUInt16BE(6),
    cookie: bytes.subarray(8, 16),
    offsetBytes: getUint64(bytes, 16),
    lengthBytes: bytes.readUInt32BE(24),
  };
}

export interface ChunkHeader {
  readonly type: number;
  readonly isDone: boolean;
  readonly cookie: Buffer;
  /** Bytes that follow the header. */
  readonly lengthBytes: number;
}

/** The 20 bytes before a piece of a structured reply. */
export function encodeChunkHeader({ type, isDone, cookie, lengthBytes }: ChunkHeader): Buffer {
  const bytes = Buffer.allocUnsafe(4 + CHUNK_REST_BYTES);
  bytes.writeUInt32BE(CHUNK_MAGIC, 0);
  bytes.writeUInt16BE(isDone ? CHUNK_FLAG_DONE : 0, 4);
  bytes.writeUInt16BE(type, 6);
  cookie.copy(bytes, 8);
  bytes.writeUInt32BE(lengthBytes, 16);
  return bytes;
}

/** @param rest the header without its magic */
export function decodeChunkHeader(rest: Buffer): ChunkHeader {
  return {
    isDone: (rest.readUInt16BE(0) & CHUNK_FLAG_DONE) !== 0,
    type: rest.readUInt16BE(2),
    cookie: rest.subarray(4, 12),
    lengthBytes: rest.readUInt32BE(12),
  };
}

/** The header of a simple reply; when `errno` is 0 and it answers a READ, the data follows. */
export function encodeSimpleReply(cookie: Buffer, errno: number): Buffer {
  return Buffer.concat([uint32(SIMPLE_REPLY_MAGIC), uint32(errno), cookie]);
}
