/** Checks a chain of audit records wherever it lies: at the daemon, in an exported file, in a copy of the database; in constant memory, and
 *  beside a mirror when there is one. The daemon's word is not taken: the records themselves are read and hashed here. */

import { open } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import type { AuditFinding, AuditVerification } from '#contract/audit.ts';
import { type ChainStatement, type ChainVerifier, createChainVerifier } from '#contract/audit-chain.ts';
import { messageOf } from '#kernel/errors.ts';
import { usageFailure } from './failure.ts';
import { unreadable } from './files.ts';

const SQLITE_MAGIC = Buffer.from('SQLite format 3\0');
const LINE_FEED = 0x0a;
const MAX_LINE = 1024 * 1024;
const PIECE_BYTES = 256 * 1024;
/** Findings of the comparison with a mirror. */
const MAX_DIFFERENCES = 100;

/** What a mirror holds, by place: compared with the chain as it is read. */
interface MirrorReader {
  /** Hash that the mirror has for this record, or null. */
  hashOf(seq: number): Promise<string | null>;
  /** What it has beyond this record. */
  rest(after: number): Promise<{ readonly from: number; readonly to: number } | null>;
}

export interface VerifyOptions {
  /** Public key of the checkpoints, PEM; else the one that lies with the records. */
  readonly key?: string | undefined;
  readonly mirror?: string | undefined;
}

/** Cuts pieces into lines. Both lie in one buffer that is used again and again, so a long log leaves nothing behind to be cleared away. */
function createLineCutter(): { of(piece: Uint8Array): Generator<Buffer>; rest(): Buffer } {
  const window = Buffer.allocUnsafeSlow(MAX_LINE + PIECE_BYTES);
  let filled = 0;
  return {
    /** The lines that end in this piece; each is good until the next one is asked for. */
    *of(piece) {
      for (let at = 0; at < piece.length; at += PIECE_BYTES) {
        const part = piece.subarray(at, at + PIECE_BYTES);
        window.set(part, filled);
        // What was there before has no line feed.
        let end = window.subarray(0, filled + part.length).indexOf(LINE_FEED, filled);
        filled += part.length;
        const data = window.subarray(0, filled);
        let start = 0;
        for (; end >= 0; end = data.indexOf(LINE_FEED, start)) {
          yield data.subarray(start, end);
          start = end + 1;
        }
        window.copyWithin(0, start, filled);
        filled -= start;
        if (filled > MAX_LINE)
          throw usageFailure(
            'this is no audit log: a line has more than a megabyte',
            'Give an export, a mirror or a copy of state.db.',
          );
      }
    },
    rest: () => window.subarray(0, filled),
  };
}

async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(piece, 0, PIECE_BYTES);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
  }
}

async function eachLine(pieces: AsyncIterable<unknown>, take: (line: Buffer) => void | Promise<void>): Promise<void> {
  const cutter = createLineCutter();
  for await (const piece of pieces) {
    for (const line of cutter.of(piece instanceof Uint8Array ? piece : Buffer.from(String(piece)))) {
      const taken = take(line);
      if (taken) await taken;
    }
  }
  if (cutter.rest().length > 0) await take(cutter.rest());
}

/** Reads a mirror beside the chain: both are in order, so each is read once. */
async function openMirror(path: string): Promise<MirrorReader> {
  const pieces = piecesOf(path);
  const cutter = createLineCutter();
  let lines = cutter.of(Buffer.alloc(0));
  let current: RecordPlace | null = null;
  const advance = async (): Promise<void> => {
    for (;;) {
      for (let line = lines.next(); !line.done; line = lines.next()) {
        current = placeOf(line.value);
        if (current !== null) return;
      }
      const piece = await pieces.next();
      if (piece.done) {
        // A last line without its end may be half a record.
        current = null;
        return;
      }
      lines = cutter.of(piece.value);
    }
  };
  await advance();
  const upTo = async (seq: number): Promise<RecordPlace | null> => {
    while (current !== null && current.seq < seq) await advance();
    return current;
  };
  return {
    async hashOf(seq) {
      const found = await upTo(seq);
      return found?.seq === seq ? found.hash : null;
    },
    async rest(after) {
      const found = await upTo(after + 1);
      if (found === null) return null;
      let to = found.seq;
      for (let next: RecordPlace | null = found; next !== null; next = await upTo(to + 1)) to = next.seq;
      return { from: found.seq, to };
    },
  };
}

interface RecordPlace {
  readonly seq: number;
  readonly hash: string;
}

const RECORD_START = Buffer.from('{"v":1,"seq":');
const RECORD_END = /^,"hash":"([0-9a-f]{64})"\}$/;
const END_CHARS = 75;

/** Place and hash of a record's line; null for every other line. Only its ends are looked at. */
function placeOf(line: Buffer): RecordPlace | null {
  if (line.length < RECORD_START.length + END_CHARS || RECORD_START.compare(line, 0, RECORD_START.length) !== 0)
    return null;
  const [, seq] = /^(\d{1,15}),/.exec(line.toString('latin1', RECORD_START.length, RECORD_START.length + 16)) ?? [];
  const [, hash] = RECORD_END.exec(line.toString('latin1', line.length - END_CHARS)) ?? [];
  return seq === undefined || hash === undefined ? null : { seq: Number(seq), hash };
}

const STATEMENT_START = Buffer.from('{"checkpoint":');
/** The signed checkpoints of a mirror; they say what the chain was, whoever holds it. */
const isCheckpoint = (line: Buffer): boolean => STATEMENT_START.equals(line.subarray(0, STATEMENT_START.length));

/** Checks what this stream of lines holds. */
export async function verifyStream(stream: AsyncIterable<unknown>, options: VerifyOptions): Promise<AuditVerification> {
  return withMirror(options, async (verifier, compare) => {
    if (compare === null) await eachLine(stream, (line) => verifier.line(line));
    else
      await eachLine(stream, async (line) => {
        verifier.line(line);
        const place = placeOf(line);
        if (place !== null) await compare(place.seq, place.hash);
      });
  });
}

/** Checks an exported file, a mirror, or a copy of the database. @throws Failure exit 2 when it is none of these */
export async function verifyFile(path: string, options: VerifyOptions): Promise<AuditVerification> {
  const head = Buffer.alloc(SQLITE_MAGIC.length);
  try {
    await using file = await open(path);
    await file.read(head, 0, head.length, 0);
  } catch (error) {
    throw unreadable(path, error);
  }
  if (!head.equals(SQLITE_MAGIC)) return verifyStream(piecesOf(path), options);
  const database = openCopy(path);
  try {
    return await verifyDatabase(database, options);
  } finally {
    database.close();
  }
}

function openCopy(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    database.prepare('SELECT seq FROM audit_checkpoint LIMIT 1').all();
    return database;
  } catch (error) {
    throw usageFailure(
      `"${path}" cannot be read as the database of hyperd: ${messageOf(error)}`,
      'Copy state.db together with state.db-wal while hyperd is stopped, or export with `hv audit export`.',
    );
  }
}

async function verifyDatabase(database: DatabaseSync, options: VerifyOptions): Promise<AuditVerification> {
  const stored = database.prepare('SELECT public_key FROM audit_key').get()?.['public_key'];
  const key = options.key ?? (typeof stored === 'string' ? stored : undefined);
  return withMirror({ ...options, key }, async (verifier, compare) => {
    const statementOf = (kind: ChainStatement['kind'], row: Readonly<Record<string, unknown>>): ChainStatement => ({
      kind,
      body: String(row['body']),
      signature: String(row['signature']),
    });
    const stub = database.prepare('SELECT body, signature FROM audit_stub').get();
    if (stub) verifier.statement(statementOf('stub', stub));
    const points = database.prepare('SELECT seq, body, signature FROM audit_checkpoint ORDER BY seq').iterate();
    let point = points.next();
    const rows = database.prepare('SELECT body, hash, seq FROM audit ORDER BY seq');
    rows.setReturnArrays(true);
    for (const row of rows.iterate()) {
      const [body, hash, seq] = Object.values(row);
      if (typeof body !== 'string' || typeof hash !== 'string') continue;
      verifier.record(body, hash);
      while (!point.done && Number(point.value['seq']) <= Number(seq)) {
        verifier.statement(statementOf('checkpoint', point.value));
        point = points.next();
      }
      if (compare) await compare(Number(seq), hash);
    }
    for (; !point.done; point = points.next()) verifier.statement(statementOf('checkpoint', point.value));
  });
}

type Compare = ((seq: number, hash: string) => Promise<void>) | null;

async function withMirror(
  { key, mirror }: VerifyOptions,
  read: (verifier: ChainVerifier, compare: Compare) => Promise<void>,
): Promise<AuditVerification> {
  const verifier = createChainVerifier(key === undefined ? {} : { key });
  if (mirror === undefined) {
    await read(verifier, null);
    return verifier.end(new Date());
  }
  const differences: AuditFinding[] = [];
  const copy = await openMirror(mirror).catch((error: unknown) => Promise.reject(unreadable(mirror, error)));
  let last = 0;
  await read(verifier, async (seq, hash) => {
    last = Math.max(last, seq);
    const mirrored = await copy.hashOf(seq);
    if (mirrored !== null && mirrored !== hash && differences.length < MAX_DIFFERENCES)
      differences.push({ kind: 'rewritten', seq, to: seq, detail: `The mirror has another record ${seq}.` });
  });
  await eachLine(piecesOf(mirror), (line) => {
    if (isCheckpoint(line)) verifier.line(line);
  });
  const beyond = await copy.rest(last);
  if (beyond !== null)
    differences.push({
      kind: 'cut',
      seq: beyond.from,
      to: beyond.to,
      detail: `The mirror has records up to ${beyond.to}; the last one here is ${last}.`,
    });
  const found = verifier.end(new Date());
  const known = new Set(differences.map(({ kind, seq }) => `${kind} ${seq}`));
  const findings = [...found.findings.filter(({ kind, seq }) => !known.has(`${kind} ${seq}`)), ...differences].sort(
    (a, b) => a.seq - b.seq,
  );
  return { ...found, ok: findings.length === 0, findings };
}
