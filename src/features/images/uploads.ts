/** Resumable uploads: bytes are appended to a part by offset, made safe before they are counted, and become an image by an
 *  operation of their own once all are there. An upload without bytes for a day is dropped. */

import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { ParsedBody } from '#contract/api.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Upload } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import { formatBytes, formatDuration, KIB, MIB } from '#kernel/units.ts';
import type { Identity } from '#platform/feature.ts';
import { asSpaceError, createBatchWriter, isSpaceError } from './batch-writer.ts';
import { type ImageFiles, openPart, plainSize, removeFile } from './image-files.ts';
import { type ImageNames, nameTaken } from './image-names.ts';
import type { ImageSpace } from './image-space.ts';
import type { ImageStore, UploadRow } from './store.ts';

const LIFE_MS = 24 * 3_600_000;
/** Received bytes are made safe and counted this often. */
const SAVE_BYTES = 64 * MIB;
/** More than a transaction of ours writes. */
const GIVEN_BACK_BYTES = MIB;
/** Slower than this over a minute is not worth a connection. */
const MIN_BYTES_PER_SECOND = KIB;
const RATE_WINDOW_MS = 60_000;
const IDLE_MS = 30_000;
const WATCH_MS = 1_000;
const EVENT_MS = 500;
/** Time for a refusal to reach the sender before the rest of what he sends is cut off. */
const ANSWER_MS = 2_000;
const BUSY_RETRY_MS = [200, 1_000, 3_000];

export type UploadRequest = ParsedBody<'POST /images/uploads'>;

/** Who sends an upload. */
export type Sender = Pick<Identity, 'userId' | 'user' | 'via' | 'method' | 'tokenId'>;

export interface Uploads {
  /** @throws AppError already_exists, too_large, no_space, quota_exceeded */
  begin(request: UploadRequest, sender: Sender): Promise<Upload>;
  list(): readonly Upload[];
  get(id: string): Upload | null;
  /** Appends what the stream brings. Bytes received before a failure are kept.
   *  @throws AppError upload_offset, too_large, upload_stalled, busy, wrong_state, no_space, foreign_file */
  append(
    id: string,
    offset: number,
    announcedBytes: number | null,
    stream: Readable,
    publish: (row: UploadRow) => Promise<Operation>,
  ): Promise<Upload>;
  /** Gives it up. @throws AppError not_found, busy, wrong_state */
  cancel(id: string): Promise<void>;
  /** Drops row and bytes; what is gone already is no failure. */
  end(id: string): Promise<void>;
  /** The same once its bytes are an image. */
  finish(id: string): Promise<void>;
  /** Promises again what unfinished uploads may still bring: nothing of that survives a restart. */
  expectRest(): Promise<void>;
  /** Drops what is past its day. */
  sweep(): Promise<void>;
  /** All bytes are there, but nobody publishes it: a crash came between. */
  unpublished(): readonly UploadRow[];
  /** @throws AppError upload_offset when bytes that were counted are gone, which sets the upload back; foreign_file */
  assertWhole(row: UploadRow): Promise<void>;
  /** Begins the operation that checks and publishes a complete upload. */
  publish(row: UploadRow, begin: (row: UploadRow) => Promise<Operation>): Promise<Upload>;
}

export interface UploadsOptions {
  readonly store: ImageStore;
  readonly files: ImageFiles;
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
  readonly maxBytes: number;
  readonly names: ImageNames;
  readonly space: ImageSpace;
}

export function createUploads({ store, files, clock, events, maxBytes, names, space }: UploadsOptions): Uploads {
  /** Uploads that somebody sends to, publishes or gives up now: one at a time. */
  const receiving = new Set<string>();

  const view = (row: UploadRow): Upload => ({
    id: row.id,
    name: row.name,
    project: row.project,
    kind: row.kind,
    sizeBytes: row.size_bytes,
    offset: row.offset_bytes,
    state: row.operation_id === null ? 'receiving' : 'checking',
    operationId: row.operation_id,
    expiresAt: row.expires_at,
  });
  const known = (id: string): UploadRow => {
    const row = store.upload(id);
    if (!row)
      throw new AppError('not_found', { detail: 'There is no such upload; it may have run out or been finished.' });
    return row;
  };
  const expiry = () => new Date(clock.now().getTime() + LIFE_MS).toISOString();
  const change = async (id: string, values: Parameters<ImageStore['changeUpload']>[1]): Promise<UploadRow> => {
    const row = await store.changeUpload(id, values);
    if (row) space.left(id, row.size_bytes - row.offset_bytes);
    if (!row) throw new AppError('not_found', { detail: 'The upload was given up meanwhile.' });
    events.emit('upload.changed', view(row));
    return row;
  };
  /** Bytes that were counted are gone, by another program or with a file system: the sender goes on from those that are there. */
  const assertPresent = async (row: UploadRow, presentBytes: number) => {
    if (presentBytes >= row.offset_bytes) return;
    await change(row.id, { offset_bytes: presentBytes });
    throw new AppError('upload_offset', {
      detail: `Only ${presentBytes} of the ${row.offset_bytes} bytes of ${row.name} are left.`,
      params: { offset: presentBytes },
    });
  };
  const assertWhole = async (row: UploadRow) => await assertPresent(row, (await plainSize(files.part(row.id))) ?? 0);
  const drop = async (id: string, isImage: boolean) => {
    await store.load();
    await removeFile(files.part(id));
    space.release(id);
    const project = store.upload(id)?.project;
    if (project === undefined) return;
    await store.removeUpload(id, isImage);
    events.emit('upload.removed', { id, project });
  };
  const end = (id: string) => drop(id, false);
  const assertIdle = (row: UploadRow) => {
    if (row.operation_id !== null)
      throw new AppError('wrong_state', {
        detail: `${row.name} is complete and being checked.`,
        hint: 'Cancel its operation instead.',
      });
    if (receiving.has(row.id))
      throw new AppError('busy', {
        detail: `Somebody is sending ${row.name} now.`,
        hint: 'Wait for the other sender, or stop it.',
      });
  };

  const receive = async (row: UploadRow, handle: FileHandle, stream: Readable): Promise<UploadRow> => {
    // What a crash left behind the safe offset is written again.
    await handle.truncate(row.offset_bytes);
    const writer = createBatchWriter(handle, row.offset_bytes);
    let current = row;
    let lastEventMs = clock.monotonicMs();
    const save = async (offset = writer.written) => {
      await handle.datasync();
      current = await change(row.id, { offset_bytes: offset, expires_at: expiry() });
    };
    /** Counts what came. The count and the record of the refusal need room too: on a full disk the last piece is given back for them. */
    const keep = async (isFull: boolean) => {
      if (isFull) {
        const offset = Math.max(current.offset_bytes, writer.written - GIVEN_BACK_BYTES);
        await handle.truncate(offset);
        if (offset !== current.offset_bytes) await save(offset);
      } else if (writer.written !== current.offset_bytes) await save();
    };
    const failures: unknown[] = [];
    try {
      for await (const chunk of paced(stream, clock)) {
        if (writer.taken + chunk.length > row.size_bytes) {
          throw new AppError('too_large', {
            detail: `More bytes came than the ${row.size_bytes} announced.`,
            params: { sizeBytes: row.size_bytes, offset: writer.taken },
          });
        }
        await writer.write(chunk);
        space.left(row.id, row.size_bytes - writer.written);
        if (writer.written - current.offset_bytes >= SAVE_BYTES) await save();
        else if (clock.monotonicMs() - lastEventMs > EVENT_MS) {
          lastEventMs = clock.monotonicMs();
          events.emit('upload.changed', { ...view(current), offset: writer.written });
        }
      }
    } catch (error) {
      failures.push(error);
    }
    // What came before a failure is kept, and the sender hears of the first one.
    try {
      await writer.flush();
    } catch (error) {
      failures.push(error);
    }
    try {
      await keep(failures.some(isSpaceError));
    } catch (error) {
      failures.push(error);
    }
    if (failures.length > 0) throw asSpaceError(failures[0]);
    return current;
  };

  /** Waits for an operation that has the name or the upload for a moment: nothing of what was sent is lost for it. */
  const publishComplete: Uploads['publish'] = async ({ id }, begin) => {
    for (let attempt = 0; ; attempt += 1) {
      const row = known(id);
      if (row.operation_id !== null) return view(row);
      await assertWhole(row);
      if (store.imagesNamed(row.name).some(({ project }) => project === row.project)) throw nameTaken(row.name);
      try {
        const operation = await begin(row);
        return view((await store.changeUpload(id, { operation_id: operation.id })) ?? row);
      } catch (error) {
        const waitMs = BUSY_RETRY_MS[attempt];
        if (!(error instanceof AppError && error.code === 'busy') || waitMs === undefined) throw error;
        await clock.sleep(waitMs);
      }
    }
  };

  return {
    async begin(request, sender) {
      await store.load();
      if (request.sizeBytes > maxBytes) {
        throw new AppError('too_large', {
          detail: `An image may have ${formatBytes(maxBytes)}; this one has ${formatBytes(request.sizeBytes)}.`,
          fields: [{ path: 'sizeBytes', problem: 'larger than allowed', mend: `Use at most ${maxBytes}.` }],
          params: { limitBytes: maxBytes },
        });
      }
      const { name, release } = names.reserve(request.project, request.name, request.name, null);
      try {
        const now = clock.now();
        const id = newId('upl', now.getTime());
        await space.take(id, request.sizeBytes);
        const row: UploadRow = {
          id,
          project: request.project,
          name,
          kind: request.kind ?? null,
          size_bytes: request.sizeBytes,
          offset_bytes: 0,
          sha256: request.sha256 ?? null,
          actor: sender.user,
          sender: JSON.stringify({
            userId: sender.userId,
            user: sender.user,
            via: sender.via,
            method: sender.method,
            tokenId: sender.tokenId,
          } satisfies Sender),
          operation_id: null,
          created_at: now.toISOString(),
          expires_at: expiry(),
        };
        try {
          await store.addUpload(row);
        } catch (error) {
          space.release(id);
          throw error;
        }
        events.emit('upload.changed', view(row));
        return view(row);
      } finally {
        release();
      }
    },
    list: () => store.uploads().map(view),
    get(id) {
      const row = store.upload(id);
      return row ? view(row) : null;
    },
    async append(id, offset, announcedBytes, stream, publish) {
      const row = known(id);
      assertIdle(row);
      if (offset !== row.offset_bytes) {
        throw new AppError('upload_offset', {
          detail: `${row.offset_bytes} bytes of ${row.name} are here; the request begins at ${offset}.`,
          params: { offset: row.offset_bytes },
        });
      }
      if (announcedBytes !== null && offset + announcedBytes > row.size_bytes) {
        throw new AppError('too_large', {
          detail: `These bytes would go beyond the ${row.size_bytes} announced.`,
          params: { sizeBytes: row.size_bytes, offset },
        });
      }
      receiving.add(id);
      try {
        let received: UploadRow;
        const handle = await openPart(files.part(id)).catch((error: unknown) => Promise.reject(asSpaceError(error)));
        try {
          await assertPresent(row, (await handle.stat()).size);
          received = await receive(row, handle, stream);
        } finally {
          await handle.close();
        }
        // Nobody may take it away or publish it too before its operation has it.
        return received.offset_bytes === received.size_bytes
          ? await publishComplete(received, publish)
          : view(received);
      } finally {
        receiving.delete(id);
      }
    },
    async cancel(id) {
      assertIdle(known(id));
      receiving.add(id);
      try {
        await end(id);
      } finally {
        receiving.delete(id);
      }
    },
    end,
    finish: (id) => drop(id, true),
    async expectRest() {
      for (const row of store.uploads()) await space.expect(row.id, row.size_bytes - row.offset_bytes);
    },
    async sweep() {
      const now = clock.now().toISOString();
      for (const row of store.uploads()) {
        if (row.expires_at < now && row.operation_id === null && !receiving.has(row.id)) await end(row.id);
      }
    },
    unpublished: () =>
      store
        .uploads()
        .filter((row) => row.operation_id === null && row.offset_bytes === row.size_bytes && !receiving.has(row.id)),
    assertWhole,
    publish: publishComplete,
  };
}

/** The stream's chunks. Ends with `upload_stalled` when they come too slowly, and quietly when the client goes away. */
async function* paced(stream: Readable, clock: Clock): AsyncGenerator<Buffer> {
  const began = clock.monotonicMs();
  let bytes = 0;
  let waitingSince = began;
  let giveUp: (error: AppError) => void = () => undefined;
  const over = new AbortController();
  const watch = async () => {
    for (;;) {
      await clock.sleep(WATCH_MS, over.signal);
      const now = clock.monotonicMs();
      const isSlow = now - began > RATE_WINDOW_MS && (bytes * 1000) / (now - began) < MIN_BYTES_PER_SECOND;
      if (!isSlow && now - waitingSince <= IDLE_MS) continue;
      giveUp(
        new AppError('upload_stalled', {
          detail: `Only ${formatBytes(bytes)} came in ${formatDuration(now - began)}.`,
        }),
      );
    }
  };
  // It ends with the upload, by the signal.
  watch().catch(() => undefined);
  // The stream is the request: were it destroyed with the iterator, no answer could be sent.
  const chunks = stream.iterator({ destroyOnReturn: false });
  const next = () =>
    new Promise<IteratorResult<unknown>>((resolve, reject) => {
      giveUp = reject;
      waitingSince = clock.monotonicMs();
      chunks.next().then(resolve, reject);
    });
  try {
    for (let chunk = await next(); !chunk.done; chunk = await next()) {
      if (!Buffer.isBuffer(chunk.value)) continue;
      bytes += chunk.value.length;
      yield chunk.value;
      // Time that the disk takes is not the sender's.
      waitingSince = clock.monotonicMs();
    }
  } catch (error) {
    // What came before is kept; there is nobody left to be told.
    if (!hasErrno(error, 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE')) throw error;
  } finally {
    over.abort();
    if (!stream.readableEnded) setTimeout(() => stream.destroy(), ANSWER_MS).unref();
  }
}
