/** Frames between hyperd and the agent of the appliance, see `guest/agent`. What comes from there may be written by a file system that took
 *  the appliance over: lengths and numbers are bounds-checked before they are used. */

export type Frame =
  /** Entries. */
  | { readonly kind: 'entries'; readonly entries: readonly AgentEntry[] }
  | { readonly kind: 'data'; readonly bytes: Buffer }
  | { readonly kind: 'zeros'; readonly lengthBytes: number }
  | { readonly kind: 'file_end' }
  /** A file or folder that could not be read and is left out. */
  | { readonly kind: 'unreadable'; readonly path: Buffer; readonly why: string }
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'failed'; readonly code: string; readonly text: Buffer };

export interface AgentEntry {
  readonly kind: 'file' | 'folder' | 'link' | 'other' | 'unreadable';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Seconds since 1970. */
  readonly modifiedSeconds: number;
  /** A name, or a path below the folder that was asked for; not looked at yet. */
  readonly name: Buffer;
  readonly target: Buffer;
}

/** It does not speak as agreed: nothing more of it is believed. */
export class WireError extends Error {}

/** More than the agent ever sends. */
const MAX_FRAME_BYTES = 2 ** 20;
const ENTRY_BYTES = 1 + 4 + 4 + 4 + 8 + 8;
const KINDS = { f: 'file', d: 'folder', l: 'link', o: 'other', '?': 'unreadable' } as const;

export function requestFrame(words: readonly string[] | readonly Uint8Array[]): Buffer {
  const parts = words.flatMap((word, n) => {
    const bytes = typeof word === 'string' ? Buffer.from(word) : Buffer.from(word);
    if (bytes.includes(0)) throw new WireError('a word of a request holds NUL');
    return n === 0 ? [bytes] : [Buffer.of(0), bytes];
  });
  const body = Buffer.concat([Buffer.from('Q'), ...parts]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}

/** @throws WireError */
export function readLength(bytes: Buffer): number {
  const length = bytes.readUInt32BE(0);
  if (length < 1 || length > MAX_FRAME_BYTES) throw new WireError(`a frame of ${length} bytes`);
  return length;
}

/** @throws WireError */
export function readFrame(frame: Buffer): Frame {
  const rest = frame.subarray(1);
  switch (frame.toString('latin1', 0, 1)) {
    case 'I':
      return { kind: 'entries', entries: readEntries(rest) };
    case 'D':
      return { kind: 'data', bytes: rest };
    case 'Z':
      return { kind: 'zeros', lengthBytes: rest.length === 8 ? safeNumber(rest.readBigUInt64BE(0)) : refuse('Z') };
    case 'F':
      return { kind: 'file_end' };
    case 'X': {
      const at = rest.indexOf(0);
      if (at < 0) refuse('X');
      return { kind: 'unreadable', path: rest.subarray(0, at), why: rest.toString('latin1', at + 1) };
    }
    case 'O':
      return { kind: 'done', text: rest.toString('utf8') };
    case 'E': {
      const at = rest.indexOf(0);
      if (at < 0) refuse('E');
      return { kind: 'failed', code: rest.toString('latin1', 0, at), text: rest.subarray(at + 1) };
    }
    default:
      return refuse(String(frame[0]));
  }
}

function readEntries(bytes: Buffer): AgentEntry[] {
  const entries: AgentEntry[] = [];
  let at = 0;
  const counted = (): Buffer => {
    if (at + 2 > bytes.length) refuse('I');
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) refuse('I');
    const part = bytes.subarray(at + 2, end);
    at = end;
    return part;
  };
  while (at < bytes.length) {
    if (at + ENTRY_BYTES > bytes.length) refuse('I');
    const letter = bytes.toString('latin1', at, at + 1);
    const kind = isKind(letter) ? KINDS[letter] : refuse('I');
    const fixed = bytes.subarray(at, at + ENTRY_BYTES);
    at += ENTRY_BYTES;
    entries.push({
      kind,
      mode: fixed.readUInt32BE(1),
      uid: fixed.readUInt32BE(5),
      gid: fixed.readUInt32BE(9),
      sizeBytes: safeNumber(fixed.readBigUInt64BE(13)),
      modifiedSeconds: Number(fixed.readBigInt64BE(21)),
      name: counted(),
      target: counted(),
    });
  }
  return entries;
}

const isKind = (letter: string): letter is keyof typeof KINDS => letter in KINDS;

function safeNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WireError('a number that is too large');
  return Number(value);
}

function refuse(letter: string): never {
  throw new WireError(`a frame ${letter} that makes no sense`);
}
