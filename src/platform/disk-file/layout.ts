/** What a format of disks has to know, and how its bytes get into the file. */

import type { FileHandle } from 'node:fs/promises';

/** Where the data goes, by format. */
export interface DiskLayout {
  /** A run of clusters that hold data. */
  put(offsetBytes: number, bytes: Buffer): Promise<void>;
  finish(): Promise<void>;
}

/** A single call may write less than it was given. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length; )
    at += (await file.write(bytes, at, bytes.length - at, offsetBytes + at)).bytesWritten;
}
