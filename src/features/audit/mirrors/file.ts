/** The mirror in a file of JSON lines, each on disk before it counts as sent. After a crash the last line may be half: it is ended, and its
 *  record written again. */

import { type FileHandle, open } from 'node:fs/promises';
import { headerLine } from '#contract/audit-chain.ts';
import { hasErrno } from '#kernel/errors.ts';
import type { MirrorTarget } from './mirror.ts';

/** The end of the file that is looked at for the last whole record. */
const TAIL_BYTES = 256 * 1024;
const SEQ = /^\{"v":1,"seq":(\d+),.*"hash":"[0-9a-f]{64}"\}$/;

export function fileTarget(path: string, publicKey: string): MirrorTarget {
  let file: FileHandle | null = null;

  const lastIn = async (handle: FileHandle): Promise<{ seq: number; isWhole: boolean; isEmpty: boolean }> => {
    const { size } = await handle.stat();
    const start = Math.max(0, size - TAIL_BYTES);
    const tail = Buffer.alloc(size - start);
    await handle.read(tail, 0, tail.length, start);
    const lines = tail.toString('utf8').split('\n');
    const isWhole = lines.at(-1) === '';
    for (const line of lines.slice(0, -1).toReversed()) {
      const seq = SEQ.exec(line)?.[1];
      if (seq !== undefined) return { seq: Number(seq), isWhole, isEmpty: size === 0 };
    }
    return { seq: 0, isWhole, isEmpty: size === 0 };
  };

  const write = async (handle: FileHandle, text: string) => {
    await handle.appendFile(text);
    await handle.datasync();
  };

  return {
    name: 'file',
    target: path,
    async resume() {
      await file?.close();
      file = null;
      file = await open(path, 'a+', 0o600);
      const { seq, isWhole, isEmpty } = await lastIn(file);
      if (isEmpty) await write(file, `${headerLine(publicKey)}\n`);
      else if (!isWhole) await write(file, '\n');
      return seq;
    },
    async send(lines) {
      if (file === null) throw new Error('the file is not open');
      // Somebody who moved it away (logrotate) made room for a new one.
      if (!(await isSame(file, path))) throw new Error(`${path} was replaced by another file`);
      await write(file, lines.map(({ text }) => `${text}\n`).join(''));
    },
    async close() {
      await file?.close();
      file = null;
    },
  };
}

async function isSame(handle: FileHandle, path: string): Promise<boolean> {
  try {
    await using now = await open(path, 'r');
    const [ours, theirs] = await Promise.all([handle.stat(), now.stat()]);
    return ours.ino === theirs.ino && ours.dev === theirs.dev;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
