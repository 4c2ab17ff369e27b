import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { PlaceSettings } from '#contract/backups.ts';
import { backups } from '#features/backups/index.ts';
import { rebuildDatabase } from '#platform/db/rebuild.ts';
import { createSecretSeal } from '#platform/sealed-secrets.ts';
import { settleRepositories } from './settle-repositories.ts';
import type { SourcePlace } from './source.ts';

const MIGRATIONS = backups.migrations ?? [];
const KNOWN = new Map([['backups', MIGRATIONS]]);
const APPLIED = MIGRATIONS.map(({ id }) => ({ slice: 'backups', id }));
const SFTP: PlaceSettings = {
  ...{
    kind: 'sftp',
    host: 'nas',
    port: 22,
    user: 'backup',
    folder: '/srv/copies',
    hostKey: `SHA256:${'A'.repeat(43)}`,
  },
};
const NEW_KEY = `SHA256:${'B'.repeat(43)}`;

let folder: string;
let count = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hyper-settle-'));
});
after(() => rm(folder, { recursive: true }));

/** A folder on this machine with a repository in it. */
async function standing(): Promise<string> {
  count += 1;
  const path = join(folder, `r${count}`);
  await mkdir(path);
  await writeFile(join(path, 'repo.json'), '{}');
  return path;
}

interface Row {
  readonly id: string;
  readonly folder: string;
  readonly isDefault?: boolean;
  readonly isCopy?: boolean;
  readonly place?: PlaceSettings;
}

/** @returns the rows afterwards, by id; the state was written into `shelf` */
async function settled(rows: readonly Row[], title: string, at: SourcePlace, seal: 'came' | 'lost' = 'came') {
  count += 1;
  const database = rebuildDatabase(join(folder, `d${count}.db`), APPLIED, KNOWN);
  const sealing = createSecretSeal(join(folder, `k${count}`, 'places.key'));
  for (const { id, folder: path, isDefault = false, isCopy = false, place } of rows)
    database.run(
      `INSERT INTO repository(id, name, folder, compression, is_encrypted, is_confirmed, is_default, created_at, kind, place, secrets, is_copy)
       VALUES(?, ?, ?, 'default', 0, 1, ?, '2026-01-01T00:00:00.000Z', ?, ?, ?, ?)`,
      ...[id, id, path, isDefault ? 1 : 0, place?.kind ?? 'folder', place ? JSON.stringify(place) : null],
      ...[place ? 'of before' : null, isCopy ? 1 : 0],
    );
  await settleRepositories(database, { from: { title, at }, written: 'shelf', seal: seal === 'came' ? null : sealing });
  const found = new Map(database.all('SELECT * FROM repository').map((row) => [String(row['id']), row]));
  database.close();
  const folderOf = (id: string) => found.get(id)?.['folder'];
  return { found, folderOf, sealing };
}
const inFolder = (path: string) => [path, { kind: 'folder', folder: path }] as const;

test('a repository whose disk is mounted elsewhere is found there, and another one in its old place is told apart', async () => {
  const here = await standing();
  const { folderOf } = await settled(
    [
      { id: 'shelf', folder: '/mnt/lost' },
      { id: 'other', folder: here },
    ],
    ...inFolder(here),
  );
  assert.deepEqual([folderOf('shelf'), folderOf('other')], [here, `${here}-other`]);
});

test('a copy that lies where it lay stays one, and so does one whose disk is mounted elsewhere', async () => {
  const [here, shelf] = [await standing(), await standing()];
  const same = await settled(
    [
      { id: 'shelf', folder: '/mnt/lost' },
      { id: 'disk', folder: here, isCopy: true },
    ],
    ...inFolder(here),
  );
  assert.deepEqual([same.folderOf('shelf'), same.folderOf('disk')], ['/mnt/lost', here]);
  for (const source of [
    { id: 'shelf', folder: shelf },
    { id: 'shelf', folder: '/lost/repositories/default', isDefault: true },
  ]) {
    const { folderOf } = await settled([source, { id: 'disk', folder: '/mnt/old', isCopy: true }], ...inFolder(here));
    assert.deepEqual([folderOf('shelf'), folderOf('disk')], [source.isDefault ? undefined : shelf, here]);
  }
  // With both gone it is the repository: nothing tells them apart, and it does everything that a copy does.
  const both = await settled(
    [
      { id: 'shelf', folder: '/mnt/lost' },
      { id: 'disk', folder: '/mnt/old', isCopy: true },
    ],
    ...inFolder(here),
  );
  assert.deepEqual([both.folderOf('shelf'), both.folderOf('disk')], [here, '/mnt/old']);
});

test('the host key that was accepted counts; credentials only when those of before did not come', async () => {
  const title = 'sftp://backup@nas:22/srv/copies';
  const rows: readonly Row[] = [
    { id: 'shelf', folder: '/mnt/lost' },
    { id: 'offsite', folder: title, isCopy: true, place: SFTP },
    { id: 'far', folder: 'sftp://backup@far:22/srv', isCopy: true, place: { ...SFTP, host: 'far', folder: '/srv' } },
  ];
  const at: SourcePlace = { kind: 'place', settings: { ...SFTP, hostKey: NEW_KEY }, secrets: { password: 'typed' } };
  const came = await settled(rows, title, at);
  assert.match(String(came.found.get('offsite')?.['place']), new RegExp(NEW_KEY));
  assert.doesNotMatch(String(came.found.get('far')?.['place']), new RegExp(NEW_KEY));
  assert.equal(came.found.get('offsite')?.['secrets'], 'of before');
  assert.equal(came.folderOf('shelf'), '/mnt/lost', 'a place does not become the folder of its repository');

  const lost = await settled(rows, title, at, 'lost');
  const sealed = String(lost.found.get('offsite')?.['secrets']);
  assert.deepEqual(lost.sealing.open('offsite', sealed), { password: 'typed' });
  assert.throws(() => lost.sealing.open('far', sealed));
  assert.equal(lost.found.get('far')?.['secrets'], 'of before');

  const stranger = await settled(rows, 'sftp://backup@elsewhere:22/srv/copies', at, 'lost');
  assert.equal(stranger.found.get('offsite')?.['secrets'], 'of before');
});
