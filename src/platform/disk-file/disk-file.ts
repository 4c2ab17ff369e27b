/** A new disk as a file: whoever has its data writes it here, and what is never written reads as zeros. Not for disks that are in use. */

import { type FileHandle, open } from 'node:fs/promises';
import { type DataWriter, openDataWriter } from './data-writer.ts';
import type { DiskLayout } from './layout.ts';
import { CLUSTER_BYTES, createQcow2 } from './qcow2.ts';

export type DiskFileFormat = 'qcow2' | 'raw';

export interface DiskFile {
  /** Any order, several at once, each cluster (64 KiB) once. Clusters of zeros take no room in the file.
   *  @param offsetBytes a multiple of 64 KiB; so is the length, except at the disk's end
   *  @throws RangeError outside of these; system errors of writing (ENOSPC, …) */
  write(offsetBytes: number, bytes: Buffer): Promise<void>;
  /** Makes it a disk; before that a qcow2 file is none. Everything is on its storage afterwards. To be called after the last write. */
  finish(): Promise<void>;
  /** Always, also after a failure. What was written stays. */
  close(): Promise<void>;
}

const ZEROS = Buffer.alloc(CLUSTER_BYTES);

/** Makes the file; what is there is replaced.
 *  @param sizeBytes of the disk, a multiple of 512
 *  @param options.isReadNext it stays in the kernel's cache for whoever reads it as soon as it is there
 *  @throws system errors of making it */
export async function createDiskFile(
  path: string,
  format: DiskFileFormat,
  sizeBytes: number,
  { isReadNext = false }: { readonly isReadNext?: boolean } = {},
): Promise<DiskFile> {
  const file = await open(path, 'w', 0o600);
  const data = await openDataWriter(file, isReadNext).catch(async (error: unknown) => {
    await file.close();
    throw error;
  });
  const layout = format === 'qcow2' ? createQcow2(file, data, sizeBytes) : createRaw(file, data, sizeBytes);
  return {
    async write(offsetBytes, bytes) {
      const end = offsetBytes + bytes.length;
      if (offsetBytes < 0 || offsetBytes % CLUSTER_BYTES !== 0 || end > sizeBytes)
        throw new RangeError(`bytes ${offsetBytes} to ${end} are not whole clusters of a disk of ${sizeBytes} bytes`);
      if (end % CLUSTER_BYTES !== 0 && end !== sizeBytes) throw new RangeError(`a cluster would end at byte ${end}`);
      for (const { from, to } of dataRuns(bytes)) await layout.put(offsetBytes + from, bytes.subarray(from, to));
    },
    async finish() {
      await layout.finish();
      await file.sync();
    },
    async close() {
      try {
        await data.close();
      } finally {
        await file.close();
      }
    },
  };
}

/** Zeros are holes of the file. */
function createRaw(file: FileHandle, data: DataWriter, sizeBytes: number): DiskLayout {
  return {
    put: (offsetBytes, bytes) => data.write(bytes, offsetBytes),
    finish: () => file.truncate(sizeBytes),
  };
}

function* dataRuns(bytes: Buffer): Generator<{ readonly from: number; readonly to: number }> {
  let from = -1;
  for (let at = 0; at < bytes.length; at += CLUSTER_BYTES) {
    const length = Math.min(CLUSTER_BYTES, bytes.length - at);
    const isZero = bytes.compare(ZEROS, 0, length, at, at + length) === 0;
    if (!isZero && from === -1) from = at;
    if (!isZero || from === -1) continue;
    yield { from, to: at };
    from = -1;
  }
  if (from !== -1) yield { from, to: bytes.length };
}
