/** Disks of restore points that were made to harm whoever reads them: their file systems meet a kernel that is thrown away, and what comes
 *  out of it is an error or an archive that says what it lacks. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { type FilePoints, startFilePoints } from '../support/file-points.ts';

const TIMEOUT_MS = 30_000;

let folder: string;
let points: FilePoints;

/** An ext4 of its own without checksums, so that every lie in it is one that its driver has to find. */
async function image(name: string, harm: (path: string) => Promise<unknown>): Promise<string> {
  const path = join(folder, name);
  const tree = join(folder, `${name}.tree`);
  await mkdir(join(tree, 'etc'), { recursive: true });
  await writeFile(join(tree, 'etc/hostname'), 'guest\n');
  await writeFile(join(tree, 'etc/AAescapeAA'), 'evil\n');
  const file = await open(path, 'w');
  await file.truncate(16 * MIB);
  await file.close();
  await runChecked(['mke2fs', '-q', '-t', 'ext4', '-O', '^metadata_csum', '-d', tree, path], { timeoutMs: TIMEOUT_MS });
  await harm(path);
  return path;
}

const debugfs = (path: string, command: string) =>
  runChecked(['debugfs', '-w', '-R', command, path], { timeoutMs: TIMEOUT_MS });

async function replaceBytes(path: string, from: string, to: string): Promise<void> {
  const bytes = await readFile(path);
  let count = 0;
  for (let at = bytes.indexOf(from); at >= 0; at = bytes.indexOf(from, at + 1), count += 1)
    bytes.write(to, at, 'latin1');
  assert.ok(count > 0, `"${from}" is not in the image`);
  await writeFile(path, bytes);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-hostile-files-'));
  const disks = new Map<string, string>();
  const add = async (name: string, harm: (path: string) => Promise<unknown>) =>
    disks.set(name, await image(name, harm));
  await add('superblock', async (path) => {
    const file = await open(path, 'r+');
    // Its mark stays, so that it is taken for what it is not.
    await file.write(Buffer.alloc(48, 0xff), 0, 48, 1024);
    await file.close();
  });
  await add('slash', (path) => replaceBytes(path, 'AAescapeAA', '../../evil'));
  await add('loop', (path) => debugfs(path, 'ln / /etc/loop'));
  await add('sparse', async (path) => {
    await debugfs(path, 'sif /etc/hostname size 0x3fff0000000');
  });
  await add('panic', async (path) => {
    await runChecked(['tune2fs', '-e', 'panic', path], { timeoutMs: TIMEOUT_MS });
    // The folder's block lies outside of the disk.
    await debugfs(path, 'sif /etc block[2] 0x7f000000');
    await debugfs(path, 'sif /etc block[5] 0x7fffff00');
  });
  points = await startFilePoints(folder, disks, { parallel: 1, maxDownloadGib: 1 });
});

after(async () => {
  await points?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const codeOf = ({ status, body }: { readonly status: number; readonly body: Buffer }) =>
  status === 200 ? 'done' : String(JSON.parse(body.toString()).code);

async function unpacked(name: string): Promise<string> {
  const { status, body } = await points.download(name, 'vda', '/', 'tar');
  assert.equal(status, 200, body.toString('utf8', 0, 300));
  const out = await mkdtemp(join(folder, 'out-'));
  await writeFile(`${out}.tar`, body);
  await runChecked(['tar', '-xf', `${out}.tar`, '-C', out], { timeoutMs: TIMEOUT_MS });
  return join(out, 'vda');
}

test('a superblock of nonsense is told as damage, or as nothing that is known', async () => {
  assert.match(
    codeOf(await points.download('superblock', 'vda', '/')),
    /^(filesystem_damaged|volume_not_readable|not_found)$/,
  );
});

test('a name with slashes in it leads nowhere', async () => {
  const { status, body } = await points.download('slash', 'vda', '/etc', 'tar');
  if (status !== 200) return assert.equal(codeOf({ status, body }), 'filesystem_damaged');
  const { stdout } = await runChecked(['tar', '-tf', '-'], { timeoutMs: TIMEOUT_MS, stdin: body });
  assert.ok(
    stdout.split('\n').every((line) => !line.includes('..')),
    stdout,
  );
  assert.match(stdout, /LEFT-OUT-BY-HYPERD\.txt/);
});

test('a folder that holds itself is left out, and the rest is there', async () => {
  const out = await unpacked('loop');
  assert.equal(await readFile(join(out, 'etc/hostname'), 'utf8'), 'guest\n');
  assert.match(await readFile(join(out, 'LEFT-OUT-BY-HYPERD.txt'), 'utf8'), /etc\/loop/);
  assert.ok(!(await readdir(join(out, 'etc'))).includes('loop'));
});

test('a file that claims terabytes is refused before a byte of it', async () => {
  assert.equal(codeOf(await points.download('sparse', 'vda', '/etc/hostname')), 'files_too_large');
  assert.equal(codeOf(await points.download('sparse', 'vda', '/etc/AAescapeAA')), 'done');
});

test('a file system that asks for a panic at the first error gets none', async () => {
  const { daemon, pointOf } = points;
  const list = (path: string) =>
    daemon()
      .admin('GET /restore-points/{id}/files', { params: { id: pointOf('panic') }, query: { volume: 'vda', path } })
      .then(
        () => 'done',
        (error: unknown) =>
          error instanceof Error && 'problem' in error ? JSON.stringify(error.problem) : String(error),
      );
  assert.match(await list('/etc'), /filesystem_damaged|not_found/);
  assert.equal(await list('/'), 'done');
});
