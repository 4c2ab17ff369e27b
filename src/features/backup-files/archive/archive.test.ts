import assert from 'node:assert/strict';
import { lstat, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { runChecked } from '#platform/process.ts';
import type { Tree, TreeEntry } from '../tree.ts';
import { tarOf } from './tar.ts';
import { zipOf } from './zip.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-archive-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const NOTHING = Buffer.alloc(0);

function entryOf(
  kind: TreeEntry['kind'],
  path: string | Buffer,
  bytes: Buffer = NOTHING,
  more: Partial<TreeEntry> = {},
): TreeEntry {
  return {
    kind,
    path: Buffer.from(path),
    mode: kind === 'folder' ? 0o755 : 0o640,
    uid: 1000,
    gid: 1000,
    sizeBytes: kind === 'file' ? bytes.length : 0,
    modifiedSeconds: 1_700_000_000,
    target: kind === 'link' ? bytes : NOTHING,
    async *content() {
      yield bytes;
    },
    ...more,
  };
}

const treeOf = (entries: readonly TreeEntry[], leftOut: Tree['leftOut'] = () => []): Tree => ({
  root: entryOf('folder', ''),
  async *below() {
    yield* entries;
  },
  leftOut,
  close: async () => undefined,
});

async function write(parts: AsyncIterable<Buffer>, name: string): Promise<string> {
  const all: Buffer[] = [];
  for await (const part of parts) all.push(part);
  const path = join(folder, name);
  await writeFile(path, Buffer.concat(all));
  return path;
}

const LONG = `${'x'.repeat(120)}/${'y'.repeat(200)}`;

test('GNU tar reads names of any bytes and lengths, numbers that are too large for its fields, and links', async () => {
  const odd = Buffer.from([0x6f, 0xff, 0x0a, 0x22]);
  const path = await write(
    tarOf(
      treeOf([
        entryOf('folder', 'x'.repeat(120)),
        entryOf('file', LONG, Buffer.from('long')),
        entryOf('file', odd, Buffer.from('odd'), { uid: 4_000_000_000, gid: 3_000_000_000, modifiedSeconds: -5 }),
        entryOf('link', 'up', Buffer.from('../../etc/passwd')),
        entryOf('link', 'far', Buffer.from('z'.repeat(300))),
      ]),
      Buffer.from('top'),
    ),
    'a.tar',
  );
  const out = await mkdtemp(join(folder, 'tar-'));
  await runChecked(['tar', '-xf', path, '-C', out, '--no-same-owner'], { timeoutMs: 20_000 });
  assert.equal(await readFile(join(out, 'top', LONG), 'utf8'), 'long');
  assert.equal(await readFile(Buffer.concat([Buffer.from(`${out}/top/`), odd]), 'utf8'), 'odd');
  assert.equal(await readlink(join(out, 'top/up')), '../../etc/passwd');
  assert.equal(await readlink(join(out, 'top/far')), 'z'.repeat(300));
  const { stdout } = await runChecked(['tar', '--numeric-owner', '--utc', '-tvf', path], { timeoutMs: 20_000 });
  assert.match(stdout, /4000000000\/3000000000 +3 1969-12-31/);
});

test('the header of a file that is larger than its field has the true size', async () => {
  const parts: Buffer[] = [];
  const huge = entryOf('file', 'huge', NOTHING, { sizeBytes: 9_000_000_000 });
  for await (const part of tarOf(treeOf([huge]), Buffer.from('top'))) {
    parts.push(part);
    if (Buffer.concat(parts).includes('huge')) break;
  }
  assert.ok(Buffer.concat(parts).includes('19 size=9000000000\n'));
});

test('Info-ZIP finds an archive whole, with modes, links and names', async () => {
  const path = await write(
    zipOf(
      treeOf(
        [
          entryOf('folder', 'd'),
          entryOf('file', 'd/text', Buffer.from('text '.repeat(10_000))),
          entryOf('file', 'empty'),
          entryOf('file', 'ümläut.txt', Buffer.from('u')),
          entryOf('file', Buffer.from([0x61, 0x5c, 0xff]), Buffer.from('b')),
          entryOf('link', 'link', Buffer.from('d/text')),
        ],
        () => [{ path: 'tty', why: 'it is a device' }],
      ),
      Buffer.from('top'),
    ),
    'a.zip',
  );
  await runChecked(['unzip', '-tq', path], { timeoutMs: 20_000 });
  const out = await mkdtemp(join(folder, 'zip-'));
  await runChecked(['unzip', '-q', path, '-d', out], { timeoutMs: 20_000 });
  assert.equal((await readFile(join(out, 'top/d/text'))).length, 50_000);
  assert.equal(await readFile(join(out, 'top/ümläut.txt'), 'utf8'), 'u');
  assert.equal(await readFile(join(out, 'top/a_x5c_xff'), 'utf8'), 'b');
  assert.equal(await readlink(join(out, 'top/link')), 'd/text');
  assert.equal((await lstat(join(out, 'top/d/text'))).mode & 0o777, 0o640);
  assert.match(await readFile(join(out, 'top/LEFT-OUT-BY-HYPERD.txt'), 'utf8'), /^tty: it is a device$/m);
});

test('any files come back out of both', async () => {
  const file = fc.tuple(fc.stringMatching(/^[a-z0-9 _-]{1,12}$/), fc.uint8Array({ maxLength: 3000 }));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(file, { selector: ([name]) => name.trim(), minLength: 1, maxLength: 8 }),
      async (files) => {
        const tree = () => treeOf(files.map(([name, bytes], n) => entryOf('file', `${n}${name}`, Buffer.from(bytes))));
        for (const [name, parts, argv] of [
          ['p.tar', tarOf(tree(), Buffer.from('t')), ['tar', '-xf', '@', '-C']],
          ['p.zip', zipOf(tree(), Buffer.from('t')), ['unzip', '-q', '@', '-d']],
        ] as const) {
          const path = await write(parts, name);
          const out = await mkdtemp(join(folder, 'p-'));
          await runChecked([...argv.map((word) => (word === '@' ? path : word)), out], { timeoutMs: 20_000 });
          for (const [n, [file, bytes]] of files.entries())
            assert.deepEqual(await readFile(join(out, 't', `${n}${file}`)), Buffer.from(bytes));
        }
      },
    ),
    { numRuns: 6 },
  );
});

test('an archive that is larger than the old fields of zip can count is read by Python', {
  skip: process.env['HV_TEST_FULL'] !== '1' && 'packs 4 GiB: HV_TEST_FULL=1',
}, async () => {
  const chunk = Buffer.alloc(2 ** 20);
  const sizeBytes = 4 * 2 ** 30 + 2 ** 20;
  const large = entryOf('file', 'large', NOTHING, {
    sizeBytes,
    async *content() {
      for (let left = sizeBytes; left > 0; left -= chunk.length) yield chunk.subarray(0, Math.min(left, chunk.length));
    },
  });
  const path = await write(
    zipOf(treeOf([large, entryOf('file', 'small', Buffer.from('s'))]), Buffer.from('t')),
    'large.zip',
  );
  const script =
    'import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\nprint([(i.filename,i.file_size) for i in z.infolist()][1:], z.read("t/small"))';
  const { stdout } = await runChecked(['python3', '-c', script, path], { timeoutMs: 60_000 });
  assert.equal(stdout.trim(), `[('t/large', ${sizeBytes}), ('t/small', 1)] b's'`);
});
