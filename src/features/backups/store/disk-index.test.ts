import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { randomNumbers } from '#platform/nbd/random-disk.test-data.ts';
import { createDiskIndex } from './disk-index.ts';
import { IDS_PER_PAGE, PAGE_BYTES } from './manifest.ts';
import { ID_BYTES } from './object.ts';

const SEED = Number(process.env['HV_TEST_SEED'] ?? 1);
/** More than are at hand. */
const PAGES = 150;
const ROUNDS = 3000;

test(`pages that do not fit into memory hold what was set, many at once, in any order, seed ${SEED}`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-disk-index-'));
  t.after(() => rm(folder, { recursive: true }));
  const random = randomNumbers(SEED);
  const index = createDiskIndex({
    scratch: join(folder, 'scratch'),
    chunks: PAGES * IDS_PER_PAGE,
    parentPage: async (page) => Buffer.alloc(PAGE_BYTES, page),
  });
  const expected = new Map<number, Buffer>();
  const pageOf = (page: number) => {
    const ids = expected.get(page) ?? Buffer.alloc(PAGE_BYTES, page);
    expected.set(page, ids);
    return ids;
  };
  let running: Promise<void>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const page = random(PAGES);
    // No two of those that run at once are for the same place.
    const slot = (round * 7) % IDS_PER_PAGE;
    const id = Buffer.alloc(ID_BYTES, 1 + random(255));
    const isZero = random(4) === 0;
    const chunk = page * IDS_PER_PAGE + slot;
    running.push(isZero ? index.fillZero(chunk, 1) : index.set(chunk, id));
    pageOf(page).set(isZero ? Buffer.alloc(ID_BYTES) : id, slot * ID_BYTES);
    if (running.length < 16) continue;
    await Promise.all(running);
    running = [];
  }
  await Promise.all(running);
  assert.deepEqual(
    index.touchedPages(),
    [...expected.keys()].sort((a, b) => a - b),
  );
  for (const [page, ids] of expected) assert.ok(ids.equals(await index.page(page)), `page ${page}`);
  await index.close();
});

test('a page that could not be put aside fails all that comes after', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-disk-index-'));
  t.after(() => rm(folder, { recursive: true }));
  const index = createDiskIndex({
    scratch: join(folder, 'missing/scratch'),
    chunks: PAGES * IDS_PER_PAGE,
    parentPage: async () => Buffer.alloc(PAGE_BYTES),
  });
  const setAll = async () => {
    for (let page = 0; page < PAGES; page += 1) await index.set(page * IDS_PER_PAGE, Buffer.alloc(ID_BYTES, 1));
  };
  await assert.rejects(setAll(), { code: 'ENOENT' });
  await assert.rejects(index.page(0), { code: 'ENOENT' });
  await assert.rejects(index.set(PAGES * IDS_PER_PAGE - 1, null), { code: 'ENOENT' });
  await index.close();
});
