/** The server's part of the handshake (fixed newstyle): options until one of them opens an export. No sockets here.
 *  Whatever breaks the protocol is thrown, and ends the connection without an answer. */

import type { HandshakeLink } from './client-handshake.ts';
import type { NbdSource } from './source.ts';
import {
  ALLOCATION_CONTEXT,
  EXPORT_FLAGS_READ_ONLY,
  HANDSHAKE_FLAGS,
  INFO_TYPES,
  lengthAndText,
  MAX_READ_BYTES,
  MAX_STRING_BYTES,
  NBD_MAGIC,
  OPTION_ERRORS,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OPTION_REPLIES,
  OPTIONS,
  optionReply,
  uint16,
  uint32,
  uint64,
} from './wire.ts';

/** What the client opened, and how it wants its replies. */
export interface OpenExport {
  readonly exportName: string;
  readonly source: NbdSource;
  readonly isStructured: boolean;
  /** The client asked for `base:allocation` and may ask for block status. */
  readonly hasAllocation: boolean;
}

/** The number that replies carry instead of the name `base:allocation`. */
export const ALLOCATION_CONTEXT_ID = 1;

/** Data of one option: the longest has a name and a few contexts. Longer ones are passed over up to the second limit. */
const MAX_OPTION_BYTES = 4 * MAX_STRING_BYTES;
const MAX_SKIPPED_BYTES = 2 ** 20;
const MAX_OPTIONS = 256;
const MAX_QUERIES = 64;
const PREFERRED_BLOCK_BYTES = 65_536;

/** Speaks with the client until it opens an export; null when it says goodbye instead.
 *  @throws Error on what is no NBD, on an unknown name by EXPORT_NAME, which has no other answer, and when the client goes */
export async function acceptHandshake(
  link: HandshakeLink,
  exports: ReadonlyMap<string, NbdSource>,
): Promise<OpenExport | null> {
  const { reader } = link;
  const serverFlags = HANDSHAKE_FLAGS.fixedNewstyle | HANDSHAKE_FLAGS.noZeroes;
  link.write(Buffer.concat([NBD_MAGIC, OPTION_MAGIC, uint16(serverFlags)]));
  const clientFlags = (await reader.take(4)).readUInt32BE(0);
  if ((clientFlags & ~serverFlags) !== 0) throw new Error(`unknown client flags ${clientFlags}`);
  const handshake = new Handshake(link, exports, (clientFlags & HANDSHAKE_FLAGS.noZeroes) !== 0);
  for (let options = 0; options < MAX_OPTIONS; options += 1) {
    const header = await reader.take(OPTION_HEADER_BYTES);
    if (!header.subarray(0, 8).equals(OPTION_MAGIC)) throw new Error('no option of NBD');
    const option = header.readUInt32BE(8);
    const lengthBytes = header.readUInt32BE(12);
    if (lengthBytes > MAX_SKIPPED_BYTES) throw new Error(`an option of ${lengthBytes} bytes`);
    if (lengthBytes > MAX_OPTION_BYTES) {
      await reader.skip(lengthBytes);
      link.write(optionReply(option, OPTION_ERRORS.tooBig));
      continue;
    }
    const outcome = handshake.answer(option, await reader.take(lengthBytes));
    if (outcome !== 'more') return outcome;
  }
  throw new Error('options without end');
}

class Handshake {
  readonly #link: HandshakeLink;
  readonly #exports: ReadonlyMap<string, NbdSource>;
  readonly #skipsZeroes: boolean;
  #isStructured = false;
  /** The export that `base:allocation` was asked for. */
  #allocationOf: string | null = null;

  constructor(link: HandshakeLink, exports: ReadonlyMap<string, NbdSource>, skipsZeroes: boolean) {
    this.#link = link;
    this.#exports = exports;
    this.#skipsZeroes = skipsZeroes;
  }

  answer(option: number, data: Buffer): OpenExport | null | 'more' {
    const reply = (type: number, content?: Buffer) => this.#link.write(optionReply(option, type, content));
    switch (option) {
      case OPTIONS.exportName:
        return this.#openByName(data.toString('utf8'));
      case OPTIONS.abort:
        reply(OPTION_REPLIES.ack);
        return null;
      case OPTIONS.list:
        if (data.length > 0) reply(OPTION_ERRORS.invalid);
        else {
          for (const name of this.#exports.keys()) reply(OPTION_REPLIES.server, lengthAndText(name));
          reply(OPTION_REPLIES.ack);
        }
        return 'more';
      case OPTIONS.structuredReply:
        if (data.length > 0) reply(OPTION_ERRORS.invalid);
        else {
          this.#isStructured = true;
          reply(OPTION_REPLIES.ack);
        }
        return 'more';
      case OPTIONS.listMetaContext:
      case OPTIONS.setMetaContext:
        this.#answerContexts(option, data, reply);
        return 'more';
      case OPTIONS.info:
      case OPTIONS.go:
        return this.#describe(option, data, reply) ?? 'more';
      default:
        reply(OPTION_ERRORS.unsupported);
        return 'more';
    }
  }

  #openByName(exportName: string): OpenExport {
    const source = this.#exports.get(exportName);
    if (!source) throw new Error('an unknown export');
    const zeroes = Buffer.alloc(this.#skipsZeroes ? 0 : 124);
    this.#link.write(Buffer.concat([uint64(source.sizeBytes), uint16(EXPORT_FLAGS_READ_ONLY), zeroes]));
    return this.#opened(exportName, source);
  }

  #describe(option: number, data: Buffer, reply: (type: number, content?: Buffer) => void): OpenExport | null {
    const request = new OptionData(data);
    const exportName = request.text();
    const count = request.uint16();
    const wanted = new Set(Array.from({ length: count ?? 0 }, () => request.uint16()));
    if (exportName === null || count === null || !request.isAtEnd) {
      reply(OPTION_ERRORS.invalid);
      return null;
    }
    const source = this.#exports.get(exportName);
    if (!source) {
      reply(OPTION_ERRORS.unknownExport, Buffer.from('there is no such export'));
      return null;
    }
    const description = [uint16(INFO_TYPES.export), uint64(source.sizeBytes), uint16(EXPORT_FLAGS_READ_ONLY)];
    reply(OPTION_REPLIES.info, Buffer.concat(description));
    if (wanted.has(INFO_TYPES.blockSize)) {
      const sizes = [uint32(1), uint32(PREFERRED_BLOCK_BYTES), uint32(MAX_READ_BYTES)];
      reply(OPTION_REPLIES.info, Buffer.concat([uint16(INFO_TYPES.blockSize), ...sizes]));
    }
    reply(OPTION_REPLIES.ack);
    return option === OPTIONS.go ? this.#opened(exportName, source) : null;
  }

  #answerContexts(option: number, data: Buffer, reply: (type: number, content?: Buffer) => void): void {
    const isSet = option === OPTIONS.setMetaContext;
    const request = new OptionData(data);
    const exportName = request.text();
    const count = request.uint32();
    if (isSet) this.#allocationOf = null;
    if (exportName === null || count === null || count > MAX_QUERIES || (isSet && !this.#isStructured)) {
      reply(OPTION_ERRORS.invalid);
      return;
    }
    const queries = Array.from({ length: count }, () => request.text());
    if (!request.isAtEnd) return void reply(OPTION_ERRORS.invalid);
    if (!this.#exports.has(exportName)) return void reply(OPTION_ERRORS.unknownExport);
    const isWanted = isSet
      ? queries.includes(ALLOCATION_CONTEXT)
      : count === 0 || queries.includes('base:') || queries.includes(ALLOCATION_CONTEXT);
    if (isWanted) {
      if (isSet) this.#allocationOf = exportName;
      const id = uint32(isSet ? ALLOCATION_CONTEXT_ID : 0);
      reply(OPTION_REPLIES.metaContext, Buffer.concat([id, Buffer.from(ALLOCATION_CONTEXT)]));
    }
    reply(OPTION_REPLIES.ack);
  }

  #opened(exportName: string, source: NbdSource): OpenExport {
    const hasAllocation = this.#isStructured && this.#allocationOf === exportName;
    return { exportName, source, isStructured: this.#isStructured, hasAllocation };
  }
}

/** Reads the data of an option front to back; what is not there is null, and the end is then not reached. */
class OptionData {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#data.length;
  }

  uint16(): number | null {
    return this.#next(2)?.readUInt16BE(0) ?? null;
  }

  uint32(): number | null {
    return this.#next(4)?.readUInt32BE(0) ?? null;
  }

  text(): string | null {
    const length = this.uint32();
    return length === null ? null : (this.#next(length)?.toString('utf8') ?? null);
  }

  #next(count: number): Buffer | null {
    const end = this.#at + count;
    // Beyond the end: nothing that follows can be believed either.
    const found = end <= this.#data.length ? this.#data.subarray(this.#at, end) : null;
    this.#at = found ? end : Number.POSITIVE_INFINITY;
    return found;
  }
}
