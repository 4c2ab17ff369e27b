/** hyperd killed while a state comes back, from a folder and from an SSH host, while its files are made and at the moments of the swap: the
 *  next start has the old state or the new one, never some of each, and nothing half made. */

import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { folderPlace, openRepository } from '#features/backups/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForSshd, type Sshd, startSshd } from '../support/sshd.ts';

/** Between them everything is on the disk. */
const POINTS = ['aside:before', 'aside:after', 'place:before', 'place:after', 'done:before', 'done:after'];
/** Before there is a word of it, so that the state of before stays. */
const STAGED = ['bring:middle', 'stage:before', 'stage:after'];
const seed = Number(process.env['HV_TEST_SEED'] ?? Date.now() % 1000);
const tried =
  process.env['HV_TEST_FULL'] === '1'
    ? POINTS
    : [POINTS[1 + (seed % 3)], POINTS[4 + (seed % 2)]].filter((point) => point !== undefined);

describe(`a restore of the state that is killed (seed ${seed})`, () => {
  let folder: string;
  let recoveryKey: string;
  const shelf = () => join(folder, 'shelf');

  const start = (stateDir: string, killPoint?: string): Promise<TestDaemon> =>
    startDaemon({
      stateDir,
      waitFor: 'doors',
      ...(killPoint === undefined ? {} : { env: { HV_KILL_POINT: `state.restore:${killPoint}` } }),
    });
  const namesIn = async ({ admin }: TestDaemon) =>
    (await admin('GET /users', { query: {} })).items.map(({ name }) => name).sort();

  let sshd: Sshd | null = null;
  /** Every second moment is tried with the copy. */
  const sourceOf = (point: string) => {
    if (sshd === null || POINTS.indexOf(point) % 2 === 1) return { folder: shelf(), recoveryKey };
    const { port, user, hostKey, privateKey } = sshd;
    const place = { kind: 'sftp', host: '127.0.0.1', port, user, hostKey, folder: join(folder, 'offsite') } as const;
    return { place, secrets: { privateKey }, recoveryKey };
  };
  /** Of restores that are under way. */
  const leftIn = async (stateDir: string) =>
    (await readdir(stateDir)).filter((name) => /^restored?[-.]/.test(name) && name !== 'restored-definitions');

  before(async () => {
    if (missingForSshd() === null) sshd = await startSshd();
    folder = await mkdtemp(join(tmpdir(), 'hyper-swap-kill-'));
    const daemon = await start(join(folder, 'lost'));
    const { admin } = daemon;
    await admin('POST /users', { body: { name: 'eva' } });
    await admin('POST /repositories', { body: { name: 'shelf', folder: shelf() } });
    recoveryKey = (await admin('POST /system/recovery-key')).recoveryKey;
    await admin('POST /system/recovery-key/confirm', { body: { recoveryKey } });
    await daemon.finish(await admin('POST /system/state-backups', { body: {} }));
    await daemon.close();
    await (await openRepository(shelf())).copyTo(folderPlace(join(folder, 'offsite')));
    const other = await start(join(folder, 'used'));
    await other.admin('POST /users', { body: { name: 'old' } });
    await other.stop();
  });
  after(async () => {
    await sshd?.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('in the middle of what an SSH host sends, and before and after the files of the state are made', {
    skip: missingForSshd() ?? false,
  }, async () => {
    const stateDir = join(folder, 'at-stage');
    await cp(join(folder, 'used'), stateDir, { recursive: true });
    for (const moment of STAGED) {
      const daemon = await start(stateDir, moment);
      const source = sourceOf('');
      const restore = async () => {
        const { digest } = await daemon.admin('POST /system/restore/plan', { body: source });
        assert.deepEqual(await leftIn(stateDir), [], 'a plan leaves nothing');
        await daemon.admin('POST /system/restore', { body: { ...source, digest, force: true } });
      };
      await assert.rejects(restore(), /socket hang up|ECONNRESET/);
      assert.equal(await daemon.exited, 'SIGKILL', daemon.output());
      assert.ok((await leftIn(stateDir)).length > 0, 'it was under way');
      await daemon.close();
    }
    const again = await start(stateDir);
    try {
      assert.deepEqual(await namesIn(again), ['admin', 'old', 'operator']);
      assert.deepEqual(await leftIn(stateDir), []);
    } finally {
      await again.close();
    }
  });

  for (const point of tried)
    test(`at ${point}`, async () => {
      const stateDir = join(folder, `at-${point.replace(':', '-')}`);
      await cp(join(folder, 'used'), stateDir, { recursive: true });
      const authority = await readFile(join(stateDir, 'ca/ca.pem'), 'utf8');
      const daemon = await start(stateDir, point);
      const source = sourceOf(point);
      const { digest } = await daemon.admin('POST /system/restore/plan', { body: source });
      const { asideFolder } = await daemon.admin('POST /system/restore', { body: { ...source, digest, force: true } });
      assert.equal(await daemon.exited, 'SIGKILL', daemon.output());

      const again = await start(stateDir);
      try {
        assert.deepEqual(await namesIn(again), ['admin', 'eva', 'operator']);
        const lost = await readFile(join(folder, 'lost/ca/ca.pem'), 'utf8');
        assert.equal(await readFile(join(stateDir, 'ca/ca.pem'), 'utf8'), lost);
        assert.equal(await readFile(join(stateDir, asideFolder, 'ca/ca.pem'), 'utf8'), authority);
        assert.ok((await readdir(join(stateDir, asideFolder))).includes('state.db'));
        assert.equal((await again.admin('GET /audit', { query: { action: 'system.restore' } })).items.length, 1);
        assert.deepEqual(await leftIn(stateDir), []);
      } finally {
        await again.close();
      }
    });
});
