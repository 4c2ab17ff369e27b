/** Random work on a repository beside a model in memory: whatever was published restores to what the model holds, and sweeping takes
 *  exactly what no point uses. */

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '#kernel/errors.ts';
import type { Manifest, Repository } from './index.ts';
import { backUp, CHUNK, problemsOf, restore, testRepository } from './repository.test-data.ts';

const ANCHOR_VM = '00000000-0000-4000-8000-00000000000a';
const vmOf = (n: number) => `00000000-0000-4000-8000-00000000010${n}`;
/** Few, so that disks share many of them; the first is zeros. */
const CONTENTS = 9;

/** Whole chunks of one of the contents, and half a sector row at the end of odd disks. */
function contentOf(n: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  // Half of them compress.
  for (let at = 0; n > 0 && at < lengthBytes; at += 1)
    bytes[at] = n % 2 === 0 ? n : (at * 31 + n * 17 + (at >> 3)) & 0xff;
  return bytes;
}

interface Backup {
  readonly vm: number;
  readonly chunks: number;
  readonly hasTail: boolean;
  readonly isIncremental: boolean;
  readonly writes: readonly (readonly [place: number, content: number])[];
  readonly zeroes: readonly (readonly [place: number, count: number])[];
}

const backup: fc.Arbitrary<Backup> = fc.record({
  vm: fc.integer({ min: 0, max: 1 }),
  // Seldom more than a page.
  chunks: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 24 }) },
    { weight: 1, arbitrary: fc.constant(4100) },
  ),
  hasTail: fc.boolean(),
  isIncremental: fc.boolean(),
  writes: fc.array(fc.tuple(fc.nat(4099), fc.nat(CONTENTS - 1)), { maxLength: 12 }),
  zeroes: fc.array(fc.tuple(fc.nat(4099), fc.integer({ min: 1, max: 5 })), { maxLength: 2 }),
});

type Step =
  | { readonly does: 'backups'; readonly backups: readonly Backup[]; readonly prunes: readonly number[] | null }
  | { readonly does: 'prune'; readonly removes: readonly number[] };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        does: fc.constant('backups' as const),
        backups: fc.array(backup, { minLength: 1, maxLength: 3 }),
        prunes: fc.option(fc.array(fc.nat(20), { maxLength: 3 })),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constant('prune' as const), removes: fc.array(fc.nat(20), { maxLength: 3 }) }),
    },
  ),
  { minLength: 2, maxLength: 6 },
);

class Model {
  readonly points = new Map<string, { readonly vm: string; readonly bytes: Buffer }>();

  newest(vm: string): string | undefined {
    return [...this.points].filter(([, point]) => point.vm === vm).at(-1)?.[0];
  }

  named(numbers: readonly number[]): string[] {
    const ids = [...this.points.keys()];
    return [...new Set(numbers.map((n) => ids[n % Math.max(1, ids.length)]).filter((id) => id !== undefined))];
  }
}

async function run(repository: Repository, model: Model, made: Backup): Promise<void> {
  const vm = vmOf(made.vm);
  const newest = made.isIncremental ? model.newest(vm) : undefined;
  const parent = newest === undefined ? undefined : model.points.get(newest);
  // Another size than the parent's is another disk: it is read as a whole.
  const sizeBytes = parent?.bytes.length ?? made.chunks * CHUNK + (made.hasTail ? 1536 : 0);
  const bytes = parent ? Buffer.from(parent.bytes) : Buffer.alloc(sizeBytes);
  const chunks = Math.ceil(sizeBytes / CHUNK);
  const changes = new Map<number, Buffer | null>();
  for (const [place, content] of made.writes) {
    const chunk = place % chunks;
    const data = contentOf(content, Math.min(CHUNK, sizeBytes - chunk * CHUNK));
    data.copy(bytes, chunk * CHUNK);
    changes.set(chunk, data);
  }
  for (const [place, count] of made.zeroes)
    for (let chunk = place % chunks; chunk < Math.min(chunks, (place % chunks) + count); chunk += 1) {
      bytes.fill(0, chunk * CHUNK, Math.min(sizeBytes, (chunk + 1) * CHUNK));
      changes.set(chunk, null);
    }
  let manifest: Manifest;
  try {
    manifest = await backUp(repository, { vm, sizeBytes, changes, parent: newest });
  } catch (error) {
    // It was pruned at the same time.
    if (newest !== undefined && error instanceof AppError && error.code === 'point_not_found') return;
    throw error;
  }
  model.points.set(manifest.id, { vm, bytes });
}

async function prune(repository: Repository, model: Model, remove: readonly string[]): Promise<void> {
  const { removedPoints, pinnedPoints } = await repository.prune({ points: { remove }, graceMs: 0 });
  assert.deepEqual([...removedPoints, ...pinnedPoints].sort(), [...remove].sort());
  for (const id of removedPoints) model.points.delete(id);
}

for (const isEncrypted of [false, true])
  test(`random backups and prunes beside each other leave what the model has (${isEncrypted ? 'encrypted' : 'plain'})`, async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        await using made = await testRepository(isEncrypted);
        const { repository } = made;
        const model = new Model();
        // Its open disk keeps the threads between the steps, and is itself something that must not be pruned.
        const anchor = await backUp(repository, {
          vm: ANCHOR_VM,
          sizeBytes: CHUNK,
          changes: new Map([[0, contentOf(3, CHUNK)]]),
        });
        const image = await repository.openDisk(anchor.id, 'vda');
        try {
          for (const step of all) {
            if (step.does === 'prune') await prune(repository, model, model.named(step.removes));
            else {
              const remove = step.prunes && model.named(step.prunes);
              await Promise.all([
                ...step.backups.map((each) => run(repository, model, each)),
                ...(remove ? [prune(repository, model, [...remove, anchor.id])] : []),
              ]);
            }
          }
          await assertEqual(made.folder, repository, model);
          assert.ok((await image.read(0, CHUNK)).equals(contentOf(3, CHUNK)));
        } finally {
          await image.close();
        }
      }),
      { numRuns: process.env['HV_TEST_FULL'] === '1' ? 100 : 5 },
    );
  });

async function assertEqual(folder: string, repository: Repository, model: Model): Promise<void> {
  const entries = await Array.fromAsync(repository.points());
  const ours = entries.filter(({ vm }) => vm !== ANCHOR_VM);
  assert.deepEqual(ours.map(({ pointId }) => pointId).sort(), [...model.points.keys()].sort());
  for (const [id, { bytes }] of model.points)
    assert.ok((await restore(repository, id)).equals(bytes), `${id} restores to what was backed up`);
  assert.deepEqual(problemsOf(await repository.check({ isDataRead: true })), []);

  await repository.prune({ points: { remove: [] }, graceMs: 0 });
  const left = (await readdir(join(folder, 'chunks'), { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const { objects } = await repository.check({ isDataRead: true });
  assert.equal(left.length, objects, 'every object that is left is in use');
}
