/** How the cost of upkeep grows with what lies in a repository: measured at some sizes, with a line through them and how far from it they
 *  are, so that what ten terabytes take can be told without having them. */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { idRanges } from '#features/backups/store/id-ranges.ts';
import { createRepository } from '#features/backups/store/index.ts';
import { GIB, MIB, TIB } from '#kernel/units.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { chunksOf } from './disk.ts';
import { processorSeconds, timed } from './timed.ts';
import { writeAll } from './write-all.ts';

/** As the store holds at once. */
const MAX_IDS = 250_000;
const SIZES_GIB = [1, 4, 16];

interface Sample {
  readonly x: number;
  readonly seconds: number;
}

/** Checks of all data of disks of files that all differ. Processor seconds: those do not depend on who else works here.
 *  @param image of 1 GiB */
export async function measureChecks(folder: string, image: string): Promise<Measurement[]> {
  const samples: Sample[] = [];
  for (const sizeGib of SIZES_GIB) {
    const path = join(folder, `growth-${sizeGib}`);
    const repository = await createRepository(path, { compression: 'default', encryption: null });
    await writeAll(repository, copiesOf(image, sizeGib), sizeGib * GIB);
    const beforeSeconds = processorSeconds();
    const { problemCount } = await repository.check({ isDataRead: true });
    if (problemCount > 0) throw new Error('the check found problems');
    samples.push({ x: sizeGib, seconds: processorSeconds() - beforeSeconds });
    await rm(path, { recursive: true, maxRetries: 20, retryDelay: 100 });
  }
  const line = lineThrough(samples);
  return [
    ...samples.map(({ x, seconds }) => alone(`store: check of all data of ${x} GiB`, seconds, 's of processor')),
    ...growthOf('store: check', samples, '≤ 1.1'),
    alone('store: check of 10 TiB by that line', line.at((10 * TIB) / GIB) / 3600, 'h of processor'),
  ];
}

/** The image again and again, each chunk with something of its own. */
async function* copiesOf(image: string, count: number): AsyncGenerator<Buffer> {
  for (let copy = 0; copy < count; copy += 1) {
    let n = 0;
    for await (const chunk of chunksOf(image)) {
      if (!chunk.subarray(0, 4096).every((byte) => byte === 0)) chunk.writeUInt32BE(copy * MIB + n, 0);
      n += 1;
      yield chunk;
    }
  }
}

/** Marking ids of disks of up to ten TiB of chunks that all differ, in the memory that a repository takes for it. */
export async function measureMarks(folder: string): Promise<Measurement[]> {
  const samples: Sample[] = [];
  for (const ids of [2_500_000, 5_000_000, 10_000_000]) {
    const { seconds } = await timed(async () => {
      let marked = 0;
      const limits = { maxIds: MAX_IDS, scratch: join(folder, 'scratch') };
      for await (const range of idRanges(limits, async (visit) => mixedIds(ids, visit))) marked += range.ids.size;
      if (marked !== ids) throw new Error(`${marked} of ${ids} ids were marked`);
    });
    samples.push({ x: ids, seconds });
  }
  return [
    ...samples.map(({ x, seconds }) =>
      alone(`store: marks of ${x / 1e6} million chunks that all differ`, seconds, 's'),
    ),
    ...growthOf('store: marks', samples, '≤ 1.1'),
  ];
}

/** The same ids each time, without holding them: a counter through a mixing function. */
function mixedIds(count: number, visit: (bytes: Buffer, offset: number) => void): void {
  const id = Buffer.alloc(32);
  for (let n = 0; n < count; n += 1) {
    const mixed = Math.imul(n ^ (n >>> 15), 0x85ebca6b) >>> 0;
    id.writeUInt32BE(Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0, 0);
    id.writeUInt32BE(mixed, 4);
    id.writeUInt32BE(n, 28);
    visit(id, 0);
  }
}

function growthOf(name: string, samples: readonly Sample[], bar: string): Measurement[] {
  const [first, last] = [samples.at(0), samples.at(-1)];
  if (!first || !last) return [];
  const power = Math.log(last.seconds / first.seconds) / Math.log(last.x / first.x);
  const { at } = lineThrough(samples);
  const off = Math.max(...samples.map(({ x, seconds }) => Math.abs(at(x) - seconds) / seconds));
  return [
    { ...alone(`${name}: grows with the power of the number`, power, ''), bar },
    { ...alone(`${name}: furthest from a line`, off * 100, '%'), bar: '≤ 20' },
  ];
}

/** Least squares. */
function lineThrough(samples: readonly Sample[]): { at(x: number): number } {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, each) => sum + of(each), 0) / samples.length;
  const [x, seconds] = [mean((each) => each.x), mean((each) => each.seconds)];
  const slope = mean((each) => (each.x - x) * (each.seconds - seconds)) / mean((each) => (each.x - x) ** 2);
  return { at: (where) => seconds + slope * (where - x) };
}

const alone = (name: string, ours: number, unit: string): Measurement => ({
  name,
  ours,
  rival: null,
  ratio: null,
  bar: '–',
  unit,
});
