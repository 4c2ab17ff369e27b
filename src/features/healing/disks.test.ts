import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '#kernel/logger.ts';
import { GIB } from '#kernel/units.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createSpaceLedger } from '#platform/disk-space.ts';
import { createDisks } from './disks.ts';
import { healingMigrations } from './migrations.ts';

async function inFolder(work: (folder: string) => Promise<void>) {
  const folder = await mkdtemp(join(tmpdir(), 'hv-disks-'));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('a held file system refuses new work, also after a restart, until it is lifted', async () => {
  await inFolder(async (folder) => {
    const db = openDatabase(join(folder, 'state.db'));
    db.migrate('healing', healingMigrations);
    try {
      const other = join(folder, 'images');
      await mkdir(other);
      const device = (await stat(folder)).dev;
      const begin = (ledger: ReturnType<typeof createSpaceLedger>) => () =>
        ledger.take(
          { device, freeBytes: 9 * GIB, floorBytes: GIB },
          { owner: 'new', bytes: 1, place: 'images', hint: 'Delete some.', canWait: true },
        );
      const build = () => {
        const ledger = createSpaceLedger();
        return { ledger, disks: createDisks({ db, ledger, folders: [folder, other], log: silentLogger }) };
      };
      const first = build();
      const { fillings } = await first.disks.look();
      assert.deepEqual(
        fillings.map((one) => [one.folder, one.isHeld, one.hasReserve]),
        [[folder, false, false]],
        'one for each file system',
      );
      await first.disks.hold(folder, true);
      assert.throws(begin(first.ledger), { code: 'no_space' });
      const second = build();
      await second.disks.load();
      assert.throws(begin(second.ledger), { code: 'no_space' });
      await second.disks.liftAll();
      begin(second.ledger)();
      const third = build();
      await third.disks.load();
      begin(third.ledger)();
      await assert.rejects(third.disks.hold('/etc', true), /none of our folders/);
      await assert.rejects(third.disks.dropReserve('/etc'), /none of our folders/);
    } finally {
      await db.close();
    }
  });
});

test('a folder that is gone is unknown, not empty', async () => {
  await inFolder(async (folder) => {
    const db = openDatabase(join(folder, 'state.db'));
    const gone = join(folder, 'gone');
    const disks = createDisks({ db, ledger: createSpaceLedger(), folders: [gone], log: silentLogger });
    const { fillings, unknown } = await disks.look();
    assert.deepEqual([fillings, [...unknown]], [[], [gone]]);
    await db.close();
  });
});

test('the reserve takes 1 % of the file system, and giving it back removes nothing else', async () => {
  await inFolder(async (folder) => {
    const db = openDatabase(join(folder, 'state.db'));
    const disks = createDisks({ db, ledger: createSpaceLedger(), folders: [folder], log: silentLogger });
    await writeFile(join(folder, 'mine.qcow2'), 'kept');
    const before = await readdir(folder);
    await disks.makeReserve(folder);
    await disks.makeReserve(folder);
    const { blocks, bsize } = await statfs(folder);
    const { size, blocks: taken } = await stat(join(folder, '.reserve'));
    assert.equal(size, Math.min(4 * GIB, Math.floor(blocks * bsize * 0.01)));
    assert.ok(taken * 512 >= size, 'its room is really taken');
    await disks.dropReserve(folder);
    assert.deepEqual(await readdir(folder), before);
    await db.close();
  });
});
