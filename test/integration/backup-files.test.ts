/** Single files of restore points, out of real file systems, read by a real appliance under TCG: what lies on the disks, folders, downloads,
 *  and what is refused. */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { FileEntry } from '#contract/backup-files.ts';
import { pathOf } from '#contract/client.ts';
import { newUuid } from '#kernel/ids.ts';
import { applianceImage } from '#platform/appliance/index.ts';
import { runChecked } from '#platform/process.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import {
  CONTENT,
  contentTree,
  type FileSystem,
  fileSystemImage,
  partitionedDisk,
  volumeGroupDisk,
} from '../support/file-systems.ts';
import { applianceParts } from '../support/guest.ts';
import { makePoints } from '../support/proof-points.ts';

const KINDS: readonly FileSystem[] = ['ext4', 'vfat', 'xfs', 'btrfs', 'ntfs', 'luks', 'swap'];

let folder: string;
let daemon: TestDaemon;
let pointId: string;
let groupPointId: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-files-'));
  const tree = await contentTree(join(folder, 'tree'));
  const images: string[] = [];
  for (const kind of KINDS) images.push(await fileSystemImage(join(folder, kind), kind, tree));
  const disk = await partitionedDisk(join(folder, 'disk'), 'gpt', images);
  const points = await makePoints(join(folder, 'shelf'));
  pointId = await points.add({ vmId: newUuid(), name: 'web1', image: disk, definition: '<domain/>' });
  const cacheDir = await applianceParts();
  const group = await volumeGroupDisk(join(folder, 'group'), images[0] ?? '', await applianceImage({ cacheDir }));
  groupPointId = await points.add({ vmId: newUuid(), name: 'db1', image: group, definition: '<domain/>' });
  const stateDir = join(folder, 'state');
  await mkdir(join(stateDir, 'scratch'), { recursive: true });
  await symlink(cacheDir, join(stateDir, 'scratch', 'guest-parts'));
  daemon = await startDaemon({ stateDir, waitFor: 'doors' });
  const { repository } = await daemon.admin('POST /repositories', {
    body: { name: 'shelf', folder: join(folder, 'shelf'), existing: true },
  });
  await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: repository.id } }));
});

after(async () => {
  await daemon?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const list = async (volume: string, path: string): Promise<readonly FileEntry[]> =>
  (await daemon.admin('GET /restore-points/{id}/files', { params: { id: pointId }, query: { volume, path } })).items;

const get = (volume: string, path: string, archive?: 'tar' | 'zip') =>
  overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'GET',
    path: pathOf(
      'GET /restore-points/{id}/file',
      { id: pointId },
      { volume, path, ...(archive === undefined ? {} : { archive }) },
    ),
  });

test('volumes are named by disk and partition; what cannot be read says why', async () => {
  const { volumes } = await daemon.admin('GET /restore-points/{id}/volumes', { params: { id: pointId } });
  assert.deepEqual(
    volumes.map(({ id, kind, label, isReadable }) => [id, kind, label, isReadable]),
    [
      ['vda1', 'ext4', 'root fs', true],
      ['vda2', 'vfat', 'ESP', true],
      ['vda3', 'xfs', '', true],
      ['vda4', 'btrfs', '', true],
      ['vda5', 'ntfs', 'Windows', true],
      ['vda6', 'crypto_LUKS', '', false],
      ['vda7', 'swap', '', false],
    ],
  );
  assert.match(volumes[5]?.note ?? '', /encrypted/);
});

for (const [volume, path] of [
  ['vda1', '/etc/hostname'],
  ['vda2', '/etc/hostname'],
  ['vda3', '/etc/hostname'],
  ['vda4', '/etc/hostname'],
  ['vda5', '/hostname.txt'],
] as const)
  test(`a file comes out of ${volume} as it went in`, async () => {
    const entry = (await list(volume, path.slice(0, path.lastIndexOf('/')) || '/')).find(
      ({ name }) => name === path.slice(path.lastIndexOf('/') + 1),
    );
    assert.equal(entry?.kind, 'file');
    assert.equal(entry.sizeBytes, CONTENT.text.length);
    const { status, headers, body } = await get(volume, path);
    assert.equal(status, 200, body.toString());
    assert.equal(body.toString(), CONTENT.text);
    assert.equal(headers['content-length'], String(CONTENT.text.length));
    assert.match(String(headers['content-disposition']), /^attachment; filename="hostname/);
  });

/** Listed by GNU tar or Info-ZIP, apart from the code under test, and unpacked. */
async function unpacked(archive: 'tar' | 'zip', volume: string, path: string): Promise<string> {
  const { status, body } = await get(volume, path, archive);
  assert.equal(status, 200, body.toString('utf8', 0, 500));
  const out = await mkdtemp(join(folder, 'out-'));
  await writeFile(`${out}.${archive}`, body);
  const argv = archive === 'tar' ? ['tar', '-xf', `${out}.tar`, '-C', out] : ['unzip', '-q', `${out}.zip`, '-d', out];
  await runChecked(argv, { timeoutMs: 60_000 });
  return out;
}

test('a folder comes as a tar with all that is in it, and says what it leaves out', async () => {
  const out = join(await unpacked('tar', 'vda1', '/'), 'vda1');
  assert.deepEqual(await readFile(join(out, 'etc/deep/er/big.bin')), CONTENT.big);
  assert.equal(await readFile(Buffer.concat([Buffer.from(`${out}/etc/`), CONTENT.oddName]), 'utf8'), 'odd');
  assert.equal(await readFile(join(out, 'etc/line\nbreak'), 'utf8'), 'broken');
  assert.equal(await readFile(join(out, 'etc/ümläut – €.txt'), 'utf8'), 'utf-8');
  assert.equal(await readlink(join(out, 'outside')), '../../../../../../etc/passwd');
  assert.equal(await readlink(join(out, 'loop')), 'loop');
  assert.equal((await stat(join(out, 'sparse'))).size, CONTENT.sparseBytes);
  const names = await readdir(out);
  assert.ok(!names.includes('pipe'));
  assert.match(
    await readFile(join(out, 'LEFT-OUT-BY-HYPERD.txt'), 'utf8'),
    /^pipe: it is a device, a socket or a pipe$/m,
  );
});

test('a folder comes as a zip', async () => {
  const out = join(await unpacked('zip', 'vda4', '/etc'), 'etc');
  assert.deepEqual(await readFile(join(out, 'deep/er/big.bin')), CONTENT.big);
  assert.equal(await readFile(join(out, 'ümläut – €.txt'), 'utf8'), 'utf-8');
  assert.ok((await readdir(out)).includes('odd_xff_xfe'));
});

test('names of any bytes are shown, and asked for as they are shown', async () => {
  const names = (await list('vda1', '/etc')).map(({ name }) => name);
  assert.deepEqual(names, ['deep', 'hostname', 'line\\x0abreak', 'odd\\xff\\xfe', 'ümläut – €.txt']);
  assert.equal((await get('vda1', '/etc/odd\\xff\\xfe')).body.toString(), 'odd');
  assert.equal((await get('vda1', '/etc/line\\x0abreak')).body.toString(), 'broken');
  const { headers } = await get('vda1', '/etc/ümläut – €.txt');
  assert.match(
    String(headers['content-disposition']),
    /^attachment; filename="_ml_ut____.txt"; filename\*=UTF-8''%C3%BCml/,
  );
  const long = await list('vda2', '/etc');
  assert.deepEqual(long.map(({ name }) => name).sort(), ['hostname', 'long name with blanks.txt']);
});

test('links are shown and never followed, and nothing leads out of the volume', async () => {
  const links = (await list('vda1', '/')).filter(({ kind }) => kind === 'link');
  assert.deepEqual(
    links.map(({ name, target }) => [name, target]),
    [
      ['absolute', '/etc/hostname'],
      ['loop', 'loop'],
      ['outside', '../../../../../../etc/passwd'],
      ['to-folder', 'etc'],
    ],
  );
  const problem = async (path: string, volume = 'vda1') => {
    const { status, body } = await get(volume, path);
    return [status, JSON.parse(body.toString()).code];
  };
  for (const path of ['/absolute', '/outside', '/loop', '/to-folder', '/to-folder/hostname'])
    assert.deepEqual(await problem(path), [409, 'path_is_link'], path);
  for (const path of ['/../../../etc/passwd', '/etc/../../etc/passwd', '/./etc', '\\x2e\\x2e/agent', '/etc\\x00'])
    assert.deepEqual(await problem(path), [422, 'invalid_input'], path);
  assert.deepEqual(await problem('/pipe'), [409, 'not_a_file']);
  assert.deepEqual(await problem('/nothing/there'), [404, 'not_found']);
  assert.deepEqual(await problem('/', 'vda6'), [409, 'volume_not_readable']);
  assert.deepEqual(await problem('/', 'vda9'), [404, 'not_found']);
  assert.deepEqual(await problem('/', '../vda1'), [404, 'not_found']);
});

test('each download is in the audit log with what was asked for; a folder that is looked at is not', async () => {
  await get('vda1', '/etc/hostname');
  const { items } = await daemon.admin('GET /audit', { query: { limit: 200 } });
  const ours = items.filter(({ action }) => action.startsWith('GET /restore-points/'));
  assert.ok(ours.length > 0);
  assert.deepEqual(new Set(ours.map(({ action }) => action)), new Set(['GET /restore-points/{id}/file']));
  assert.ok(
    ours.some(({ phase, params }) => phase === 'intent' && JSON.stringify(params).includes('/etc/hostname')),
    JSON.stringify(ours[0]),
  );
});

test('a download that is left does not keep the next one from its answer', async () => {
  for (let n = 0; n < 3; n += 1) {
    const path = pathOf('GET /restore-points/{id}/file', { id: pointId }, { volume: 'vda1', path: '/sparse' });
    await new Promise<void>((resolve, reject) => {
      const outgoing = httpRequest(
        { socketPath: join(daemon.runtimeDir, 'admin.sock'), path, headers: { host: 'localhost' } },
        (answer) => {
          answer.once('data', () => {
            outgoing.destroy();
            resolve();
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end();
    });
    assert.equal((await get('vda1', '/etc/hostname')).body.toString(), CONTENT.text);
  }
});

test('logical volumes are read by their own names', async () => {
  const { volumes } = await daemon.admin('GET /restore-points/{id}/volumes', { params: { id: groupPointId } });
  assert.deepEqual(
    volumes.map(({ id, disk, kind, isReadable }) => [id, disk, kind, isReadable]),
    [
      ['vda', 'vda', 'LVM2_member', false],
      ['system/root', null, 'ext4', true],
    ],
  );
  const { items } = await daemon.admin('GET /restore-points/{id}/files', {
    params: { id: groupPointId },
    query: { volume: 'system/root', path: '/etc', limit: 2 },
  });
  assert.deepEqual(
    items.map(({ name }) => name),
    ['deep', 'hostname'],
  );
});
