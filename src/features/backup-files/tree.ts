/** What the agent sends of a folder, held to what it may be before anybody makes an archive of it: paths stay below the folder and inside of
 *  folders that came before, files have the length that was said, and no more comes than was agreed. */

import { AppError } from '#kernel/errors.ts';
import { formatBytes, KIB } from '#kernel/units.ts';
import type { AgentEntry, Frame } from '#platform/appliance/index.ts';
import { textOfName } from './names.ts';

export interface TreeEntry extends Omit<AgentEntry, 'name'> {
  /** Below what was asked for; empty = that itself. Never `..`, never absolute. */
  readonly path: Buffer;
  /** Of a file: exactly `sizeBytes`, to be read before the next entry is asked for. */
  content(): AsyncGenerator<Buffer, void, void>;
}

export interface LeftOut {
  /** As text for people. */
  readonly path: string;
  readonly why: string;
}

export interface Tree {
  /** What was asked for itself. */
  readonly root: TreeEntry;
  /** All that is below it, each folder before what is in it. */
  below(): AsyncGenerator<TreeEntry, void, void>;
  /** Known when all was read. */
  leftOut(): readonly LeftOut[];
  /** Ends it early. */
  close(): Promise<void>;
}

const ZEROS = Buffer.alloc(256 * KIB);
const MOST_ENTRIES = 5_000_000;
const MOST_LEFT_OUT = 1000;

/** @throws what the frames throw; files_too_large; file_reader_failed for what cannot be */
export async function readTree(frames: AsyncGenerator<Frame, void, void>, maxBytes: number): Promise<Tree> {
  const leftOut: LeftOut[] = [];
  let totalBytes = 0;
  let entries = 0;
  let isInFile = false;
  const folders: Buffer[] = [];

  const next = async (): Promise<Frame | null> => {
    const { value, done } = await frames.next();
    return done === true ? null : value;
  };

  async function* content(sizeBytes: number): AsyncGenerator<Buffer, void, void> {
    let leftBytes = sizeBytes;
    for (;;) {
      const frame = await next();
      if (frame?.kind === 'file_end') break;
      if (frame?.kind !== 'data' && frame?.kind !== 'zeros') throw senseless('a file without an end');
      leftBytes -= frame.kind === 'data' ? frame.bytes.length : frame.lengthBytes;
      if (leftBytes < 0) throw senseless('a file longer than was said');
      if (frame.kind === 'data') yield frame.bytes;
      else
        for (let left = frame.lengthBytes; left > 0; left -= ZEROS.length)
          yield ZEROS.subarray(0, Math.min(left, ZEROS.length));
    }
    if (leftBytes !== 0) throw senseless('a file shorter than was said');
    isInFile = false;
  }

  const entryOf = ({ name, ...entry }: AgentEntry, isRoot: boolean): TreeEntry => {
    entries += 1;
    if (entries > MOST_ENTRIES)
      throw new AppError('files_too_large', { detail: `The folder holds more than ${MOST_ENTRIES} files.` });
    if (isRoot !== (name.length === 0)) throw senseless('an entry in the wrong place');
    if (!isRoot) requireInside(name, folders);
    if (entry.kind === 'file') {
      totalBytes += entry.sizeBytes;
      if (totalBytes > maxBytes)
        throw new AppError('files_too_large', {
          detail: `It holds more than ${formatBytes(maxBytes)}.`,
          params: { maxBytes },
        });
      isInFile = true;
    }
    if (entry.kind === 'folder' && !isRoot) folders.push(Buffer.from(name));
    return { ...entry, path: name, content: () => content(entry.sizeBytes) };
  };

  const take = async (isRoot: boolean): Promise<TreeEntry | null> => {
    if (isInFile) throw new Error('the file before was not read to its end');
    for (;;) {
      const frame = await next();
      if (frame === null) return null;
      if (frame.kind === 'unreadable') {
        if (isRoot)
          throw new AppError('filesystem_damaged', {
            detail: `It cannot be read: ${textOfName(Buffer.from(frame.why))}.`,
          });
        if (leftOut.length < MOST_LEFT_OUT)
          leftOut.push({ path: textOfName(frame.path), why: textOfName(Buffer.from(frame.why)) });
        continue;
      }
      const [entry, more] = frame.kind === 'entries' ? frame.entries : [];
      if (!entry || more) throw senseless('not one entry');
      return entryOf(entry, isRoot);
    }
  };

  try {
    const root = await take(true);
    if (!root) throw senseless('nothing');
    return {
      root,
      async *below() {
        for (let entry = await take(false); entry !== null; entry = await take(false)) {
          if (entry.kind === 'file' || entry.kind === 'folder' || entry.kind === 'link') yield entry;
          else if (leftOut.length < MOST_LEFT_OUT)
            leftOut.push({ path: textOfName(entry.path), why: 'it is a device, a socket or a pipe' });
        }
      },
      leftOut: () => leftOut,
      close: async () => void (await frames.return()),
    };
  } catch (error) {
    await frames.return();
    throw error;
  }
}

/** Lets go of folders that are over. @throws file_reader_failed */
function requireInside(path: Buffer, folders: Buffer[]): void {
  const text = path.toString('latin1');
  const names = text.split('/');
  if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0')))
    throw senseless('a path that leads elsewhere');
  const parent = names.slice(0, -1).join('/');
  while (folders.length > 0 && folders.at(-1)?.toString('latin1') !== parent) folders.pop();
  if (parent !== '' && folders.length === 0) throw senseless('a path below no folder');
}

/** The agent says what it never says: the file system may have taken the appliance over. */
const senseless = (what: string) =>
  new AppError('file_reader_failed', {
    detail: 'What reads the file systems of the restore point answered nonsense.',
    cause: new Error(what),
  });
