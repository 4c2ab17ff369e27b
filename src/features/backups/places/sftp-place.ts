/** A folder on another host, over SFTP. Files are written beside their place, synced where the server can, and renamed over what is there;
 *  both are extensions of OpenSSH, without which a server is refused. */

import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { FileEntryWithStats, SFTPWrapper, Stats } from 'ssh2';
import { z } from 'zod';
import { AppError } from '#kernel/errors.ts';
import { type Place, type PlaceEntry, placeFull, UnfitFile, WRITERS_AT_ONCE, walkFolders } from '../store/index.ts';
import {
  createSftpLink,
  type LinkLimits,
  SFTP_STATUS,
  type SftpLink,
  SftpStatus,
  type SftpTarget,
} from './sftp-link.ts';

export interface SftpPlaceTarget extends SftpTarget {
  /** Absolute, or from the home of the user. */
  readonly folder: string;
}

/** What servers take in one request; OpenSSH takes 256 KiB and more. */
const SLICE_BYTES = 32 * 1024;
const SLICES_AT_ONCE = 32;
const MKDIR_TRIES = 3;

const vfsSchema = z.object({ f_bavail: z.coerce.number(), f_frsize: z.coerce.number(), f_favail: z.coerce.number() });

type Handle = Buffer;

/** @param signal ends the work there for good, and at once what is under way */
export function sftpPlace(
  target: SftpPlaceTarget,
  { limits, signal }: { readonly limits?: LinkLimits | undefined; readonly signal?: AbortSignal | undefined } = {},
): Place {
  const link = createSftpLink(target, limits, signal);
  const at = (path: string) => posix.join(target.folder, path);
  const title = `sftp://${target.user}@${target.host}:${target.port}/${target.folder.replace(/^\//, '')}`;
  const whole = (work: (sftp: SFTPWrapper, done: (error: unknown) => void) => void, on: Pick<SftpLink, 'run'> = link) =>
    on.run<undefined>((sftp, done) => work(sftp, (error) => done(error, undefined)));

  const failed = (error: unknown, path: string): unknown => {
    if (!(error instanceof SftpStatus)) return error;
    if (error.status === SFTP_STATUS.missing)
      return Object.assign(new Error(`there is no ${path}`, { cause: error }), { code: 'ENOENT' });
    if (error.status === SFTP_STATUS.denied)
      return new AppError('place_denied', {
        detail: `${title} does not allow it for ${path}.`,
        cause: error,
      });
    return new AppError('place_failed', { detail: `${title} answered for ${path}: ${error.message}.`, cause: error });
  };

  const open = async (path: string, flags: 'r' | 'wx') => {
    const handle = await link.run<Handle>((sftp, done) => sftp.open(at(path), flags, { mode: 0o640 }, done));
    // On another connection its number would be that of another file.
    const on = link.same();
    return {
      handle,
      on,
      // A connection that is gone has closed it.
      close: () => whole((sftp, done) => sftp.close(handle, done), on).catch(() => undefined),
    };
  };

  const room = async () => {
    try {
      const told = await link.run<unknown>((sftp, done) => sftp.ext_openssh_statvfs(at(''), done));
      const { f_bavail, f_frsize, f_favail } = vfsSchema.parse(told);
      return { freeBytes: f_bavail * f_frsize, freeFiles: f_favail };
    } catch (error) {
      // Servers other than OpenSSH do not tell.
      if (error instanceof AppError) throw error;
      return null;
    }
  };

  /** "Failure" is all that most servers say of a full disk. */
  const writeFailed = async (error: unknown, path: string, bytes: number): Promise<unknown> => {
    if (!(error instanceof SftpStatus)) return error;
    if (error.status !== SFTP_STATUS.full && error.status !== SFTP_STATUS.quota) {
      const left = error.status === SFTP_STATUS.failure ? await room() : null;
      // Others that were writing may have let go of their halves since.
      const isRoomy =
        left === null || (left.freeBytes >= WRITERS_AT_ONCE * (bytes + 65_536) && left.freeFiles > WRITERS_AT_ONCE);
      if (isRoomy) return failed(error, path);
    }
    return placeFull(`The file system of ${title}`, error);
  };

  const makeFolder = async (folder: string): Promise<void> => {
    try {
      await whole((sftp, done) => sftp.mkdir(folder, { mode: 0o750 }, done));
    } catch (error) {
      if (!(error instanceof SftpStatus)) throw error;
      const parent = posix.dirname(folder);
      if (error.status === SFTP_STATUS.missing && parent !== folder) {
        await makeFolder(parent);
        await whole((sftp, done) => sftp.mkdir(folder, { mode: 0o750 }, done)).catch(async (again: unknown) => {
          if (!(await isFolder(folder))) throw again;
        });
      } else if (!(await isFolder(folder))) throw error;
    }
  };
  const isFolder = async (folder: string): Promise<boolean> => {
    try {
      return (await link.run<Stats>((sftp, done) => sftp.stat(folder, done))).isDirectory();
    } catch (error) {
      if (error instanceof SftpStatus) return false;
      throw error;
    }
  };
  const withFolder = async <Value>(folder: string, work: () => Promise<Value>): Promise<Value> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        const isMissing = error instanceof SftpStatus && error.status === SFTP_STATUS.missing;
        if (!isMissing || tries === MKDIR_TRIES) throw error;
        await makeFolder(folder);
      }
    }
  };

  const slices = async (length: number, work: (offset: number, size: number) => Promise<unknown>) => {
    for (let from = 0; from < length; from += SLICES_AT_ONCE * SLICE_BYTES) {
      const end = Math.min(length, from + SLICES_AT_ONCE * SLICE_BYTES);
      const under: Promise<unknown>[] = [];
      for (let offset = from; offset < end; offset += SLICE_BYTES)
        under.push(work(offset, Math.min(SLICE_BYTES, end - offset)));
      await Promise.all(under);
    }
  };

  const listing = async (folder: string): Promise<readonly FileEntryWithStats[]> => {
    try {
      const found = await link.run<FileEntryWithStats[]>((sftp, done) => sftp.readdir(at(folder), done));
      // What a stranger answers is not taken for a path.
      return found.filter(({ filename }) => !/[/\0]/.test(filename) && filename !== '.' && filename !== '..');
    } catch (error) {
      if (error instanceof SftpStatus && error.status === SFTP_STATUS.missing) return [];
      throw failed(error, folder);
    }
  };

  const place: Place = {
    title,
    async read(path, maxBytes) {
      try {
        const { handle, on, close } = await open(path, 'r');
        try {
          const facts = await on.run<Stats>((sftp, done) => sftp.fstat(handle, done));
          if (!facts.isFile()) throw new UnfitFile('it is not a plain file');
          if (facts.size > maxBytes) throw new UnfitFile('it is longer than it can be');
          const bytes = Buffer.alloc(facts.size);
          await slices(bytes.length, async (offset, size) => {
            const read = await on.run<number>((sftp, done) =>
              sftp.read(handle, bytes, offset, size, offset, (error, count) => done(error, count)),
            );
            if (read !== size) throw new UnfitFile('it became shorter while it was read');
          });
          return bytes;
        } finally {
          await close();
        }
      } catch (error) {
        throw failed(error, path);
      }
    },
    names: async (folder) => (await listing(folder)).map(({ filename }) => filename),
    async sizeOf(path) {
      try {
        return (await link.run<Stats>((sftp, done) => sftp.stat(at(path), done))).size;
      } catch (error) {
        if (error instanceof SftpStatus && error.status === SFTP_STATUS.missing) return null;
        throw failed(error, path);
      }
    },
    async write(path, bytes) {
      const temporary = `tmp/copy-${randomBytes(8).toString('hex')}`;
      try {
        const { handle, on, close } = await withFolder(at('tmp'), () => open(temporary, 'wx'));
        try {
          await slices(bytes.length, (offset, size) =>
            whole((sftp, done) => sftp.write(handle, bytes, offset, size, offset, done), on),
          );
          await sync(handle, on);
        } finally {
          await close();
        }
        await withFolder(posix.dirname(at(path)), () =>
          whole((sftp, done) => sftp.ext_openssh_rename(at(temporary), at(path), done)),
        );
      } catch (error) {
        const told = await writeFailed(error, path, bytes.length);
        // A server that does not answer keeps its half; a copy that begins a day later removes it.
        if (error instanceof SftpStatus)
          await whole((sftp, done) => sftp.unlink(at(temporary), done)).catch(() => undefined);
        throw told;
      }
    },
    async entries(folder) {
      return (await listing(folder))
        .filter(({ attrs }) => attrs.isFile())
        .map(
          ({ filename, attrs }): PlaceEntry => ({
            name: filename,
            sizeBytes: attrs.size,
            modifiedMs: attrs.mtime * 1000,
          }),
        );
    },
    walk: (folder) => walkFolders(place, folder),
    async remove(path) {
      try {
        await whole((sftp, done) => sftp.unlink(at(path), done));
      } catch (error) {
        if (error instanceof SftpStatus && error.status === SFTP_STATUS.missing) return 'removed';
        // A server that lets files be added and not be deleted.
        if (error instanceof SftpStatus && error.status === SFTP_STATUS.denied) return 'locked';
        throw failed(error, path);
      }
      return 'removed';
    },
    holds: null,
    freeBytes: async () => (await room())?.freeBytes ?? null,
    async close() {
      link.close();
    },
  };
  return place;

  async function sync(handle: Handle, on: Pick<SftpLink, 'run'>): Promise<void> {
    try {
      await whole((sftp, done) => sftp.ext_openssh_fsync(handle, done), on);
    } catch (error) {
      // Other servers have no word for it; what was sent is read back before it counts.
      if (error instanceof AppError) throw error;
    }
  }
}
