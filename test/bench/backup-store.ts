/** What the repository of backups costs, beside Debian's restic and beside zstd alone, on the same disk in the same run. */

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { idRanges } from '#features/backups/store/id-set.ts';
import {
  createRepository,
  newRecoveryKey,
  newRepositoryKey,
  type Repository,
  readRecoveryKey,
} from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { bodyOf, vmOf } from '../support/backup-points.ts';
import { chunksOf, DISK_BYTES, mixedDisk } from './backup-store/disk.ts';
import { measureRestic } from './backup-store/restic.ts';

const LONGEST_MS = 30 * 60_000;

interface OurFigures {
  readonly writeSeconds: number;
  readonly readSeconds: number;
  readonly checkSeconds: number;
  readonly storedBytes: number;
  readonly mostBytes: number;
}

/** Takes about ten minutes and 4 GiB below the system's temporary folder. Needs `restic`, `zstd` and `mke2fs`. */
export async function run(): Promise<Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-bench-store-'));
  try {
    const image = await mixedDisk(folder);
    const rival = await measureRestic(folder, image);
    const plain = await measureOurs(join(folder, 'plain'), image, 'default', false);
    const better = await measureOurs(join(folder, 'better'), image, 'better', false);
    const sealed = await measureOurs(join(folder, 'sealed'), image, 'default', true);
    const zstd = await measureZstd(folder, image);
    const restic = rival ? rival.storedBytes / MIB : undefined;
    const ratio = (ours: number, other: number | undefined) => (other === undefined ? null : ours / other);
    const line = (name: string, ours: number, other: number | undefined, bar: string, unit: string): Measurement => ({
      name: `store, 1 GiB: ${name}`,
      ours,
      rival: other ?? null,
      ratio: ratio(ours, other),
      bar,
      unit,
    });
    return [
      line('stored, default | restic', plain.storedBytes / MIB, restic, '≤ 1.15×', 'MiB'),
      line('stored, better | restic', better.storedBytes / MIB, restic, '≤ 1.1×', 'MiB'),
      line('full write, encrypted | restic', sealed.writeSeconds, rival?.writeSeconds, '≤ 1×', 's'),
      line('full write | zstd -1 -T1', plain.writeSeconds, zstd.seconds, '≤ 2×', 's'),
      line('full write, better | default', better.writeSeconds, plain.writeSeconds, '–', 's'),
      line('read of the whole disk, encrypted | restic', sealed.readSeconds, rival?.readSeconds, '≤ 1.2×', 's'),
      line('check of all data, encrypted | restic', sealed.checkSeconds, rival?.checkSeconds, '≤ 0.6×', 's'),
      line('most memory of the process while it writes', sealed.mostBytes / MIB, undefined, '≤ 200', 'MiB'),
      ...(await measureLarger(join(folder, 'larger'), plain.checkSeconds)),
      ...(await measureMarks()),
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureOurs(
  path: string,
  image: string,
  compression: 'default' | 'better',
  isEncrypted: boolean,
): Promise<OurFigures> {
  const keys = { key: newRepositoryKey(), recoveryKey: readRecoveryKey(newRecoveryKey()) };
  const repository = await createRepository(path, { compression, encryption: isEncrypted ? keys : null });
  let mostBytes = 0;
  const look = () => {
    mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
  };
  const { value: pointId, seconds: writeSeconds } = await timed(() =>
    writeAll(repository, chunksOf(image), DISK_BYTES, look),
  );
  const { seconds: readSeconds } = await timed(async () => {
    const disk = await repository.openDisk(pointId, 'vda');
    // As a restore does it: some requests on their way at once.
    const lanes = [0, 1, 2, 3].map(async (lane) => {
      for (let at = lane * MIB; at < DISK_BYTES; at += 4 * MIB) await disk.read(at, MIB);
    });
    await Promise.all(lanes);
    await disk.close();
  });
  const { seconds: checkSeconds, value: report } = await timed(() => repository.check({ isDataRead: true }));
  if (report.problemCount > 0) throw new Error('the check found problems');
  const { stdout } = await runChecked(['du', '-s', '-B1', path], { timeoutMs: LONGEST_MS });
  await rm(path, { recursive: true });
  return { writeSeconds, readSeconds, checkSeconds, storedBytes: Number(stdout.split('\t')[0]), mostBytes };
}

async function writeAll(
  repository: Repository,
  chunks: AsyncIterable<Buffer>,
  sizeBytes: number,
  look: () => void = () => undefined,
): Promise<string> {
  const writer = await repository.writer();
  try {
    const disk = await writer.disk({ target: 'vda', sizeBytes });
    let n = 0;
    for await (const chunk of chunks) {
      await disk.write(n, chunk);
      n += 1;
      look();
    }
    await disk.finish();
    return (await writer.publish(bodyOf(vmOf(1)))).id;
  } finally {
    await writer.close();
  }
}

/** What compressing alone takes, on one thread like ours here. */
async function measureZstd(folder: string, image: string): Promise<{ readonly seconds: number }> {
  const out = join(folder, 'disk.zst');
  return await timed(() => runChecked(['zstd', '-q', '-1', '-T1', '-f', image, '-o', out], { timeoutMs: LONGEST_MS }));
}

/** Four times as much: the check has to take four times as long, and not more memory. */
async function measureLarger(path: string, checkSeconds: number): Promise<Measurement[]> {
  const repository = await createRepository(path, { compression: 'default', encryption: null });
  const sizeBytes = 4 * DISK_BYTES;
  const half = async function* () {
    for (let at = 0; at < sizeBytes; at += MIB) {
      const chunk = Buffer.from(new ArrayBuffer(MIB));
      // A third of each does not compress.
      randomBytes(MIB / 3).copy(chunk);
      chunk.fill('a line of some log that compresses well\n', Math.floor(MIB / 3));
      yield chunk;
    }
  };
  await writeAll(repository, half(), sizeBytes);
  const { seconds } = await timed(() => repository.check({ isDataRead: true }));
  const names = await timed(() => repository.check());
  return [
    {
      name: 'store, 4 GiB: check of all data | of 1 GiB',
      ours: seconds,
      rival: checkSeconds,
      ratio: seconds / checkSeconds,
      bar: '≤ 5×',
      unit: 's',
    },
    { name: 'store, 4 GiB: check without data', ours: names.seconds, rival: null, ratio: null, bar: '–', unit: 's' },
  ];
}

/** Marking ids of disks from one to sixteen TiB, in the memory of one range; how it grows, as a power of the number. */
async function measureMarks(): Promise<Measurement[]> {
  const MAX_IDS = 1_000_000;
  const points: { readonly ids: number; readonly seconds: number }[] = [];
  for (const ids of [1, 4, 16].map((tib) => tib * 2 ** 20)) {
    // The same ids in each pass, without holding them: a counter through a mixing function.
    const id = Buffer.alloc(32);
    const { seconds } = await timed(async () => {
      let marked = 0;
      for await (const range of idRanges(MAX_IDS, async (visit) => {
        for (let n = 0; n < ids; n += 1) {
          const mixed = Math.imul(n ^ (n >>> 15), 0x85ebca6b) >>> 0;
          id.writeUInt32BE(Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 0, 0);
          id.writeUInt32BE(mixed, 4);
          id.writeUInt32BE(n, 28);
          visit(id, 0);
        }
      }))
        marked += range.ids.size;
      if (marked !== ids) throw new Error(`${marked} of ${ids} ids were marked`);
    });
    points.push({ ids, seconds });
  }
  const [first, , last] = points;
  if (!first || !last) return [];
  return [
    ...points.map(({ ids, seconds }) => ({
      name: `store: marks of ${ids / 2 ** 20} TiB of chunks that all differ`,
      ours: seconds,
      rival: null,
      ratio: null,
      bar: '–',
      unit: 's',
    })),
    {
      name: 'store: marks grow with the power of the number',
      ours: Math.log(last.seconds / first.seconds) / Math.log(last.ids / first.ids),
      rival: null,
      ratio: null,
      bar: '≤ 2',
      unit: '',
    },
  ];
}

async function timed<Value>(work: () => Promise<Value>): Promise<{ readonly value: Value; readonly seconds: number }> {
  const beginMs = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - beginMs) / 1000 };
}
