/** The audit log against those who want it to say something else, against disks that fail, and when it is long.
 *  Rows H2, H3 and H9 of the hostile inputs. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { chainHash, GENESIS } from '#contract/audit-chain.ts';
import { ApiProblem } from '#contract/client.ts';
import { makeChain } from '#test/support/audit-chain.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { hvOffline, hvOn } from '#test/support/hv.ts';

/** Writing a million takes minutes. */
const LONG_LOG = process.env['HV_TEST_FULL'] === '1' ? 1_000_000 : 150_000;

let folder: string;
/** A copy of a real daemon's database, its mirror, and nothing that runs. */
let original: string;
let mirror: string;
let key: string;
let last: number;
/** The record that the checkpoint of the daemon's end signs. */
let signed: number;

const verificationSchema = z.object({
  ok: z.boolean(),
  records: z.int(),
  lastSeq: z.int().nullable(),
  findings: z.array(z.object({ kind: z.string(), seq: z.int(), to: z.int() })),
});

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-audit-'));
  mirror = join(folder, 'mirror.jsonl');
  const stateDir = join(folder, 'state');
  const daemon = await startDaemon({ stateDir, waitFor: 'doors', config: { audit: { mirrorFile: mirror } } });
  try {
    for (let n = 0; n < 12; n += 1) await change(daemon);
    const status = await daemon.admin('GET /audit/status');
    key = join(folder, 'key.pem');
    await writeFile(key, status.publicKey);
    last = status.head.seq;
    const end = performance.now() + 10_000;
    while ((await daemon.admin('GET /audit/status')).mirrors[0]?.behind !== 0 && performance.now() < end)
      await sleep(50);
  } finally {
    await daemon.stop();
  }
  original = join(folder, 'original.db');
  const database = new DatabaseSync(join(stateDir, 'state.db'));
  database.exec(`VACUUM INTO '${original}'`);
  signed = Number(database.prepare('SELECT max(seq) AS seq FROM audit_checkpoint').get()?.['seq']);
  database.close();
});
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));

/** Some change that needs no libvirt. */
const change = (daemon: TestDaemon) => daemon.admin('POST /auth/links', { body: {} });

/** What `hv audit verify` finds in a copy after somebody worked on it with all rights. */
async function findings(
  forge: (database: DatabaseSync) => void,
  options: readonly string[] = [],
): Promise<{ readonly found: readonly string[]; readonly code: number | null }> {
  const copy = join(folder, 'forged.db');
  await cp(original, copy);
  const database = new DatabaseSync(copy);
  forge(database);
  database.close();
  const { code, stdout } = await hvOffline(['audit', 'verify', '--json', '--file', copy, '--key', key, ...options]);
  const result = verificationSchema.parse(JSON.parse(stdout));
  assert.equal(code, result.ok ? 0 : 1);
  return {
    code,
    found: result.findings.map(({ kind, seq, to }) => (seq === to ? `${kind} ${seq}` : `${kind} ${seq}-${to}`)),
  };
}

const bodyAt = (database: DatabaseSync, seq: number): string =>
  String(database.prepare('SELECT body FROM audit WHERE seq = ?').get(seq)?.['body']);

/** Puts these bodies at these places with the hashes that they came with. */
function place(database: DatabaseSync, places: Readonly<Record<number, number>>): void {
  const rows = Object.values(places).map((seq) =>
    database.prepare('SELECT body, hash FROM audit WHERE seq = ?').get(seq),
  );
  Object.keys(places).forEach((seq, index) => {
    const row = rows[index];
    database
      .prepare('UPDATE audit SET body = ?, hash = ? WHERE seq = ?')
      .run(String(row?.['body']), String(row?.['hash']), Number(seq));
  });
}

/** Writes everything anew from this record on, so that the chain holds in itself. */
function rehash(database: DatabaseSync, from: number, edit: (body: string) => string): void {
  const rows = database.prepare('SELECT seq, body FROM audit WHERE seq >= ? ORDER BY seq').all(from);
  let prev =
    from === 1 ? GENESIS : String(database.prepare('SELECT hash FROM audit WHERE seq = ?').get(from - 1)?.['hash']);
  for (const { seq, body } of rows) {
    const text = String(body).replace(/"prev":"[0-9a-f]{64}"/, `"prev":"${prev}"`);
    const changed = Number(seq) === from ? edit(text) : text;
    prev = chainHash(prev, changed);
    database.prepare('UPDATE audit SET body = ?, hash = ? WHERE seq = ?').run(changed, prev, Number(seq));
  }
}

test('H2: an untouched log is whole, and says how many records it has', async () => {
  assert.deepEqual(await findings(() => undefined, ['--mirror', mirror]), { found: [], code: 0 });
});

test('H2: an edited record is named', async () => {
  const edit = (database: DatabaseSync) =>
    database
      .prepare('UPDATE audit SET body = ? WHERE seq = 7')
      .run(bodyAt(database, 7).replace('"name":"', '"name":"x'));
  assert.deepEqual(await findings(edit), { found: ['changed 7'], code: 1 });
});

test('H2: an edited record whose own hash was made anew is named', async () => {
  const edit = (database: DatabaseSync) => {
    const body = bodyAt(database, 7).replace('"name":"', '"name":"x');
    const prev = String(database.prepare('SELECT hash FROM audit WHERE seq = 6').get()?.['hash']);
    database.prepare('UPDATE audit SET body = ?, hash = ? WHERE seq = 7').run(body, chainHash(prev, body));
  };
  assert.deepEqual(await findings(edit), { found: ['changed 7'], code: 1 });
});

test('H2: a removed record is named', async () => {
  const remove = (database: DatabaseSync) => database.exec('DELETE FROM audit WHERE seq = 5');
  assert.deepEqual(await findings(remove), { found: ['removed 5'], code: 1 });
});

test('H2: two records that changed places are named', async () => {
  assert.deepEqual(await findings((database) => place(database, { 8: 9, 9: 8 })), { found: ['reordered 8'], code: 1 });
});

test('H2: a record put over another one is named with the one that it hides', async () => {
  const found = await findings((database) => place(database, { 9: 8 }));
  assert.deepEqual(found, { found: ['duplicated 8', 'removed 9'], code: 1 });
});

test('H2: changed, removed and moved at once: each is named', async () => {
  const all = (database: DatabaseSync) => {
    database
      .prepare('UPDATE audit SET body = ? WHERE seq = 3')
      .run(bodyAt(database, 3).replace('"name":"', '"name":"x'));
    database.exec('DELETE FROM audit WHERE seq = 6');
    place(database, { 10: 11, 11: 10 });
  };
  assert.deepEqual(await findings(all), { found: ['changed 3', 'removed 6', 'reordered 10'], code: 1 });
});

test('H2: a cut end is found through the checkpoint, and through the mirror when the checkpoint went too', async () => {
  const cut = (database: DatabaseSync) => database.exec(`DELETE FROM audit WHERE seq > ${last - 4}`);
  const cutAll = (database: DatabaseSync) => {
    cut(database);
    database.exec('DELETE FROM audit_checkpoint');
  };
  assert.deepEqual(await findings(cut), { found: [`cut ${last - 3}-${signed}`], code: 1 });
  // The chain alone holds: that is why a second place is needed.
  assert.deepEqual(await findings(cutAll), { found: [], code: 0 });
  assert.deepEqual(await findings(cutAll, ['--mirror', mirror]), { found: [`cut ${last - 3}-${last}`], code: 1 });
});

test('H2: a log that was written anew as a whole is found through the mirror, and through a checkpoint that was left', async () => {
  const anew = (database: DatabaseSync) => rehash(database, 4, (body) => body.replace('"name":"', '"name":"x'));
  const unsigned = (database: DatabaseSync) => {
    anew(database);
    database.exec('DELETE FROM audit_checkpoint');
  };
  assert.deepEqual(await findings(unsigned), { found: [], code: 0 });
  const { found } = await findings(unsigned, ['--mirror', mirror]);
  assert.equal(found[0], 'rewritten 4');
  assert.deepEqual((await findings(anew)).found, [`rewritten ${signed}`]);
});

test('H2: the export of the forged log, verified offline, says the same', async () => {
  const text = await readFile(mirror, 'utf8');
  const lines = text.trimEnd().split('\n');
  const place = lines.findIndex((line) => line.startsWith('{"v":1,"seq":5,'));
  const file = join(folder, 'export.jsonl');
  const say = async (forged: readonly string[]) => {
    await writeFile(file, `${forged.join('\n')}\n`);
    const { stdout } = await hvOffline(['audit', 'verify', '--json', '--file', file]);
    return verificationSchema.parse(JSON.parse(stdout)).findings.map(({ kind, seq }) => `${kind} ${seq}`);
  };
  assert.deepEqual(await say(lines), []);
  assert.deepEqual(await say(lines.toSpliced(place, 1)), ['removed 5']);
  assert.deepEqual(await say(lines.with(place, lines[place + 1] ?? '').with(place + 1, lines[place] ?? '')), [
    'reordered 5',
  ]);
  assert.deepEqual(await say(lines.toSpliced(place, 0, lines[place] ?? '')), ['duplicated 5']);
});

const STRACE = existsSync('/usr/bin/strace') ? false : 'strace is not installed';

/** The system calls of a process fail or hang as told, until it is let go. */
async function afflict(pid: number, ...inject: readonly string[]): Promise<() => Promise<void>> {
  const tracer: ChildProcess = spawn(
    'strace',
    ['-f', '-q', '-p', String(pid), '-o', '/dev/null', ...inject.flatMap((each) => ['-e', `inject=${each}`])],
    { stdio: 'ignore' },
  );
  const ended = new Promise<void>((resolve) => tracer.on('exit', () => resolve()));
  await sleep(1500);
  assert.equal(tracer.exitCode, null, 'strace is attached');
  return async () => {
    tracer.kill('SIGINT');
    await ended;
  };
}

async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof ApiProblem) return `${error.problem.status} ${error.problem.code}`;
    throw error;
  }
}

const TROUBLES: Readonly<Record<string, readonly string[]>> = {
  'the disk is full': ['pwrite64:error=ENOSPC', 'fallocate:error=ENOSPC'],
  'the disk is read-only': ['pwrite64:error=EROFS'],
  'fsync fails': ['fdatasync,fsync:error=EIO'],
  'the disk hangs for 30 s': ['fdatasync,fsync:delay_enter=30000000'],
};

for (const [name, inject] of Object.entries(TROUBLES))
  test(`H3: ${name}: changes answer 503 and do nothing, reads go on, and all is well again without a restart`, {
    skip: STRACE,
  }, async () => {
    const daemon = await startDaemon({ waitFor: 'doors' });
    try {
      await change(daemon);
      const before = await daemon.admin('GET /audit/status');
      const operations = (await daemon.admin('GET /operations')).items.length;
      // The disk's last answer holds for half a second.
      await sleep(700);
      const release = await afflict(daemon.pid, ...inject);
      try {
        for (let round = 0; round < 3; round += 1) {
          const start = performance.now();
          assert.equal(await refusalOf(change(daemon)), '503 audit_unavailable');
          assert.match(await refusalOf(daemon.admin('POST /preflight')), /^503 (audit_)?unavailable$/);
          assert.ok(performance.now() - start < 13_000, 'the refusal comes within the deadline');
          const read = performance.now();
          assert.ok((await daemon.admin('GET /audit')).items.length > 0);
          await daemon.admin('GET /system/status');
          assert.ok(performance.now() - read < 2000, 'reading goes on');
        }
        const during = await daemon.admin('GET /audit/status');
        assert.equal(during.state, 'unavailable');
        assert.equal(during.head.seq, before.head.seq);
        assert.ok((await daemon.admin('GET /system/overview')).problems.some(({ id }) => id === 'audit.unavailable'));
      } finally {
        await release();
      }
      assert.equal((await daemon.admin('GET /operations')).items.length, operations, 'nothing was begun');
      const end = performance.now() + 45_000;
      while ((await refusalOf(change(daemon))) !== 'done' && performance.now() < end) await sleep(500);
      const status = await daemon.admin('GET /audit/status');
      assert.equal(status.state, 'recording');
      assert.equal((await hvOn(daemon, ['audit', 'verify'])).code, 0);
    } finally {
      await daemon.close();
    }
  });

test('H9: a long log: list, filter and verify are paged, no request takes 2 s, and the export streams', async () => {
  await using chain = await makeChain(LONG_LOG);
  const stateDir = chain.dir;
  const daemon = await startDaemon({ stateDir, waitFor: 'doors' });
  try {
    const slowest = { ms: 0, what: '' };
    const timed = async <Result>(what: string, work: Promise<Result>): Promise<Result> => {
      const start = performance.now();
      const result = await work;
      const ms = performance.now() - start;
      if (ms > slowest.ms) Object.assign(slowest, { ms, what });
      return result;
    };
    const queries = [
      {},
      { actor: 'bob' },
      { outcome: 'denied' as const },
      { actor: 'root', project: 'blue', outcome: 'denied' as const },
      { text: 'nowhere to be found' },
      { since: '2026-01-01T03:00:00.000Z', until: '2026-01-01T03:10:00.000Z' },
      { objectId: '11111111-2222-4333-8444-000000000007', action: 'POST /vms/{id}/stop' },
    ];
    for (const query of queries) {
      let cursor: string | null = null;
      let found = 0;
      let pages = 0;
      do {
        const page: { items: unknown[]; next: string | null } = await timed(
          JSON.stringify(query),
          daemon.admin('GET /audit', { query: { limit: 100, ...query, ...(cursor === null ? {} : { cursor }) } }),
        );
        found += page.items.length;
        cursor = page.next;
        pages += 1;
      } while (cursor !== null && found < 100 && pages < 50);
      assert.ok(cursor === null || found >= 100, JSON.stringify(query));
    }
    const whole = hvOn(daemon, ['audit', 'verify', '--json']);
    for (let n = 0; n < 10; n += 1) {
      await timed('beside an export', daemon.admin('GET /audit', { query: { limit: 100 } }));
      await sleep(200);
    }
    const result = verificationSchema.parse(JSON.parse((await whole).stdout));
    assert.deepEqual([result.ok, result.records >= LONG_LOG], [true, true]);
    const memory =
      Number(/^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${daemon.pid}/status`, 'utf8'))?.[1]) / 1024;
    assert.ok(memory < 400, `hyperd took ${Math.round(memory)} MiB`);
    assert.ok(slowest.ms < 2000, `${slowest.what} took ${Math.round(slowest.ms)} ms`);
    console.log(
      `# count: ${LONG_LOG} records: slowest request ${Math.round(slowest.ms)} ms (${slowest.what}), hyperd at most ${Math.round(memory)} MiB`,
    );
  } finally {
    await daemon.close();
  }
});
