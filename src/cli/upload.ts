/** Sending a file into the library in chunks; an upload that broke off goes on where it stopped. */

import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { ApiProblem } from '#contract/client.ts';
import type { ImageKind, Upload } from '#contract/images.ts';
import { DEFAULT_PROJECT } from '#kernel/names.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { unreadable } from './files.ts';
import { finish } from './follow.ts';
import { collect } from './objects.ts';
import { problemFrom } from './problems.ts';
import { createProgress } from './progress.ts';
import { safeText } from './text.ts';
import { pause } from './time.ts';

const CHUNK_BYTES = 8 * 2 ** 20;
const RETRIES = 30;

export interface UploadRequest {
  readonly file: string;
  readonly project: string | undefined;
  readonly name: string | undefined;
  readonly kind: ImageKind | undefined;
  readonly sha256: string | undefined;
  readonly isRestart: boolean;
}

/** `Debian 12.iso` -> `debian-12`. */
export function nameFromFile(file: string): string {
  return basename(file)
    .toLowerCase()
    .replace(/\.(iso|qcow2|img|raw|bin)$/, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '');
}

/** Uploads a file and follows the check that publishes it. */
export async function upload(context: CommandContext, request: UploadRequest): Promise<ExitCode> {
  const handle = await open(request.file).catch((error: unknown) => {
    throw unreadable(request.file, error);
  });
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw usageFailure(`"${request.file}" is not a file`, 'Give the path of an image file.');
    if (stat.size === 0) throw usageFailure(`"${request.file}" is empty`, 'Give the path of an image file.');
    const name = request.name ?? nameFromFile(request.file);
    if (name === '') throw usageFailure('the file name makes no name', 'Give --name NAME.');
    const begun = await begin(context, request, name, stat.size);
    const sent = await send(context, handle, begun, stat.size);
    if (sent.operationId === null)
      throw new Failure('hyperd has all bytes but did not begin to check them', {
        exit: EXIT.failed,
        code: 'internal_error',
        hint: '`hv op list` shows what goes on.',
      });
    const operation = await context.api('GET /operations/{id}', { params: { id: sent.operationId } });
    return await finish(context, operation, () => `${name} is in the library`);
  } finally {
    await handle.close();
  }
}

/** A new upload, or the one with this name and size that broke off. */
async function begin(
  { api, output }: CommandContext,
  request: UploadRequest,
  name: string,
  sizeBytes: number,
): Promise<Upload> {
  // A project can be named by its name; uploads tell its id.
  const project =
    request.project === undefined
      ? DEFAULT_PROJECT
      : (await api('GET /projects/{id}', { params: { id: request.project } })).id;
  const unfinished = (await collect(() => api('GET /images/uploads'))).find(
    (each) => each.project === project && each.name === name && each.state === 'receiving',
  );
  if (unfinished && unfinished.sizeBytes === sizeBytes && !request.isRestart) {
    output.message(`going on at ${Math.floor((unfinished.offset / sizeBytes) * 100)} %; --restart begins anew`);
    return unfinished;
  }
  if (unfinished && !request.isRestart) {
    throw new Failure(`an unfinished upload "${name}" has another size`, {
      exit: EXIT.conflict,
      code: 'conflict',
      hint: 'Give --restart to drop it, or another --name.',
    });
  }
  if (unfinished) await api('DELETE /images/uploads/{id}', { params: { id: unfinished.id } });
  return api('POST /images/uploads', {
    body: {
      project,
      name,
      sizeBytes,
      ...(request.kind === undefined ? {} : { kind: request.kind }),
      ...(request.sha256 === undefined ? {} : { sha256: request.sha256.toLowerCase() }),
    },
  });
}

/** Sends what is missing, from the offset that the daemon names. A broken connection is tried again for half a minute. */
async function send(context: CommandContext, handle: FileHandle, begun: Upload, sizeBytes: number): Promise<Upload> {
  const progress = createProgress(context.output);
  const controller = new AbortController();
  const onInterrupt = () => controller.abort();
  process.once('SIGINT', onInterrupt);
  const startedMs = performance.now();
  const startOffset = begun.offset;
  let current = begun;
  let failures = 0;
  try {
    while (current.offset < sizeBytes) {
      const seconds = (performance.now() - startedMs) / 1000;
      progress.update({
        title: `Upload ${safeText(begun.name)}`,
        step: null,
        ratio: current.offset / sizeBytes,
        doneBytes: current.offset,
        totalBytes: sizeBytes,
        bytesPerSecond: seconds > 0.5 ? Math.round((current.offset - startOffset) / seconds) : null,
      });
      try {
        current = await sendChunk(context, handle, current, controller.signal);
        failures = 0;
      } catch (error) {
        failures += 1;
        const isBroken = error instanceof Failure && error.exit === EXIT.unreachable;
        if (controller.signal.aborted || !isBroken || failures > RETRIES) throw error;
        await pause(1000, controller.signal);
        current = await context.api('GET /images/uploads/{id}', { params: { id: begun.id } }).catch(() => current);
      }
    }
    return current;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    throw new Failure(`you left; ${Math.floor((current.offset / sizeBytes) * 100)} % of "${begun.name}" are safe`, {
      exit: EXIT.interrupted,
      code: 'interrupted',
      hint: 'The same command goes on where it stopped.',
    });
  } finally {
    process.off('SIGINT', onInterrupt);
    progress.end();
  }
}

async function sendChunk(
  { transport, api }: CommandContext,
  handle: FileHandle,
  at: Upload,
  signal: AbortSignal,
): Promise<Upload> {
  const length = Math.min(CHUNK_BYTES, at.sizeBytes - at.offset);
  const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, at.offset);
  if (bytesRead === 0)
    throw new Failure('the file became shorter while it was sent', {
      exit: EXIT.failed,
      code: 'file_changed',
      hint: 'Send it again with --restart.',
    });
  const response = await transport.send({
    method: 'PATCH',
    path: `/api/v1/images/uploads/${encodeURIComponent(at.id)}`,
    headers: { 'content-type': 'application/offset+octet-stream', 'upload-offset': at.offset },
    body: buffer.subarray(0, bytesRead),
    signal,
  });
  if (response.status < 400) return { ...at, ...JSON.parse(response.body.toString('utf8')) };
  const problem = problemFrom(response.body.toString('utf8'), response.status);
  // The daemon knows better how far it is, as after a chunk whose answer was lost: go on from there.
  if (problem instanceof ApiProblem && problem.problem.status === 409) {
    const fresh = await api('GET /images/uploads/{id}', { params: { id: at.id } });
    if (fresh.offset !== at.offset) return fresh;
  }
  throw problem;
}
