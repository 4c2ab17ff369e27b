/** A restore point with one disk. */

import type { Repository } from '#features/backups/store/index.ts';
import { bodyOf, vmOf } from '../../support/backup-points.ts';

/** @param look called after each chunk @returns id of the restore point */
export async function writeAll(
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
