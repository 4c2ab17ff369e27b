/** Reads the log that libvirt keeps of a serial console (`<log file>`; virtlogd turns it over into FILE.0, FILE.1 …).
 *  The file is only ever read here. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';

/** Up to where a log was read. */
export interface LogMark {
  readonly inode: bigint;
  readonly offset: number;
}

export interface LogPart {
  readonly bytes: Buffer;
  readonly mark: LogMark;
}

interface OpenLog {
  readonly handle: FileHandle;
  readonly inode: bigint;
  readonly size: number;
}

async function openLog(path: string): Promise<OpenLog | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // No log: a VM that others defined, or one that never ran. One that virtlogd made anew for root alone is none for us.
    if (hasErrno(error, 'ENOENT', 'ELOOP', 'EACCES')) return null;
    throw error;
  }
  const { ino, size } = await handle.stat({ bigint: true });
  return { handle, inode: ino, size: Number(size) };
}

async function readBytes({ handle, size }: OpenLog, from: number): Promise<Buffer> {
  const buffer = Buffer.alloc(Math.max(0, size - from));
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, from);
  return buffer.subarray(0, bytesRead);
}

/** The newest `maxBytes` of the log, across one turn-over; null when there is none. With `since`, only what came after that mark. */
export async function readSerialLog(
  path: string,
  maxBytes: number,
  since: LogMark | null = null,
): Promise<LogPart | null> {
  const log = await openLog(path);
  if (log === null) return null;
  try {
    const mark: LogMark = { inode: log.inode, offset: log.size };
    const isSame = since !== null && since.inode === log.inode && since.offset <= log.size;
    const begin = Math.max(isSame ? since.offset : 0, log.size - maxBytes);
    const newest = await readBytes(log, begin);
    if (isSame || newest.length >= maxBytes) return { bytes: newest, mark };
    const older = await readTurnedOver(`${path}.0`, maxBytes - newest.length, since);
    return { bytes: Buffer.concat([older, newest]), mark };
  } finally {
    await log.handle.close();
  }
}

async function readTurnedOver(path: string, maxBytes: number, since: LogMark | null): Promise<Buffer> {
  const log = await openLog(path);
  if (log === null) return Buffer.alloc(0);
  try {
    // After a mark only the rest of the marked file belongs to the answer.
    if (since !== null && since.inode !== log.inode) return Buffer.alloc(0);
    return await readBytes(log, Math.max(since?.offset ?? 0, log.size - maxBytes));
  } finally {
    await log.handle.close();
  }
}
