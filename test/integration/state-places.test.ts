/** The state of a host at places of copies, and back from there on an empty machine: an SSH host with Debian's sshd, an S3 service, a
 *  mounted folder. No repository is at hand then. Afterwards the copies go on with the credentials that came back. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunResult, runHv } from '#cli/fake-daemon.ts';
import type { BackupCopy } from '#contract/backup-copies.ts';
import { ApiProblem } from '#contract/client.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import { openRepository } from '#features/backups/index.ts';
import { createS3Requests } from '#features/backups/places/s3-requests.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForRadosgw, type Radosgw, startRadosgw } from '../support/radosgw.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

const skip = missingForSshd() ?? false;
const skipS3 = skip === false ? (missingForRadosgw() ?? false) : skip;
const WAIT_MS = 120_000;
const BUCKET = 'copies';

describe('the state of a host at places of copies', { skip }, () => {
  let folder: string;
  let sshd: Sshd;
  let s3: Radosgw | null = null;
  let stateKey: string;
  let safeKey: string;
  /** On a machine without anything, where one only looks. */
  let empty: TestDaemon;
  const daemons: TestDaemon[] = [];
  const at = (name: string) => join(folder, name);

  const start = async (name: string): Promise<TestDaemon> => {
    const daemon = await startDaemon({ stateDir: at(name), waitFor: 'doors' });
    daemons.push(daemon);
    return daemon;
  };
  const copied = async ({ admin }: TestDaemon, id: string, states: number): Promise<BackupCopy> => {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      const now = await admin('GET /repositories/{id}/copy', { params: { id } });
      if (now.state === 'current' && now.states === states) return now;
      assert.ok(performance.now() < end, `${id} is ${now.state} with ${now.states} states: ${now.problem}`);
      await sleep(100);
    }
  };
  /** A daemon reads each repository when a state came back; what has to wait for that does. */
  const whenFree = async ({ admin }: TestDaemon, begin: () => Promise<Operation>): Promise<Operation> => {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      try {
        return await begin();
      } catch (error) {
        const other = error instanceof ApiProblem ? error.problem.params?.['operationId'] : undefined;
        if (typeof other !== 'string' || performance.now() > end) throw error;
        while (!FINAL_STATES.includes((await admin('GET /operations/{id}', { params: { id: other } })).state))
          await sleep(100);
      }
    }
  };
  const writeState = async (daemon: TestDaemon) =>
    daemon.finish(await whenFree(daemon, () => daemon.admin('POST /system/state-backups', { body: {} })));
  const check = (daemon: TestDaemon, id: string) =>
    whenFree(daemon, () => daemon.admin('POST /repositories/{id}/check', { params: { id }, body: { readData: true } }));
  /** The lost repositories stand on this machine again meanwhile. */
  const withRepositories = async (work: () => Promise<void>) => {
    for (const name of ['shelf', 'safe']) await rename(at(`${name}.gone`), at(name));
    try {
      await work();
    } finally {
      for (const name of ['shelf', 'safe']) await rename(at(name), at(`${name}.gone`));
    }
  };
  const sftp = (path: string) => `sftp://${sshd.user}@127.0.0.1:${sshd.port}${path}`;
  const keyFiles = () => ['--private-key', at('ssh.key'), '--host-key', sshd.hostKey];
  const s3Env = () => ({
    AWS_ACCESS_KEY_ID: s3?.user.accessKey ?? '',
    AWS_SECRET_ACCESS_KEY: s3?.user.secretKey ?? '',
  });
  const s3Words = () => ['--endpoint', s3?.endpoint ?? ''];
  const restore = ({ runtimeDir }: TestDaemon, words: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runHv(runtimeDir, ['system', 'restore', ...words], { env });
  const refused = ({ code, stderr }: RunResult, ...texts: readonly RegExp[]) => {
    assert.notEqual(code, 0);
    for (const text of texts) assert.match(stderr, text);
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyper-state-places-'));
    sshd = await startSshd();
    await writeFile(at('ssh.key'), sshd.privateKey, { mode: 0o600 });
    await writeFile(at('other.key'), sshd.otherKey, { mode: 0o600 });
    if (skipS3 === false) {
      s3 = await startRadosgw();
      const { ask, close } = createS3Requests({
        ...{ endpoint: s3.endpoint, region: 'us-east-1', bucket: BUCKET, prefix: '', lockDays: null },
        ...s3.user,
      });
      await ask({ method: 'PUT', key: '' });
      await close();
    }
    const daemon = await start('lost');
    const { admin } = daemon;
    await admin('POST /users', { body: { name: 'eva' } });
    await admin('POST /repositories', { body: { name: 'shelf', folder: at('shelf') } });
    const safe = await admin('POST /repositories', { body: { name: 'safe', folder: at('safe'), isEncrypted: true } });
    safeKey = safe.recoveryKey ?? '';
    await admin('POST /repositories/{id}/confirm', { params: { id: 'safe' }, body: { recoveryKey: safeKey } });
    stateKey = (await admin('POST /system/recovery-key')).recoveryKey;
    await admin('POST /system/recovery-key/confirm', { body: { recoveryKey: stateKey } });
    await writeFile(at('state-key.txt'), `${stateKey}\n`);
    await writeFile(at('safe-key.txt'), `${safeKey}\n`);
    const add = async (name: string, place: string, source: string, words: readonly string[]) => {
      const args = ['repo', 'add', name, place, '--copy-of', source, ...words];
      const { code, stderr } = await runHv(daemon.runtimeDir, args, { env: s3Env() });
      assert.equal(code, 0, stderr);
    };
    await add('offsite', sftp(at('offsite')), 'shelf', keyFiles());
    if (s3 !== null) await add('vault', `s3://${BUCKET}/host1`, 'safe', s3Words());
    await admin('POST /repositories', { body: { name: 'disk', folder: at('disk') } });
    await admin('PUT /repositories/{id}/copy', { params: { id: 'disk' }, body: { source: 'safe' } });
    await writeState(daemon);
    for (const name of ['offsite', 'disk', ...(s3 === null ? [] : ['vault'])]) await copied(daemon, name, 1);
    await daemon.stop();
    // The machine is gone with all that was on it.
    for (const name of ['shelf', 'safe']) await rename(at(name), at(`${name}.gone`));
    empty = await start('empty');
  });
  after(async () => {
    for (const daemon of daemons) await daemon.close();
    await sshd?.close();
    await s3?.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('what is in the way is told with its mend, and nothing is left of a try', async () => {
    const daemon = empty;
    // The log of ticks comes with the first tick, whenever that is.
    const there = async () => (await readdir(at('empty'))).filter((name) => name !== 'metrics-ticks').sort();
    const before = await there();
    const place = sftp(at('offsite'));
    const unknown = await runHv(daemon.runtimeDir, ['system', 'backups', place, '--private-key', at('ssh.key')]);
    refused(unknown, /shows the key SHA256:/, /--host-key/);
    assert.ok(unknown.stderr.includes(sshd.hostKey), 'the key that it shows is named');
    const listed = await runHv(daemon.runtimeDir, ['system', 'backups', place, ...keyFiles(), '--json']);
    assert.equal(listed.code, 0, listed.stderr);
    assert.equal(JSON.parse(listed.stdout).points.length, 1);

    const plan = (words: readonly string[]) => restore(daemon, [...words, '--plan']);
    const wrong = `SHA256:${'A'.repeat(43)}`;
    refused(
      await plan([place, '--private-key', at('ssh.key'), '--host-key', wrong]),
      /Nothing was sent to it/,
      /give it with --host-key/,
    );
    refused(
      await plan([place, '--private-key', at('other.key'), '--host-key', sshd.hostKey]),
      /does not let root in/,
      /--private-key FILE or --password-file FILE/,
    );
    refused(await plan([sftp(at('nowhere')), ...keyFiles()]), /There is no repository at sftp:/, /those of the copy/);
    refused(await plan([place, ...keyFiles(), '--key-file', at('safe-key.txt')]), /belongs to another recovery key/);
    refused(await plan([at('shelf')]), /There is no repository in this folder/, /mounted/);
    await sshd.stop();
    refused(await plan([place, ...keyFiles()]), /refuses the connection/, /nothing was changed/);
    await sshd.start();
    assert.deepEqual(await there(), before);
  });

  test('what is encrypted lies in a copy as it lies here, and a copy on a disk that is carried here needs nothing but its key', async () => {
    const chunks = (await readdir(at('disk/chunks'), { recursive: true, withFileTypes: true })).filter((each) =>
      each.isFile(),
    );
    assert.ok(chunks.length > 0);
    for (const { parentPath, name } of chunks) {
      const there = await readFile(join(parentPath, name));
      assert.ok(there.equals(await readFile(join(parentPath.replace(at('disk'), at('safe.gone')), name))), name);
    }
    const copy = await openRepository(at('disk'));
    const [state] = await Array.fromAsync(copy.states());
    await assert.rejects(copy.openDocuments(state?.pointId ?? ''), { code: 'key_needed' });

    const plan = await restore(empty, [at('disk'), '--key-file', at('safe-key.txt'), '--plan', '--json']);
    assert.equal(plan.code, 0, plan.stderr);
    assert.equal(JSON.parse(plan.stdout).proof, 'repository');
    refused(await restore(empty, [at('disk'), '--plan']), /recovery key of the repository/);
  });

  test('an S3 service is asked with keys of the environment; a wrong bucket, a wrong key and a missing recovery key are told', {
    skip: skipS3,
  }, async () => {
    const daemon = empty;
    const place = `s3://${BUCKET}/host1`;
    const plan = (where: string, words: readonly string[], env = s3Env()) =>
      restore(daemon, [where, ...s3Words(), ...words, '--plan', '--json'], env);
    refused(await plan(place, [], { ...s3Env(), AWS_SECRET_ACCESS_KEY: 'not this' }), /--secret-key-file FILE/);
    refused(await plan('s3://nowhere/host1', []), /There is no bucket nowhere/, /those of the copy/);
    refused(await plan(`s3://${BUCKET}/host2`, []), /There is no repository at s3:/);
    refused(await plan(place, []), /recovery key of the repository/);
    refused(await plan(place, ['--key-file', at('state-key.txt')]), /key/);
    const words = ['system', 'backups', place, ...s3Words(), '--json'];
    const listed = await runHv(daemon.runtimeDir, words, { env: s3Env() });
    assert.deepEqual([JSON.parse(listed.stdout).isEncrypted, JSON.parse(listed.stdout).points.length], [true, 1]);
    const planned = await plan(place, ['--key-file', at('safe-key.txt')]);
    assert.equal(planned.code, 0, planned.stderr);
    const { proof, secrets } = JSON.parse(planned.stdout);
    assert.deepEqual([proof, secrets], ['repository', 'come']);
  });

  test('a host comes back from an SSH host alone, and its copies go on with the credentials that came back', async () => {
    await empty.stop();
    const daemon = await start('second');
    const words = [sftp(at('offsite')), ...keyFiles(), '--key-file', at('state-key.txt')];
    const plan = await restore(daemon, [...words, '--plan', '--json']);
    assert.equal(plan.code, 0, plan.stderr);
    const { point, proof } = JSON.parse(plan.stdout);
    assert.equal(proof, 'recovery_key');
    const restored = await restore(daemon, [...words, '--yes', '--name', point.host]);
    assert.equal(restored.code, 0, `${restored.stderr}${daemon.output()}`);
    const { admin } = daemon;
    assert.ok((await admin('GET /users', { query: {} })).items.some(({ name }) => name === 'eva'));
    assert.ok(!(await readdir(at('second'))).some((name) => /^restore-|^restored?\.json$/.test(name)));

    const places = ['offsite', ...(s3 === null ? [] : ['vault'])];
    // Sealed by keys/places.key: they open there as they did here.
    for (const id of places) await daemon.finish(await check(daemon, id));
    await withRepositories(async () => {
      await writeState(daemon);
      for (const id of places) assert.equal((await copied(daemon, id, 2)).problem, null);
      await daemon.stop();
    });
  });

  test('without the recovery key what was typed opens the place from then on, and the others ask for theirs', async () => {
    const daemon = await start('third');
    const plan = await restore(daemon, [sftp(at('offsite')), ...keyFiles(), '--plan', '--json']);
    assert.equal(plan.code, 0, plan.stderr);
    const { point, secrets } = JSON.parse(plan.stdout);
    assert.equal(secrets, 'locked');
    const restored = await restore(daemon, [
      ...[sftp(at('offsite')), ...keyFiles()],
      ...['--unproven', '--yes', '--name', point.host],
    ]);
    assert.equal(restored.code, 0, `${restored.stderr}${daemon.output()}`);
    await daemon.finish(await check(daemon, 'offsite'));
    if (s3 !== null) {
      const { error } = await daemon.finish(await check(daemon, 'vault'), 'failed');
      assert.equal(error?.code, 'key_needed', 'its repository is encrypted, and its key did not come');
    }
    await daemon.stop();
  });
});
