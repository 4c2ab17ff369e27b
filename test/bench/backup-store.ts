/** What the repository of backups costs, beside Debian's restic and beside zstd alone, on the same disk in the same run. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRepository, newRecoveryKey, newRepositoryKey, readRecoveryKey } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { chunksOf, DISK_BYTES, mixedDisk } from './backup-store/disk.ts';
import { measureChecks, measureMarks } from './backup-store/growth.ts';
import { measureRestic } from './backup-store/restic.ts';
import { timed } from './backup-store/timed.ts';
import { writeAll } from './backup-store/write-all.ts';

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
      ...(await measureChecks(folder, image)),
      ...(await measureMarks(folder)),
    ];
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
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
  await rm(path, { recursive: true, maxRetries: 20, retryDelay: 100 });
  return { writeSeconds, readSeconds, checkSeconds, storedBytes: Number(stdout.split('\t')[0]), mostBytes };
}

/** What compressing alone takes, on one thread like ours here. */
async function measureZstd(folder: string, image: string): Promise<{ readonly seconds: number }> {
  const out = join(folder, 'disk.zst');
  return await timed(() => runChecked(['zstd', '-q', '-1', '-T1', '-f', image, '-o', out], { timeoutMs: LONGEST_MS }));
}
