/** The state of a host in repositories, and back: on a machine where nothing is left of it, with and without keys. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { ApiProblem } from '#contract/client.ts';
import type { Operation } from '#contract/operations.ts';
import { leftOutTables } from '#features/state-backups/tables.ts';
import { ask } from '../support/browser-session.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { hvOn } from '../support/hv.ts';

const manifestSchema = z.object({ id: z.string(), seq: z.number(), blobs: z.record(z.string(), z.string()) });
const aboutSchema = z.object({ point: z.string() });

const refusal =
  (code: string, text: RegExp = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof ApiProblem, String(error));
    assert.equal(error.problem.code, code, error.message);
    assert.match(`${error.problem.detail ?? ''} ${error.problem.hint ?? ''}`, text);
    return true;
  };

describe('the state of a host', () => {
  let folder: string;
  const daemons: TestDaemon[] = [];
  let first: TestDaemon;
  let token: string;
  let stateKey: string;
  let safeKey: string;

  const start = async (name: string): Promise<TestDaemon> => {
    const daemon = await startDaemon({ stateDir: join(folder, name), waitFor: 'doors' });
    daemons.push(daemon);
    return daemon;
  };
  const shelf = () => join(folder, 'shelf');
  const safe = () => join(folder, 'safe');
  const backUp = async (): Promise<Operation> =>
    first.finish(await first.admin('POST /system/state-backups', { body: {} }));
  /** Over the network, as the one whom the token belongs to. */
  const asEva = async (daemon: TestDaemon, path: string) => {
    const { address } = await daemon.admin('GET /system/status');
    return ask(address, { method: 'GET', path, headers: { authorization: `Bearer ${token}` } });
  };

  /** Newest first. */
  const statesIn = async (repository: string) => {
    const found: z.infer<typeof manifestSchema>[] = [];
    for (const series of await readdir(join(repository, 'manifests')))
      for (const name of await readdir(join(repository, 'manifests', series))) {
        const [line = ''] = (await readFile(join(repository, 'manifests', series, name), 'utf8')).split('\n');
        found.push(manifestSchema.parse(JSON.parse(line)));
      }
    return found.toSorted((a, b) => b.seq - a.seq);
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyper-state-'));
    first = await start('first');
    const { admin } = first;
    await admin('POST /users', { body: { name: 'eva', title: 'Eva' } });
    await admin('POST /grants', { body: { user: 'eva', role: 'admin', scope: 'all' } });
    await admin('POST /projects', { body: { name: 'shop' } });
    const made = await admin('POST /tokens', {
      body: { name: 'script', permissions: ['vm.read', 'access.read'], days: 30, user: 'eva' },
    });
    token = made.secret;
    await admin('POST /channels', {
      body: { name: 'ops', kind: 'webhook', secrets: { url: 'https://hooks.example.org/secret-path' } },
    });
    await admin('POST /repositories', { body: { name: 'shelf', folder: shelf() } });
    const encrypted = await admin('POST /repositories', { body: { name: 'safe', folder: safe(), isEncrypted: true } });
    safeKey = encrypted.recoveryKey ?? '';
    await admin('POST /repositories/{id}/confirm', { params: { id: 'safe' }, body: { recoveryKey: safeKey } });
    await admin('POST /backup-schedules', { body: { name: 'nightly' } });
    // The first state is made before there is a recovery key.
    await backUp();
    stateKey = (await admin('POST /system/recovery-key')).recoveryKey;
    await assert.rejects(
      admin('POST /system/recovery-key/confirm', { body: { recoveryKey: safeKey } }),
      refusal('key_wrong'),
    );
    await admin('POST /system/recovery-key/confirm', { body: { recoveryKey: stateKey } });
    await admin('POST /users', { body: { name: 'late' } });
    await backUp();
    await first.stop();
  });
  after(async () => {
    for (const daemon of daemons) await daemon.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('leaves out only tables that there are', () => {
    const sqlite = new DatabaseSync(join(folder, 'first/state.db'), { readOnly: true });
    const names = sqlite
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .all()
      .map(({ name }) => name);
    sqlite.close();
    assert.deepEqual(
      [...leftOutTables].filter((name) => !names.includes(name)),
      [],
    );
  });

  test('comes back on an empty machine with everything that was set up, its keys and its audit log', async () => {
    const daemon = await start('second');
    const keyFile = join(folder, 'key.txt');
    await writeFile(keyFile, `${stateKey}\n`);
    const plan = await hvOn(daemon, ['system', 'restore', shelf(), '--key-file', keyFile, '--plan', '--json']);
    assert.equal(plan.code, 0, plan.stderr);
    const planned = JSON.parse(plan.stdout);
    assert.equal(planned.proof, 'recovery_key');
    assert.deepEqual(planned.administrators, ['admin', 'eva']);
    assert.equal(planned.comes.channels, 1);
    assert.deepEqual(planned.blockers, []);
    assert.equal((await daemon.admin('GET /users', { query: {} })).total, 2, 'a plan changes nothing');

    const authority = await readFile(join(folder, 'first/ca/ca.pem'), 'utf8');
    const restored = await hvOn(daemon, [
      ...['system', 'restore', shelf(), '--key-file', keyFile],
      ...['--yes', '--name', planned.point.host],
    ]);
    assert.equal(restored.code, 0, restored.stderr);
    assert.match(restored.stderr, /is back/);

    const users = await daemon.admin('GET /users', { query: {} });
    assert.deepEqual(users.items.map(({ name }) => name).sort(), ['admin', 'eva', 'late', 'operator']);
    assert.deepEqual((await daemon.admin('GET /projects', { query: {} })).items.map(({ name }) => name).sort(), [
      'default',
      'shop',
    ]);
    assert.equal((await daemon.admin('GET /backup-schedules')).items[0]?.name, 'nightly');
    assert.equal(await readFile(join(folder, 'second/ca/ca.pem'), 'utf8'), authority);
    // Eva's script works as before, over the new machine's door.
    assert.equal((await asEva(daemon, '/users')).status, 200);
    // The key of the encrypted repository came along: it is read without being asked for.
    const repositories = await daemon.admin('GET /repositories', { query: {} });
    assert.deepEqual(repositories.items.map(({ name, state }) => [name, state]).sort(), [
      ['safe', 'ready'],
      ['shelf', 'ready'],
    ]);
    // Only who holds the key that seals them can say what names the secrets have.
    const [channel] = (await daemon.admin('GET /channels', { query: {} })).items;
    assert.deepEqual(channel?.secretNames, ['url']);

    const verified = await hvOn(daemon, ['audit', 'verify']);
    assert.equal(verified.code, 0, verified.stderr);
    const records = await daemon.admin('GET /audit', { query: { action: 'system.restore' } });
    assert.equal(records.items.length, 1);
    assert.equal(aboutSchema.parse(records.items[0]?.params).point, planned.point.id);
    const told = await daemon.admin('GET /system/state-backups');
    assert.equal(told.lastRestore?.point, planned.point.id);
    const kept = await readdir(join(folder, 'second', told.lastRestore?.asideFolder ?? ''));
    assert.ok(kept.includes('state.db'), kept.join());
    assert.ok(!(await readdir(join(folder, 'second'))).some((name) => /^restore-|^restored?\.json$/.test(name)));

    // It goes on as the same installation: its next state belongs to the series of before.
    await daemon.finish(await daemon.admin('POST /system/state-backups', { body: { repository: 'shelf' } }));
    const [own] = (await daemon.admin('GET /system/state-backups')).repositories.filter(({ name }) => name === 'shelf');
    assert.deepEqual(
      own?.points.map(({ isOwn }) => isOwn),
      [true, true, true],
    );
  });

  test('without its key it comes only when somebody says that he trusts it, and keys stay out', async () => {
    const daemon = await start('fourth');
    const { admin } = daemon;
    const plan = await admin('POST /system/restore/plan', { body: { folder: shelf() } });
    assert.equal(plan.proof, 'none');
    assert.equal(plan.secrets, 'locked');
    const body = { folder: shelf(), digest: plan.digest };
    await assert.rejects(admin('POST /system/restore', { body }), refusal('state_unproven', /--unproven/));
    await assert.rejects(
      admin('POST /system/restore', { body: { ...body, digest: 'another', unproven: true } }),
      refusal('conflict'),
    );
    const restored = await hvOn(daemon, [
      ...['system', 'restore', shelf(), '--unproven', '--yes', '--name', plan.point.host],
    ]);
    assert.equal(restored.code, 0, `${restored.stderr}${daemon.output()}`);
    assert.ok((await admin('GET /users', { query: {} })).items.some(({ name }) => name === 'eva'));
    const { items } = await admin('GET /repositories', { query: {} });
    assert.equal(items.find(({ name }) => name === 'shelf')?.state, 'ready');

    // The encrypted one waits for its own recovery key, and hyperd does not mind.
    const told = (await admin('GET /system/state-backups')).repositories.find(({ name }) => name === 'safe');
    assert.match(told?.problem ?? '', /key file of the repository is gone/);

    // Now it is in use: the next restore has to be forced.
    const again = await admin('POST /system/restore/plan', { body: { folder: shelf(), recoveryKey: stateKey } });
    assert.ok(again.blockers.includes('2 users'), again.blockers.join());
    await assert.rejects(
      admin('POST /system/restore', { body: { folder: shelf(), recoveryKey: stateKey, digest: again.digest } }),
      refusal('machine_not_empty', /--force/),
    );
    await daemon.stop();
  });

  test('on an empty machine it is looked at only by root on the machine itself, and nothing changes by that', async () => {
    const daemon = await start('third');
    const { admin, operator } = daemon;
    await assert.rejects(operator('POST /system/restore/plan', { body: { folder: shelf() } }), refusal('forbidden'));
    await assert.rejects(
      admin('POST /system/restore/plan', { body: { folder: join(folder, 'nowhere') } }),
      refusal('repository_not_found'),
    );

    // An encrypted repository is proof enough.
    await assert.rejects(
      admin('POST /system/restore/plan', { body: { folder: safe() } }),
      refusal('key_needed', /recovery key of the repository/),
    );
    const body = { folder: safe(), recoveryKey: safeKey };
    const planned = await admin('POST /system/restore/plan', { body });
    assert.deepEqual([planned.proof, planned.secrets], ['repository', 'come']);

    // When the newest is damaged the one before is named, and comes.
    const [newest, before] = await statesIn(safe());
    const blob = newest?.blobs['state'] ?? '';
    const path = join(safe(), 'chunks', blob.slice(0, 2), blob.slice(2, 4), blob);
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(40) ^ 4, 40);
    await writeFile(path, bytes);
    await assert.rejects(
      admin('POST /system/restore/plan', { body }),
      refusal('state_damaged', new RegExp(`--point ${before?.id}`)),
    );
    const earlier = await admin('POST /system/restore/plan', { body: { ...body, point: before?.id ?? '' } });
    assert.equal(earlier.point.id, before?.id);
    assert.equal((await admin('GET /users', { query: {} })).total, 2);
    await daemon.stop();
  });
});
