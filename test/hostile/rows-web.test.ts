/** Rows F2, F5, F13 and F17: what a page takes from its address, open ports, hostile queries on every list, and code that could build SQL or
 *  a shell's line from text. */

import assert from 'node:assert/strict';
import { glob, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allRoutes } from '#contract/api.ts';
import { onSocket } from '../support/asker.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';

const ROOT = join(import.meta.dirname, '../..');

let daemon: TestDaemon;
before(async () => {
  daemon = await startDaemon({ waitFor: 'doors' });
});
after(() => daemon?.close());

/** Queries that no list understands; each is tried alone. */
const HOSTILE = [
  'limit=-1',
  'limit=0',
  'limit=1e9',
  'limit=1001',
  'limit=1.5',
  'limit=NaN',
  'limit=1&limit=2',
  'limit[]=1',
  'sort=(select 1)',
  "q[$ne]=1&x='",
  'filter[a][b]=c',
  '__proto__[admin]=1',
  'constructor=1',
  `cursor=${'a'.repeat(201)}`,
  'nosuchfield=1',
  Array.from({ length: 2000 }, (_, n) => `p${n}=1`).join('&'),
];

test('F13: a hostile query is refused on every route that reads, and changes nothing of the answer', async () => {
  const asker = onSocket(daemon, 'admin');
  let tried = 0;
  for (const [key, definition] of allRoutes()) {
    if (!key.startsWith('GET ') || definition.object || definition.raw || definition.public) continue;
    const path = key.slice(4).replace('{id}', 'admin');
    const known = Object.keys(definition.query?.shape ?? {});
    for (const query of HOSTILE) {
      const { status, json } = await asker.ask({ path: `${path}?${query.replaceAll(' ', '%20')}` });
      assert.equal(status, 422, `${path}?${query.slice(0, 60)}: ${status}; the route knows ${known.join(', ')}`);
      assert.equal(json['code'], 'invalid_input');
      tried += 1;
    }
  }
  const long = Array.from({ length: 10_000 }, (_, n) => `p${n}=1`).join('&');
  assert.equal((await asker.ask({ path: `/vms?${long}` })).status, 431);
  console.log(`# count: ${tried} hostile queries refused`);
});

test('F13: text that looks like SQL is text: filters find nothing by it and the tables are still there', async () => {
  const { admin } = daemon;
  for (const text of ["' OR 1=1 --", '%', '_', "'; DROP TABLE audit; --", '\\', '"', '\u0000']) {
    assert.equal((await admin('GET /audit', { query: { actor: text } })).total, 0, text);
    assert.equal((await admin('GET /operations', { query: { kind: text } })).total, 0, text);
    assert.equal((await admin('GET /operations', { query: { objectId: text } })).total, 0, text);
    assert.equal((await admin('GET /users', { query: { q: text } })).total, 0, text);
  }
  assert.ok((await admin('GET /users')).total > 0);
});

async function* sources(pattern: string): AsyncGenerator<readonly [string, string]> {
  for await (const file of glob(pattern, { cwd: ROOT }))
    if (!/\.test(-data)?\.ts$/.test(file)) yield [file, await readFile(join(ROOT, file), 'utf8')];
}

/** Names of tables and columns cannot be parameters. Those that copy whole tables quote names that SQLite itself told of. */
const COPIES_TABLES = ['src/platform/db/rebuild.ts', 'src/platform/db/snapshot.ts'];

test('F13: no SQL is built from strings', async () => {
  const found: string[] = [];
  for await (const [file, text] of sources('src/**/*.ts')) {
    if (COPIES_TABLES.includes(file)) continue;
    // Templates with values in them, and strings put together, that begin like a statement.
    // The tag `sql` makes parameters of its values.
    for (const [match] of text.matchAll(
      /(?<!sql|sql<[^>`]*>)[`'"]\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|DROP|ALTER)\s[^`'"]*(\$\{|['"`]\s*\+)/g,
    ))
      found.push(`${file}: ${match.slice(0, 80)}`);
    if (/\bsql\.raw\(|\bsql`[^`]*\$\{(?!sql)/.test(text)) found.push(`${file}: raw SQL`);
  }
  assert.deepEqual(found, []);
});

test('F17: programs are started with an argument array in five places only, and never by a shell', async () => {
  const starters: string[] = [];
  const shells: string[] = [];
  for await (const [file, text] of sources('src/**/*.ts')) {
    if (/from 'node:child_process'|require\(['"](node:)?child_process/.test(text)) starters.push(file);
    if (/\bshell:\s*(true|['"])|(?<![.\w])(execSync|execFileSync|exec)\s*\(|\['(ba|da)?sh',\s*'-l?c'/.test(text))
      shells.push(file);
  }
  assert.deepEqual(shells, []);
  assert.deepEqual(starters.filter((file) => !/fake|\.test\./.test(file)).sort(), [
    'src/cli/access-setup/host.ts',
    'src/cli/ssh-sign.ts',
    'src/libvirt/transport/ssh.ts',
    'src/platform/lasting-process.ts',
    'src/platform/process.ts',
  ]);
});

test('F5: hyperd listens on its one port and nowhere else', async () => {
  const listening = await listeningPorts(daemon.pid);
  assert.deepEqual(listening, [Number(new URL(daemon.origin).port)]);
});

/** TCP and UDP ports that a process has open for others. */
async function listeningPorts(pid: number): Promise<number[]> {
  const inodes = new Set<string>();
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) inodes.add(inode);
  }
  const ports = new Set<number>();
  for (const [table, state] of [
    ['tcp', '0A'],
    ['tcp6', '0A'],
    ['udp', '07'],
    ['udp6', '07'],
  ] as const) {
    const rows = (await readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '')).trim().split('\n').slice(1);
    for (const row of rows) {
      const fields = row.trim().split(/\s+/);
      if (fields[3] === state && inodes.has(fields[9] ?? ''))
        ports.add(Number.parseInt(fields[1]?.split(':')[1] ?? '0', 16));
    }
  }
  return [...ports].sort((a, b) => a - b);
}

test('F2: no page takes a host, a port or a path of a console from its address', async () => {
  const found: string[] = [];
  for await (const [file, text] of sources('src/web/**/*.{ts,tsx}')) {
    if (/\b(get|has)\(\s*['"](host|port|path|url|ws|token|encrypt)['"]\s*\)/.test(text)) found.push(file);
    // What a guest names itself is put into a page as text; the console has no use for it at all.
    if (/desktopname|innerHTML|dangerouslySetInnerHTML|insertAdjacentHTML|document\.write/.test(text)) found.push(file);
  }
  assert.deepEqual(found, []);
});
