/** Opens disks of restore points for programs: qemu-img reads them over NBD from a socket that is there for that long. */

import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asNoSpace } from '#features/vms/index.ts';
import { serveNbd } from '#platform/nbd/index.ts';
import { runChecked } from '#platform/process.ts';
import type { DiskImage, Repository } from './store/index.ts';

export interface CopyOrder {
  readonly repository: Pick<Repository, 'openDisk'>;
  readonly pointId: string;
  readonly target: string;
  readonly socketPath: string;
  /** Half-made file; what is there is written over. */
  readonly outPath: string;
  readonly format: 'qcow2' | 'raw';
  readonly signal: AbortSignal;
  /** @param ratio 0 to 1 */
  onProgress(ratio: number): void;
}

const MOST_MS = 7 * 86_400_000;

/** Writes a disk as it was into a file. Every chunk is compared with its id before it is written.
 *  @throws point_damaged naming disk and offset; no_space; program_missing, program_failed; the signal's reason */
export async function copyDisk(order: CopyOrder): Promise<void> {
  const { target, socketPath, outPath, format, signal } = order;
  const disk = await order.repository.openDisk(order.pointId, target);
  try {
    let damage: unknown = null;
    await mkdir(dirname(socketPath), { recursive: true, mode: 0o711 });
    await rm(outPath, { force: true });
    const server = await serveNbd({
      socketPath,
      exports: new Map([[target, watched(disk, order.onProgress)]]),
      onReadError: (_name, error) => {
        damage ??= error;
      },
    });
    try {
      const url = `nbd+unix:///${target}?socket=${socketPath}`;
      await runChecked(['qemu-img', 'convert', '-q', '-f', 'raw', '-O', format, url, outPath], {
        timeoutMs: MOST_MS,
        signal,
      });
    } catch (error) {
      await rm(outPath, { force: true });
      signal.throwIfAborted();
      throw damage ?? asNoSpace(error);
    } finally {
      await server.close();
    }
  } finally {
    await disk.close();
  }
}

/** Bytes that a copy of a disk will take. */
export async function dataBytes(disk: Pick<DiskImage, 'sizeBytes' | 'extents'>): Promise<number> {
  const step = 2 ** 36;
  let bytes = 0;
  for (let at = 0; at < disk.sizeBytes; at += step)
    for (const { lengthBytes, isZero } of await disk.extents(at, Math.min(step, disk.sizeBytes - at)))
      if (!isZero) bytes += lengthBytes;
  return bytes;
}

/** The disk, and how far into it somebody has read. */
function watched(disk: DiskImage, onProgress: (ratio: number) => void): DiskImage {
  let furthest = 0;
  return {
    ...disk,
    async read(offsetBytes, lengthBytes) {
      const bytes = await disk.read(offsetBytes, lengthBytes);
      furthest = Math.max(furthest, offsetBytes + lengthBytes);
      onProgress(Math.min(0.99, furthest / Math.max(1, disk.sizeBytes)));
      return bytes;
    },
  };
}
