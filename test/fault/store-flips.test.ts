/** Single bytes of a repository change anywhere: every change is found by a check, no wrong byte is served, and a second copy makes all of
 *  it good. */

import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import {
  createRepository,
  newRecoveryKey,
  newRepositoryKey,
  openRepository,
  type Repository,
  readRecoveryKey,
} from '#features/backups/store/index.ts';
import { AppError } from '#kernel/errors.ts';
import { CHUNK_BYTES, readDisk, vmOf, writeVersion } from '../support/backup-points.ts';
import { randomOf } from '../support/worker-life.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const FLIPS = isFull ? 10_000 : 400;
/** At once, in files of their own: a check reads all of them anyway. */
const PER_ROUND = 8;
const SIZE_BYTES = 20 * CHUNK_BYTES + 512;

/** Flag 4 of an object: a page. What a damaged page hides is found after it is back, so pages have rounds of their own. */
type Tier = 'chunks and documents' | 'pages' | 'manifests' | 'settings';
const TIERS: readonly Tier[] = ['chunks and documents', 'pages', 'manifests', 'settings'];

interface Flip {
  readonly file: string;
  readonly offset: number;
}

for (const isEncrypted of [false, true])
  test(`${FLIPS / 2} changed bytes of ${isEncrypted ? 'an encrypted' : 'a plain'} repository`, async () => {
    const parent = await mkdtemp(join(tmpdir(), 'hv-store-flips-'));
    const random = randomOf(seed + (isEncrypted ? 1000 : 0));
    try {
      const folder = join(parent, 'first');
      const key = newRepositoryKey();
      const encryption = { key, recoveryKey: readRecoveryKey(newRecoveryKey()) };
      const repository = await createRepository(folder, {
        compression: 'default',
        encryption: isEncrypted ? encryption : null,
        chunkSizeBytes: CHUNK_BYTES,
      });
      const truth = await fill(repository);
      const copy = join(parent, 'second');
      await cp(folder, copy, { recursive: true });
      const options = isEncrypted ? { key } : {};
      const second = await openRepository(copy, options);
      const withoutKey = await openRepository(folder);
      const files = await filesByTier(folder);
      // Keeps the threads, which each round would begin anew otherwise.
      const [anyPoint = ''] = truth.keys();
      const anchors = await Promise.all([repository, second, withoutKey].map((each) => each.pin(anyPoint)));
      const images = [await repository.openDisk(anyPoint, 'vda'), await second.openDisk(anyPoint, 'vda')];

      const found = new Map<Tier, number>();
      let [refusals, repaired] = [0, 0];
      for (let done = 0, round = 0; done < FLIPS / 2; round += 1) {
        const tier = TIERS[round % 8 < 5 ? 0 : (round % 8) - 4] ?? 'settings';
        const flips = await flipSome(folder, files.get(tier) ?? [], Math.min(PER_ROUND, FLIPS / 2 - done), random);
        const where = `seed ${seed}, round ${round}: ${JSON.stringify(flips)}`;

        const refused = await assertNothingWrongServed(repository, truth, where);
        refusals += refused.size;
        // Objects are checked without the key in every second round.
        const checking = tier === 'chunks and documents' && round % 2 === 1 ? withoutKey : repository;
        const report = await checking.check({ isDataRead: true });
        for (const { file } of flips)
          assert.ok(
            report.problems.some(({ name }) => file.endsWith(name)),
            `${file} is found; ${where}`,
          );
        for (const id of refused) assert.ok(report.damagedPoints.includes(id), `${id} is told as damaged; ${where}`);
        if (tier === 'settings') {
          const isOneLeft = flips.length < 2;
          const opened = openRepository(folder, options);
          if (isOneLeft) assert.equal((await opened).id, repository.id);
          else await assert.rejects(opened, AppError);
        }

        const repair = await repository.repair(second);
        assert.deepEqual(repair.after.problems, [], where);
        repaired += repair.repairedObjects + repair.repairedManifests + repair.repairedSettings;
        assert.equal((await assertNothingWrongServed(repository, truth, where)).size, 0, where);
        found.set(tier, (found.get(tier) ?? 0) + flips.length);
        done += flips.length;
      }
      assert.deepEqual((await repository.check({ isDataRead: true })).problems, []);
      for (const image of images) await image.close();
      for (const anchor of anchors) await anchor.release();
      const tiers = [...found].map(([tier, count]) => `${count} in ${tier}`).join(', ');
      console.log(
        `# count: seed ${seed}: ${FLIPS / 2} changed bytes of ${isEncrypted ? 'an encrypted' : 'a plain'} repository (${tiers}), all found, ${refusals} reads refused, 0 wrong bytes served, ${repaired} files repaired from the second copy`,
      );
    } finally {
      await rm(parent, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  });

/** Two VMs with three points each, that share chunks. */
async function fill(repository: Repository): Promise<Map<string, Buffer>> {
  const truth = new Map<string, Buffer>();
  const writer = await repository.writer();
  for (let vm = 0; vm < 2; vm += 1) {
    let last: string | undefined;
    for (let version = 0; version < 3; version += 1) {
      const { id } = await writeVersion(writer, {
        vm: vmOf(vm),
        version: vm * 7 + version,
        sizeBytes: SIZE_BYTES,
        first: version * 3,
        count: version === 0 ? 21 : 4,
        parent: last,
      });
      last = id;
    }
  }
  await writer.close();
  for await (const { pointId } of repository.points()) truth.set(pointId, await readDisk(repository, pointId));
  return truth;
}

async function filesByTier(folder: string): Promise<Map<Tier, string[]>> {
  const tiers = new Map<Tier, string[]>(TIERS.map((tier) => [tier, []]));
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = relative(folder, join(entry.parentPath, entry.name));
    if (path.startsWith('chunks/')) {
      const flags = (await readFile(join(folder, path)))[3] ?? 0;
      tiers.get((flags & 4) === 0 ? 'chunks and documents' : 'pages')?.push(path);
    } else if (path.startsWith('manifests/')) tiers.get('manifests')?.push(path);
    else if (path.startsWith('repo')) tiers.get('settings')?.push(path);
  }
  return tiers;
}

/** Changes one byte in each of some files. */
async function flipSome(
  folder: string,
  files: readonly string[],
  count: number,
  random: () => number,
): Promise<Flip[]> {
  const left = [...files];
  const flips: Flip[] = [];
  while (flips.length < count && left.length > 0) {
    const [file = ''] = left.splice(Math.floor(random() * left.length), 1);
    const bytes = await readFile(join(folder, file));
    const offset = Math.floor(random() * bytes.length);
    bytes[offset] = (bytes[offset] ?? 0) ^ (1 + Math.floor(random() * 255));
    await writeFile(join(folder, file), bytes);
    flips.push({ file, offset });
    // Both copies of the settings at once only sometimes: then it cannot be opened.
    if (files.length === 2 && random() < 0.7) break;
  }
  return flips;
}

/** @returns points that were refused */
async function assertNothingWrongServed(repository: Repository, truth: Map<string, Buffer>, where: string) {
  const refused = new Set<string>();
  for (const [id, bytes] of truth) {
    try {
      assert.ok((await readDisk(repository, id)).equals(bytes), `${id} serves what it should; ${where}`);
      assert.match((await repository.readBlob(id, 'domainXml')).toString(), /^<domain><name>\d+<\/name><\/domain>$/);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'point_damaged') throw error;
      refused.add(id);
    }
  }
  return refused;
}
