/** The chain of audit records as it is written down, and the one way to check it: used by hyperd on its own table and by `hv audit verify`
 *  on what was exported, mirrored or copied. A line is the record's exact bytes with its hash appended, so nothing is ever written anew to
 *  check it. Format: docs/guides/audit.md. */

import { createHash, createPublicKey, hash as digestOf, type KeyObject, verify } from 'node:crypto';
import type { AuditFinding, AuditVerification } from './audit.ts';

/** What stands before the first record. */
export const GENESIS = '0'.repeat(64);

const HASH_CHARS = 64;
const MAX_FINDINGS = 100;
/** A checkpoint stands after the record that it signs by less than this. */
const RECENT = 4096;
/** More gaps than that are one: the file is not this chain. */
const MAX_GAPS = 10_000;

/** `,"hash":"…"}`: what a line has more than the record's own bytes. */
const SUFFIX_START = Buffer.from(',"hash":"');
const SUFFIX_BYTES = SUFFIX_START.length + HASH_CHARS + 2;
const RECORD_START = '{"v":1,"seq":';

/** @param body the record's JSON as it was hashed, beginning with `{"v":1,"seq":N,"prev":"…"` */
export function chainHash(prev: string, body: string): string {
  return digestOf('sha256', prev + body, 'hex');
}

/** One record as a line, without line feed. */
export function chainLine(body: string, hash: string): string {
  return `${body.slice(0, -1)},"hash":"${hash}"}`;
}

/** A statement that was signed: a checkpoint of the chain, or the stub that stands for records removed by age. */
export interface Signed {
  readonly body: string;
  readonly signature: string;
}

export interface SignedPoint {
  readonly seq: number;
  readonly hash: string;
  readonly at: string;
}

export type ChainStatement = { readonly kind: 'checkpoint' | 'stub' } & Signed;

export function statementLine({ kind, body, signature }: ChainStatement): string {
  return `{"${kind}":${body},"signature":"${signature}"}`;
}

/** First line of an export: which chain it is, and the key of its checkpoints. */
export function headerLine(publicKeyPem: string): string {
  return JSON.stringify({ chain: chainId(publicKeyPem), key: publicKeyPem });
}

/** The fingerprint of the key: SHA-256 of its SPKI, 32 hex characters. */
export function chainId(publicKeyPem: string): string {
  const spki = createPublicKey(publicKeyPem).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('hex').slice(0, 32);
}

const STATEMENT = /^\{"(checkpoint|stub)":(\{.*\}),"signature":"([A-Za-z0-9+/=]{1,200})"\}$/;

function pointOf(body: string): SignedPoint | null {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed !== 'object' || parsed === null) return null;
    const { seq, hash, at } = { seq: null, hash: null, at: '', ...parsed };
    return typeof seq === 'number' && typeof hash === 'string' ? { seq, hash, at: String(at) } : null;
  } catch {
    // Not JSON: a damaged statement, which the caller names.
    return null;
  }
}

interface Gap {
  from: number;
  to: number;
}

export interface ChainVerifier {
  /** One line of an export, a mirror or a table, without line feed; lines come in the order in which they are kept. */
  line(bytes: Buffer): void;
  /** A record from a table: no line needs to be made of it. */
  record(body: string, hash: string): void;
  statement(statement: ChainStatement): void;
  /** `seq` of the last record that was read. */
  readonly lastSeq: number;
  end(at: Date): AuditVerification;
}

/** @param options.key of the checkpoints; without it the header of the lines names it
 *  @param options.isMirror records sent twice are expected, and it may begin anywhere */
export function createChainVerifier(
  options: { readonly key?: string; readonly isMirror?: boolean } = {},
): ChainVerifier {
  const isMirror = options.isMirror === true;
  let key: KeyObject | null = options.key === undefined ? null : createPublicKey(options.key);
  const findings: AuditFinding[] = [];
  const gaps: Gap[] = [];
  /** Checkpoints that may concern records still to come. */
  const pending = new Map<number, SignedPoint>();
  /** Hashes of the newest records, by place; what `seq` stands there tells whose. */
  const recentSeqs = new Float64Array(RECENT);
  const recentHashes = new Array<string>(RECENT).fill('');
  let scratch = Buffer.alloc(16 * 1024);
  let records = 0;
  let agreed = 0;
  let firstSeq: number | null = null;
  let lastSeq = 0;
  let lastHash: string | null = null;
  let highest = 0;

  const find = (kind: AuditFinding['kind'], seq: number, detail: string, to = seq) => {
    if (findings.length < MAX_FINDINGS) findings.push({ kind, seq, to, detail });
  };

  const fill = (seq: number): boolean => {
    const index = gaps.findIndex(({ from, to }) => from <= seq && seq <= to);
    const gap = gaps[index];
    if (!gap) return false;
    const parts = [
      { from: gap.from, to: seq - 1 },
      { from: seq + 1, to: gap.to },
    ].filter(({ from, to }) => from <= to);
    gaps.splice(index, 1, ...parts);
    return true;
  };

  /** Where it stands: `seq` and `prev` against what was read before. */
  const place = (seq: number, prev: string, hash: string) => {
    records += 1;
    if (firstSeq === null) {
      firstSeq = seq;
      if (!isMirror && seq === 1 && prev !== GENESIS) find('rewritten', 1, 'The first record does not begin a chain.');
      if (!isMirror && seq > 1) gaps.push({ from: 1, to: seq - 1 });
    } else if (seq === highest + 1) {
      // The usual case. What it says of the one before must be so.
      const before = hashAt(highest);
      if (before !== null && prev !== before && findings.at(-1)?.seq !== highest)
        find(
          'changed',
          highest,
          `Record ${seq} was written after another record ${highest} than the one that is there.`,
        );
    } else if (seq > highest) {
      if (gaps.length < MAX_GAPS) gaps.push({ from: highest + 1, to: seq - 1 });
    } else if (fill(seq)) {
      find('reordered', seq, `Record ${seq} stands after record ${highest}.`);
    } else if (!isMirror) {
      find('duplicated', seq, `Record ${seq} is there more than once.`);
    }
    highest = Math.max(highest, seq);
    lastSeq = seq;
    lastHash = hash;
    recentSeqs[seq % RECENT] = seq;
    recentHashes[seq % RECENT] = hash;
    const awaited = pending.size > 0 ? pending.get(seq) : undefined;
    if (awaited) {
      judge(awaited, hash);
      pending.delete(seq);
    }
  };

  const hashAt = (seq: number): string | null =>
    recentSeqs[seq % RECENT] === seq && seq > 0 ? (recentHashes[seq % RECENT] ?? null) : null;

  const judge = (point: SignedPoint, hash: string) => {
    if (point.hash === hash) agreed += 1;
    else
      find(
        'rewritten',
        point.seq,
        `The checkpoint of ${point.at} signed another record ${point.seq}: it or a record before it was replaced.`,
      );
  };

  const judgeBytes = (length: number, hash: string) => {
    const body = scratch.toString('latin1', HASH_CHARS, HASH_CHARS + 110);
    const seqEnd = body.indexOf(',', RECORD_START.length);
    const seq = Number(body.slice(RECORD_START.length, seqEnd));
    if (
      !body.startsWith(RECORD_START) ||
      !Number.isSafeInteger(seq) ||
      body.slice(seqEnd, seqEnd + 9) !== ',"prev":"'
    ) {
      find('changed', highest + 1, `After record ${highest} something stands that is no record.`);
      return;
    }
    const prev = body.slice(seqEnd + 9, seqEnd + 9 + HASH_CHARS);
    scratch.write(prev, 0, 'latin1');
    if (digestOf('sha256', scratch.subarray(0, HASH_CHARS + length), 'hex') !== hash)
      find('changed', seq, `Record ${seq} is not what was recorded.`);
    place(seq, prev, hash);
  };

  const room = (length: number) => {
    if (scratch.length < length + HASH_CHARS + 8) scratch = Buffer.alloc(length * 2 + HASH_CHARS + 8);
  };

  const other = (text: string) => {
    if (text.startsWith('{"chain":')) {
      try {
        const header: unknown = JSON.parse(text);
        if (key === null && typeof header === 'object' && header !== null && 'key' in header)
          key = createPublicKey(String(header.key));
      } catch {
        find('signature', highest + 1, 'The first line names no key that can be read.');
      }
      return;
    }
    const match = STATEMENT.exec(text);
    const [, kind, body, signature] = match ?? [];
    if (body !== undefined && signature !== undefined && (kind === 'checkpoint' || kind === 'stub'))
      statement({ kind, body, signature });
    else if (text.trim() !== '')
      find('changed', highest + 1, `After record ${highest} a line stands that is no record.`);
  };

  const statement = ({ kind, body, signature }: ChainStatement) => {
    const point = pointOf(body);
    if (point === null || key === null || !verify(null, Buffer.from(body), key, Buffer.from(signature, 'base64'))) {
      find('signature', point?.seq ?? highest, `A ${kind} is not signed by the key of this chain.`);
      return;
    }
    if (kind === 'stub') {
      // Stands for all records up to this one.
      if (firstSeq === null) {
        firstSeq = point.seq + 1;
        highest = point.seq;
        lastSeq = point.seq;
        lastHash = point.hash;
        recentSeqs[point.seq % RECENT] = point.seq;
        recentHashes[point.seq % RECENT] = point.hash;
      }
      return;
    }
    const hash = hashAt(point.seq);
    if (hash !== null) judge(point, hash);
    else if (point.seq > highest) pending.set(point.seq, point);
  };

  return {
    line(bytes) {
      const length = bytes.length;
      const start = length - SUFFIX_BYTES;
      const isRecord =
        start > RECORD_START.length &&
        bytes[1] === 0x22 &&
        bytes[2] === 0x76 &&
        bytes[length - 2] === 0x22 &&
        bytes[length - 1] === 0x7d &&
        bytes.compare(SUFFIX_START, 0, SUFFIX_START.length, start, start + SUFFIX_START.length) === 0;
      if (!isRecord) {
        other(bytes.toString('utf8'));
        return;
      }
      room(start);
      bytes.copy(scratch, HASH_CHARS, 0, start);
      scratch[HASH_CHARS + start] = 0x7d;
      judgeBytes(start + 1, bytes.toString('latin1', start + SUFFIX_START.length, length - 2));
    },
    record(body, hash) {
      room(body.length * 3);
      judgeBytes(scratch.write(body, HASH_CHARS, 'utf8'), hash);
    },
    statement,
    get lastSeq() {
      return lastSeq;
    },
    end(at) {
      for (const { from, to } of gaps)
        find('removed', from, from === to ? `Record ${from} is missing.` : `Records ${from} to ${to} are missing.`, to);
      let beyond = 0;
      for (const seq of pending.keys()) beyond = Math.max(beyond, seq);
      if (beyond > highest)
        find(
          'cut',
          highest + 1,
          `A signed checkpoint covers records up to ${beyond}; the last one here is ${highest}.`,
          beyond,
        );
      const sorted = findings.toSorted((a, b) => a.seq - b.seq);
      return {
        ok: sorted.length === 0,
        at: at.toISOString(),
        records,
        firstSeq,
        lastSeq: records === 0 ? null : highest,
        head: lastHash ?? GENESIS,
        checkpoints: agreed,
        findings: sorted,
      };
    },
  };
}
