/** Checks a chain of audit records wherever it lies: at the daemon, in an exported file, in a copy of the database; in constant memory, and
 *  beside a mirror when there is one. The daemon's word is not taken: the records themselves are read and hashed here. */

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import type { Readable } from 'node:stream';
import type { AuditFinding, AuditVerification } from '#contract/audit.ts';
import { type ChainStatement, type ChainVerifier, createChainVerifier } from '#contract/audit-chain.ts';
import { messageOf } from '#kernel/errors.ts';
import { usageFailure } from './failure.ts';
import { unreadable } from './files.ts';

const SQLITE_MAGIC = Buffer.from('SQLite format 3\0');
const LINE_FEED = 0x0a;
const MAX_LINE = 1024 * 1024;
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

/** Feeds each line of the stream, without copying more than what lies across two pieces. */
async function eachLine(stream: AsyncIterable<unknown>, take: (line: Buffer) => void | Promise<void>): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of stream) {
    const chunk = Buffer.isBuffer(piece) ? piece : Buffer.from(String(piece));
    const data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    let start = 0;
    for (let end = data.indexOf(LINE_FEED); end >= 0; end = data.indexOf(LINE_FEED, start)) {
      const taken = take(data.subarray(start, end));
      if (taken) await taken;
      start = end + 1;
    }
    rest = data.subarray(start);
    if (rest.length > MAX_LINE)
      throw usageFailure(
        'this is no audit log: a line has more than a megabyte',
        'Give an export, a mirror or a copy of state.db.',
      );
  }
  if (rest.length > 0) await take(rest);
}

/** Reads a mirror beside the chain: both are in order, so each is read once. */
async function openMirror(path: string): Promise<MirrorReader> {
  const lines = recordsOf(createReadStream(path, { highWaterMark: 1024 * 1024 }));
  let current = await lines.next();
  const upTo = async (seq: number) => {
    while (!current.done && current.value.seq < seq) current = await lines.next();
  };
  return {
    async hashOf(seq) {
      await upTo(seq);
      return !current.done && current.value.seq === seq ? current.value.hash : null;
    },
    async rest(after) {
      await upTo(after + 1);
      if (current.done) return null;
      const from = current.value.seq;
      let to = from;
      for (; !current.done; current = await lines.next()) to = Math.max(to, current.value.seq);
      return { from, to };
    },
  };
}

const RECORD = /^\{"v":1,"seq":(\d{1,15}),.*,"hash":"([0-9a-f]{64})"\}$/;

async function* recordsOf(stream: Readable): AsyncGenerator<{ readonly seq: number; readonly hash: string }> {
  let rest = '';
  for await (const chunk of stream.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [, seq, hash] = RECORD.exec(line) ?? [];
      if (seq !== undefined && hash !== undefined) yield { seq: Number(seq), hash };
    }
  }
}

/** The signed checkpoints of a mirror; they say what the chain was, whoever holds it. */
async function statementsOf(path: string): Promise<Buffer[]> {
  const statements: Buffer[] = [];
  await eachLine(createReadStream(path, { highWaterMark: 1024 * 1024 }), (line) => {
    if (line.subarray(0, 14).toString('latin1') === '{"checkpoint":') statements.push(Buffer.from(line));
  });
  return statements;
}

/** Checks what this stream of lines holds. */
export async function verifyStream(stream: AsyncIterable<unknown>, options: VerifyOptions): Promise<AuditVerification> {
  return withMirror(options, async (verifier, compare) => {
    if (compare === null) await eachLine(stream, (line) => verifier.line(line));
    else
      await eachLine(stream, async (line) => {
        verifier.line(line);
        const [, seq, hash] = RECORD.exec(line.toString('utf8')) ?? [];
        if (seq !== undefined && hash !== undefined) await compare(Number(seq), hash);
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
  if (!head.equals(SQLITE_MAGIC)) return verifyStream(createReadStream(path, { highWaterMark: 1024 * 1024 }), options);
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
  for (const line of await statementsOf(mirror)) verifier.line(line);
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
