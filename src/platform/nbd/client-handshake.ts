/** The client's part of the handshake (fixed newstyle): from the greeting to an export that is open. No sockets here. */

import { AppError } from '#kernel/errors.ts';
import type { ByteReader } from './byte-reader.ts';
import { peerText, protocolBroken } from './errors.ts';
import {
  GREETING_BYTES,
  getUint64,
  HANDSHAKE_FLAGS,
  INFO_TYPES,
  lengthAndText,
  MAX_STRING_BYTES,
  NBD_MAGIC,
  OPTION_ERROR_BIT,
  OPTION_ERRORS,
  OPTION_MAGIC,
  OPTION_REPLIES,
  OPTION_REPLY_BYTES,
  OPTION_REPLY_MAGIC,
  OPTIONS,
  optionRequest,
  uint16,
  uint32,
} from './wire.ts';

/** What the handshake talks through. */
export interface HandshakeLink {
  readonly reader: ByteReader;
  write(bytes: Buffer): void;
}

/** What both sides agreed on. */
export interface Agreement {
  readonly sizeBytes: number;
  /** Replies come in pieces; without it there are no contexts. */
  readonly isStructured: boolean;
  /** Contexts granted, with the server's number for each. */
  readonly contextIds: ReadonlyMap<string, number>;
}

/** Replies to one option, and bytes of one reply: far more than any server sends. */
const MAX_OPTION_REPLIES = 64;
const MAX_OPTION_REPLY_BYTES = MAX_STRING_BYTES + 64;

const REASONS: ReadonlyMap<number, string> = new Map([
  [OPTION_ERRORS.policy, 'its policy forbids it'],
  [OPTION_ERRORS.tlsRequired, 'it wants an encrypted connection'],
  [OPTION_ERRORS.unknownExport, 'it has no disk of this name'],
]);

/** Reads the greeting and answers it. */
export async function greet({ reader, write }: HandshakeLink): Promise<void> {
  const greeting = await reader.take(GREETING_BYTES);
  if (!greeting.subarray(0, 8).equals(NBD_MAGIC)) throw protocolBroken('no NBD greeting');
  if (!greeting.subarray(8, 16).equals(OPTION_MAGIC)) throw protocolBroken('the greeting of an old NBD protocol');
  const flags = greeting.readUInt16BE(16);
  if ((flags & HANDSHAKE_FLAGS.fixedNewstyle) === 0) throw protocolBroken('the greeting of an old NBD protocol');
  write(uint32(flags & (HANDSHAKE_FLAGS.fixedNewstyle | HANDSHAKE_FLAGS.noZeroes)));
}

/** Asks for encryption; the TLS handshake is to follow at once.
 *  @throws AppError nbd_refused when the server has none */
export async function askForTls(link: HandshakeLink): Promise<void> {
  link.write(optionRequest(OPTIONS.startTls));
  const reply = await nextReply(link, OPTIONS.startTls);
  if (isRefusal(reply)) throw refused('offers no encryption, which is required here', reply);
  if (reply.type !== OPTION_REPLIES.ack || reply.data.length > 0) throw protocolBroken('a wrong answer to STARTTLS');
}

/** Opens an export. `contexts` that the server does not grant are missing in the result.
 *  @throws AppError nbd_refused, nbd_protocol_broken */
export async function openExport(
  link: HandshakeLink,
  exportName: string,
  contexts: readonly string[],
): Promise<Agreement> {
  const isStructured = await askForStructuredReplies(link);
  const contextIds =
    isStructured && contexts.length > 0 ? await askForContexts(link, exportName, contexts) : new Map<string, number>();
  return { sizeBytes: await go(link, exportName), isStructured, contextIds };
}

async function askForStructuredReplies(link: HandshakeLink): Promise<boolean> {
  link.write(optionRequest(OPTIONS.structuredReply));
  const reply = await nextReply(link, OPTIONS.structuredReply);
  if (isRefusal(reply)) return false;
  if (reply.type !== OPTION_REPLIES.ack) throw protocolBroken('a wrong answer to STRUCTURED_REPLY');
  return true;
}

async function askForContexts(
  link: HandshakeLink,
  exportName: string,
  contexts: readonly string[],
): Promise<Map<string, number>> {
  const queries = [lengthAndText(exportName), uint32(contexts.length), ...contexts.map(lengthAndText)];
  link.write(optionRequest(OPTIONS.setMetaContext, Buffer.concat(queries)));
  const granted = new Map<string, number>();
  for (let replies = 0; replies < MAX_OPTION_REPLIES; replies += 1) {
    const reply = await nextReply(link, OPTIONS.setMetaContext);
    if (isRefusal(reply)) return new Map(); // a reason that matters comes again when the export is opened
    if (reply.type === OPTION_REPLIES.ack) return granted;
    if (reply.type !== OPTION_REPLIES.metaContext || reply.data.length < 4)
      throw protocolBroken('a wrong answer to SET_META_CONTEXT');
    const id = reply.data.readUInt32BE(0);
    const name = reply.data.toString('utf8', 4);
    if (!contexts.includes(name) || granted.has(name) || [...granted.values()].includes(id))
      throw protocolBroken('a context that was not asked for');
    granted.set(name, id);
  }
  throw protocolBroken('contexts without end');
}

async function go(link: HandshakeLink, exportName: string): Promise<number> {
  link.write(optionRequest(OPTIONS.go, Buffer.concat([lengthAndText(exportName), uint16(0)])));
  let sizeBytes: number | null = null;
  for (let replies = 0; replies < MAX_OPTION_REPLIES; replies += 1) {
    const reply = await nextReply(link, OPTIONS.go);
    if (isRefusal(reply)) throw refused(`does not open the disk "${exportName}"`, reply);
    if (reply.type === OPTION_REPLIES.ack) {
      if (sizeBytes === null) throw protocolBroken('no size of the disk');
      return sizeBytes;
    }
    if (reply.type !== OPTION_REPLIES.info || reply.data.length < 2) throw protocolBroken('a wrong answer to GO');
    if (reply.data.readUInt16BE(0) !== INFO_TYPES.export) continue;
    if (reply.data.length !== 12) throw protocolBroken('a wrong description of the disk');
    sizeBytes = getUint64(reply.data, 2);
    if (!Number.isSafeInteger(sizeBytes)) throw protocolBroken(`a disk of ${sizeBytes} bytes`);
  }
  throw protocolBroken('descriptions of the disk without end');
}

interface OptionReply {
  readonly type: number;
  readonly data: Buffer;
}

async function nextReply({ reader }: HandshakeLink, option: number): Promise<OptionReply> {
  const header = await reader.take(OPTION_REPLY_BYTES);
  if (!header.subarray(0, 8).equals(OPTION_REPLY_MAGIC))
    throw protocolBroken('something that is no reply to an option');
  if (header.readUInt32BE(8) !== option) throw protocolBroken('a reply to another option');
  const lengthBytes = header.readUInt32BE(16);
  if (lengthBytes > MAX_OPTION_REPLY_BYTES) throw protocolBroken(`${lengthBytes} bytes as a reply to an option`);
  return { type: header.readUInt32BE(12), data: await reader.take(lengthBytes) };
}

function isRefusal({ type }: OptionReply): boolean {
  return type >= OPTION_ERROR_BIT;
}

function refused(what: string, { type, data }: OptionReply): AppError {
  const reason = REASONS.get(type);
  return new AppError('nbd_refused', {
    detail: `The server of the disk’s data ${what}${reason ? `: ${reason}` : ''}.`,
    cause: new Error(`option reply 0x${type.toString(16)}: ${peerText(data) || 'no text'}`),
  });
}
