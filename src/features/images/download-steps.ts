/** The steps that bring an image here: from the network with resume, or from a file of the host. Both leave the operation's own
 *  `.part`, which nothing uses before it is checked. */

import { constants } from 'node:fs';
import { copyFile, type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';
import type { Step, StepContext } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import type { Fetcher } from '#platform/fetch/index.ts';
import { asSpaceError, createBatchWriter } from './batch-writer.ts';
import type { CatalogueEntry } from './catalogue.ts';
import { resolveCatalogueEntry } from './catalogue-online.ts';
import { findChecksum, parseChecksumFile } from './checksum-file.ts';
import { type Digest, digestSchema } from './content-steps.ts';
import { type ImageFiles, openPart, removeFile } from './image-files.ts';
import { fileNameOf } from './image-name.ts';
import type { ImageCharge } from './image-quota.ts';
import type { ImageSpace } from './image-space.ts';

const MAX_CHECKSUM_BYTES = MIB;
/** After so many bytes what arrived is made safe and the place remembered. */
const SAVE_BYTES = 64 * MIB;
/** A broken transfer is taken up again in the same operation, if it brought anything since. */
const RETRY_MS = [1_000, 5_000, 15_000];

const resolvedSchema = z.object({
  url: z.string(),
  digests: z.array(digestSchema),
  level: z.enum(['signature', 'checksum', 'given_checksum', 'none']),
});
/** Where the image is and what it must turn out to be. */
export type Resolved = z.infer<typeof resolvedSchema>;

const resumeSchema = z.object({ offset: z.number(), validator: z.string() });

const RESOLVED = 'resolved';
const RESUME = 'resume';

export function recallResolved(context: StepContext): Resolved {
  return resolvedSchema.parse(context.recall(RESOLVED));
}

export interface DownloadRequest {
  readonly url: string;
  readonly digests: readonly Digest[];
  readonly checksumUrl: string | null;
}

/** Settles address and checksum: as given, from a checksum file beside the image, or from the catalogue. */
export function resolveStep(wanted: DownloadRequest | CatalogueEntry, fetcher: Fetcher): Step {
  return {
    name: 'resolve',
    title: 'Find address and checksum',
    isCancellable: true,
    async act(context) {
      await context.remember(
        RESOLVED,
        'folderUrl' in wanted
          ? await fromCatalogue(wanted, fetcher, context)
          : await fromRequest(wanted, fetcher, context),
      );
    },
  };
}

async function fromCatalogue(
  entry: CatalogueEntry,
  fetcher: Fetcher,
  { signal, progress }: StepContext,
): Promise<Resolved> {
  const { url, digest, level, levelReason } = await resolveCatalogueEntry(entry, fetcher, signal);
  if (levelReason !== null) progress({ note: levelReason });
  return { url, digests: [digest], level };
}

async function fromRequest(
  { url, digests, checksumUrl }: DownloadRequest,
  fetcher: Fetcher,
  { signal }: StepContext,
): Promise<Resolved> {
  if (checksumUrl === null)
    return { url, digests: [...digests], level: digests.length > 0 ? 'given_checksum' : 'none' };
  const lines = parseChecksumFile(await fetcher.fetchText({ url: checksumUrl, maxBytes: MAX_CHECKSUM_BYTES, signal }));
  const name = fileNameOf(url);
  const line = (['sha512', 'sha256'] as const)
    .map((kind) => findChecksum(lines, { kind, file: { name }, line: 'by_name' }))
    .find((found) => found !== null);
  if (!line) {
    throw new AppError('checksum_missing', {
      detail: `The checksum file has no line for ${name}.`,
      hint: 'Give the checksum itself, or the address of the file that names this image.',
    });
  }
  return {
    url,
    digests: [...digests, { kind: line.kind, value: line.digest }],
    level: digests.length > 0 ? 'given_checksum' : 'checksum',
  };
}

export interface DownloadStepOptions {
  readonly fetcher: Pick<Fetcher, 'download'>;
  readonly files: ImageFiles;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly space: ImageSpace;
}

/** Downloads to the operation's part; goes on where an earlier life stopped. */
export function downloadStep(
  { fetcher, files, space, clock, maxBytes }: DownloadStepOptions,
  charge: ImageCharge,
): Step {
  const attempt = async (context: StepContext, handle: FileHandle): Promise<void> => {
    const { url } = recallResolved(context);
    const known = resumeSchema.safeParse(context.recall(RESUME));
    const { size } = await handle.stat();
    const canResume = known.success && known.data.offset > 0 && known.data.offset <= size;
    let writer = createBatchWriter(handle, 0);
    let saved = 0;
    let validator: string | null = null;
    let expectedBytes: number | null = null;
    /** Bytes still to come; of an unknown length only the floor can be looked after. */
    const leftBytes = () => Math.max(0, (expectedBytes ?? writer.written) - writer.written);
    const save = async () => {
      await handle.datasync();
      saved = writer.written;
      await context.remember(RESUME, validator === null ? null : { offset: saved, validator });
    };
    /** What came is kept for the next attempt. */
    const keep = async () => {
      await writer.flush();
      if (writer.written > saved) await save();
    };
    try {
      await fetcher.download({
        url,
        maxBytes,
        signal: context.signal,
        ...(canResume ? { resume: known.data } : {}),
        sink: {
          async begin(facts) {
            await handle.truncate(facts.offset);
            writer = createBatchWriter(handle, facts.offset);
            expectedBytes = facts.totalBytes;
            await context.charge([charge(expectedBytes ?? facts.offset)]);
            await space.take(context.operationId, leftBytes());
            validator = facts.validator;
            await save();
          },
          async write(chunk) {
            await writer.write(chunk);
            space.left(context.operationId, leftBytes());
            if (writer.written - saved < SAVE_BYTES) return;
            await save();
            await space.take(context.operationId, leftBytes());
            // Of an unknown length, what came is all that is known of it.
            if (expectedBytes === null) await context.charge([charge(writer.written)]);
          },
        },
        onProgress: (doneBytes, totalBytes) =>
          context.progress({ doneBytes, ...(totalBytes === null ? {} : { totalBytes }) }),
      });
    } catch (error) {
      // Why it broke off says more than why the rest could not be kept.
      await keep().catch((lost: unknown) => context.log.warn({ err: lost }, 'bytes of a download were lost'));
      throw error;
    }
    await keep();
  };

  return {
    name: 'download',
    title: 'Download',
    isCancellable: true,
    timeoutMs: null,
    async act(context) {
      const handle = await openPart(files.part(context.operationId));
      try {
        for (let failures = 0; ; ) {
          const before = (await handle.stat()).size;
          try {
            await attempt(context, handle);
            break;
          } catch (error) {
            context.signal.throwIfAborted();
            const hasAdvanced = (await handle.stat()).size > before;
            failures = hasAdvanced ? 1 : failures + 1;
            const waitMs = RETRY_MS[failures - 1];
            if (!isTransient(error) || waitMs === undefined) throw asSpaceError(error);
            context.log.warn({ err: error, failures }, 'the download broke off; going on');
            context.progress({ note: 'The transfer broke off; going on' });
            await clock.sleep(waitMs, context.signal);
          }
        }
        await handle.sync();
      } finally {
        space.release(context.operationId);
        await handle.close();
      }
    },
    compensate: (context) => removeFile(files.part(context.operationId)),
  };
}

/** Broken on the way, rather than refused by somebody. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof AppError)) return false;
  const status = error.params['status'];
  if (error.code === 'download_stalled') return true;
  return error.code === 'download_failed' && (typeof status !== 'number' || status >= 500);
}

/** Copies a file of the host to the operation's part; by reference where the file system can. */
export function copyStep(
  path: string,
  { files, space, maxBytes }: Pick<DownloadStepOptions, 'files' | 'space' | 'maxBytes'>,
  charge: ImageCharge,
): Step {
  return {
    name: 'copy',
    title: 'Copy the file',
    isCancellable: true,
    timeoutMs: null,
    async act(context) {
      const source = await openSource(path);
      let part: FileHandle | null = null;
      try {
        const { size } = await source.stat();
        if (size > maxBytes)
          throw new AppError('download_too_large', {
            detail: `The file has ${size} bytes; at most ${maxBytes} are allowed.`,
          });
        await context.charge([charge(size)]);
        part = await openPart(files.part(context.operationId));
        // What an earlier life copied is copied again.
        await part.truncate(0);
        if (await cloneFile(source, part)) return;
        await space.take(context.operationId, size);
        await copyBytes(source, part, context, (doneBytes) => {
          space.left(context.operationId, size - doneBytes);
          context.progress({ doneBytes, totalBytes: size });
        });
      } catch (error) {
        throw asSpaceError(error);
      } finally {
        space.release(context.operationId);
        await part?.close();
        await source.close();
      }
    },
    compensate: (context) => removeFile(files.part(context.operationId)),
  };
}

/** A plain file, opened without following a link at its end.
 *  @throws AppError not_found, invalid_input */
export async function openSource(path: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR'))
      throw pathRefused('there is no such file', 'Give the path of a file on this host.');
    if (hasErrno(error, 'ELOOP', 'ENXIO', 'ENODEV', 'EACCES'))
      throw pathRefused('it is a link or device, or may not be read', 'Give the path of the file itself.');
    throw error;
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw pathRefused('it is not a file', 'Give the path of the file itself.');
}

function pathRefused(problem: string, mend: string): AppError {
  return new AppError('invalid_input', {
    detail: `The path cannot be imported: ${problem}.`,
    hint: mend,
    fields: [{ path: 'path', problem, mend }],
  });
}

/** True when the file system shares the blocks. */
async function cloneFile(source: FileHandle, part: FileHandle): Promise<boolean> {
  try {
    // Through the descriptors, so that they are the files that were checked.
    await copyFile(`/proc/self/fd/${source.fd}`, `/proc/self/fd/${part.fd}`, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOSYS', 'ENOTTY')) return false;
    throw error;
  }
}

async function copyBytes(
  source: FileHandle,
  part: FileHandle,
  { signal }: StepContext,
  onProgress: (doneBytes: number) => void,
): Promise<void> {
  const writer = createBatchWriter(part, 0);
  const buffer = Buffer.alloc(MIB);
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await source.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) break;
    await writer.write(buffer.subarray(0, bytesRead));
    position += bytesRead;
    onProgress(writer.written);
  }
  await writer.flush();
  await part.sync();
}
