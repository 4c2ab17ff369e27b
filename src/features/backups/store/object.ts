/** Objects, the only things that hold data: 24 bytes of header, then raw, compressed or sealed bytes. Knows neither files nor threads.
 *  Every byte of the format is told in `docs/reference/backup-format.md`. */

import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { giveBack } from './memory.ts';

/** chunk: a piece of a disk; page: ids of 4096 chunks; blob: a small document. A kind is part of the id. */
export type ObjectKind = 'chunk' | 'page' | 'blob';

/** Of an encrypted repository. */
export interface ObjectKeys {
  readonly id: Uint8Array;
  readonly data: Uint8Array;
}

export const ID_BYTES = 32;
export const HEADER_BYTES = 24;
/** Stands for a chunk or page of zeros, which has no object. */
export const ZERO_ID = Buffer.alloc(ID_BYTES);

const MAGIC = Buffer.from('HN');
const VERSION = 1;
const ZSTD = 1;
const SEALED = 2;
const KIND_FLAGS = { chunk: 0, page: 4, blob: 8 } as const;
const KIND_BYTES = { chunk: Buffer.of(0), page: Buffer.of(1), blob: Buffer.of(2) } as const;
/** Magic, version, flags, raw length. */
const DESCRIBING_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Less than this zlib does not take. */
const LEAST_PIECE_BYTES = 64;

/** Why an object is not what its id promises. The text is for people and names neither file nor content. */
export class ObjectDamage extends Error {
  /** True when there is no object at all. */
  readonly isMissing: boolean;
  constructor(reason: string, options: { readonly isMissing?: boolean; readonly cause?: unknown } = {}) {
    super(reason, { cause: options.cause });
    this.isMissing = options.isMissing ?? false;
  }
}

/** SHA-256, or HMAC-SHA-256 in an encrypted repository, over one byte for the kind and the raw bytes. */
export function idOf(kind: ObjectKind, raw: Uint8Array, keys: ObjectKeys | null): Buffer {
  const digest = keys ? createHmac('sha256', keys.id) : createHash('sha256');
  return digest.update(KIND_BYTES[kind]).update(raw).digest();
}

/** Pages stay readable without the key, so that what is in use can be told without it. */
function isSealed(kind: ObjectKind, keys: ObjectKeys | null): keys is ObjectKeys {
  return keys !== null && kind !== 'page';
}

/** The bytes of the file.
 *  @param level of zstd; what does not get smaller is stored as it is */
export function packObject(options: {
  readonly kind: ObjectKind;
  readonly raw: Uint8Array;
  readonly id: Uint8Array;
  readonly keys: ObjectKeys | null;
  readonly level: number;
}): Buffer {
  const { kind, raw, id, keys, level } = options;
  const packed = zstdCompressSync(raw, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    // All of it in one piece, which is given back below: also what gets larger, of which only the joined pieces could be given back.
    chunkSize: mostPackedBytes(raw.length),
  });
  const isSmaller = packed.length < raw.length;
  const content = isSmaller ? packed : raw;
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header[2] = VERSION;
  header[3] = KIND_FLAGS[kind] | (isSmaller ? ZSTD : 0) | (isSealed(kind, keys) ? SEALED : 0);
  header.writeUInt32BE(raw.length, 4);
  const payload = isSealed(kind, keys) ? seal(content, associated(header, id), keys.data) : [content];
  digestOf(header, ...payload).copy(header, DESCRIBING_BYTES);
  // Not from Node's shared pool: the memory goes to another thread.
  const object = Buffer.from(new ArrayBuffer(HEADER_BYTES + payload.reduce((sum, { length }) => sum + length, 0)));
  let at = header.copy(object);
  for (const part of payload) {
    object.set(part, at);
    at += part.length;
  }
  giveBack(packed);
  if (isSealed(kind, keys)) payload.forEach(giveBack);
  return object;
}

/** ZSTD_compressBound. */
const mostPackedBytes = (rawBytes: number): number => rawBytes + (rawBytes >> 8) + LEAST_PIECE_BYTES;

/** The raw bytes of a file, once digest, seal, length and id all fit.
 *  @param keys null in a repository without encryption, and in one that was opened without its key
 *  @param isEncrypted the repository is; without its key nothing but pages can be unpacked, and no id be compared
 *  @throws ObjectDamage */
export function unpackObject(options: {
  readonly kind: ObjectKind;
  readonly object: Buffer;
  readonly id: Uint8Array;
  readonly keys: ObjectKeys | null;
  readonly isEncrypted: boolean;
  readonly maxRawBytes: number;
}): Buffer {
  const { kind, object, id, keys, isEncrypted, maxRawBytes } = options;
  const { flags, rawBytes, payload } = checkedObject(object);
  const mustBeSealed = isEncrypted && kind !== 'page';
  if ((flags & ~ZSTD) !== (KIND_FLAGS[kind] | (mustBeSealed ? SEALED : 0)))
    throw new ObjectDamage('it is an object of another kind');
  if (rawBytes > maxRawBytes) throw new ObjectDamage('it says it is larger than an object can be');
  if (mustBeSealed && !keys) throw new TypeError('a sealed object was to be read without a key');
  const content = mustBeSealed && keys ? unseal(payload, associated(object, id), keys.data) : payload;
  const raw = (flags & ZSTD) === 0 ? content : decompressed(content, rawBytes);
  if (content !== payload && raw !== content) giveBack(content);
  if (raw.length !== rawBytes) throw new ObjectDamage('its length is not what its header says');
  if (isEncrypted && !keys) return raw;
  if (!idOf(kind, raw, keys).equals(id)) throw new ObjectDamage('its content is not what its id stands for');
  return raw;
}

/** What an object says it is; nothing of it is checked. What is no object is taken for a chunk, as which it is refused. */
export function claimedKind(object: Buffer): ObjectKind {
  const flags = object.length < HEADER_BYTES ? 0 : object.readUInt8(3);
  if ((flags & KIND_FLAGS.page) !== 0) return 'page';
  return (flags & KIND_FLAGS.blob) !== 0 ? 'blob' : 'chunk';
}

/** Compares digest and header only: what can be told without a key. @throws ObjectDamage */
export function checkedObject(object: Buffer): {
  readonly flags: number;
  readonly rawBytes: number;
  readonly payload: Buffer;
} {
  if (object.length < HEADER_BYTES) throw new ObjectDamage('it is shorter than its header');
  if (!object.subarray(0, MAGIC.length).equals(MAGIC) || object[2] !== VERSION)
    throw new ObjectDamage('its header is damaged');
  const payload = object.subarray(HEADER_BYTES);
  if (!digestOf(object, payload).equals(object.subarray(DESCRIBING_BYTES, HEADER_BYTES)))
    throw new ObjectDamage('its bytes do not have the digest of its header');
  return { flags: object.readUInt8(3), rawBytes: object.readUInt32BE(4), payload };
}

/** Over the describing part of the header as well, so that no byte can change unseen even without the key. */
function digestOf(header: Buffer, ...payload: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(header.subarray(0, DESCRIBING_BYTES));
  for (const part of payload) hash.update(part);
  return hash.digest().subarray(0, HEADER_BYTES - DESCRIBING_BYTES);
}

/** Binds a seal to the header and to the id: a sealed object cannot be passed off as another one. */
function associated(header: Buffer, id: Uint8Array): Buffer {
  return Buffer.concat([header.subarray(0, DESCRIBING_BYTES), id]);
}

/** AES-256-GCM. */
function seal(content: Uint8Array, aad: Buffer, key: Uint8Array): Uint8Array[] {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
  return [nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()];
}

function unseal(payload: Buffer, aad: Buffer, key: Uint8Array): Buffer {
  if (payload.length < NONCE_BYTES + TAG_BYTES) throw new ObjectDamage('it is shorter than its seal');
  const decipher = createDecipheriv('aes-256-gcm', key, payload.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(aad)
    .setAuthTag(payload.subarray(payload.length - TAG_BYTES));
  const content = decipher.update(payload.subarray(NONCE_BYTES, payload.length - TAG_BYTES));
  try {
    decipher.final();
  } catch (cause) {
    throw new ObjectDamage('its seal is broken', { cause });
  }
  return content;
}

function decompressed(content: Buffer, rawBytes: number): Buffer {
  try {
    // A few bytes can claim to become gigabytes.
    return zstdDecompressSync(content, {
      maxOutputLength: Math.max(1, rawBytes),
      chunkSize: Math.max(LEAST_PIECE_BYTES, rawBytes),
    });
  } catch (cause) {
    throw new ObjectDamage('it cannot be decompressed', { cause });
  }
}
