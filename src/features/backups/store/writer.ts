/** Writes restore points: disks and blobs first, then the manifest, which is the only moment at which a point comes to be. */

import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapLimit } from '#kernel/async.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { type Core, needKey } from './core.ts';
import { createDiskIndex, type DiskIndex } from './disk-index.ts';
import { assertDiskSize, createDiskWriter, type DiskWriter, type FinishedDisk } from './disk-writer.ts';
import { openEnvelope, sealEnvelope } from './envelope.ts';
import { syncFolder, temporaryName, writeWhole } from './files.ts';
import { takeLease } from './lease.ts';
import { clearLeftovers } from './leftovers.ts';
import { type Manifest, type ManifestBody, manifestBodySchema, manifestSchema, PAGE_BYTES } from './manifest.ts';
import { exclusively } from './mutex.ts';
import { ZERO_ID } from './object.ts';
import { createObjectReader, createObjectWriter, MAX_BLOB_BYTES } from './objects.ts';
import { differences } from './page-differences.ts';
import { findManifest, manifestFiles, readManifest } from './points.ts';
import { createRoom } from './room.ts';

/** Raw bytes on their way at once, in all disks of a writer; their packed form comes on top. */
const MAX_BYTES_UNDERWAY = 8 * 2 ** 20;
const MAX_CHUNKS_UNDERWAY = 32;
const AT_ONCE = 8;
/** How long an object that is not there may be looked for: the sweep lifts what it is about to judge for a moment. */
const MISSING_TRIES = 5;
const MISSING_PAUSE_MS = 100;

export interface RepositoryWriter {
  /** Begins a disk of the point.
   *  @param parent the same disk in an earlier point: what is not written stays as it was there
   *  @throws AppError point_not_found, point_damaged, point_parent_unfit when the size differs or the disk is not in it */
  disk(options: {
    readonly target: string;
    readonly sizeBytes: number;
    readonly parent?: { readonly pointId: string; readonly target: string };
  }): Promise<DiskWriter>;
  /** Chunks of a finished disk that are not as in the parent, in order; a page of the parent that is damaged is passed over.
   *  @throws AppError as `disk` for the parent */
  changedChunks(target: string, parent: { readonly pointId: string; readonly target: string }): AsyncGenerator<number>;
  /** Stores a small document. @throws AppError too_large above 64 MiB */
  blob(bytes: Buffer): Promise<string>;
  /** Makes the point of the disks that `body.disks` names, all finished. Everything is on disk when this resolves, and the writer may go on
   *  with the disks and documents of another point.
   *  @throws AppError backup_objects_lost, backup_lease_lost, no_space; no point is there then */
  publish(body: ManifestBody): Promise<Manifest>;
  /** Ends the writer; what was not published is left to the next prune. */
  close(): Promise<void>;
}

interface OpenDisk {
  readonly sizeBytes: number;
  readonly index: DiskIndex;
  finished: FinishedDisk | null;
}

/** @param host for people who wonder who holds a lock */
export async function openWriter(core: Core, host?: string): Promise<RepositoryWriter> {
  needKey(core);
  const { layout, settings, macKey, isEncrypted } = core;
  const { chunkSizeBytes } = settings;
  const lease = await takeLease(layout, 'write', host);
  const { pool, release } = core.threads.acquire();
  const objects = createObjectWriter({ layout, pool, token: lease.token, skewMs: lease.skewMs });
  const reader = createObjectReader({ layout, pool, chunkSizeBytes, isKeyMissing: false });
  const room = createRoom(MAX_BYTES_UNDERWAY, MAX_CHUNKS_UNDERWAY);
  const disks = new Map<string, OpenDisk>();
  const blobs = new Set<string>();
  let isClosed = false;

  const forgetPoint = async () => {
    const known = [...disks.values()];
    disks.clear();
    blobs.clear();
    await Promise.all(known.map(({ index }) => index.close()));
  };
  const close = async () => {
    if (isClosed) return;
    isClosed = true;
    await room.empty();
    await forgetPoint();
    await lease.release();
    await release();
  };
  try {
    await clearLeftovers(layout);
  } catch (error) {
    await close();
    throw error;
  }

  const storeBlob = async (bytes: Buffer) => {
    if (bytes.length > MAX_BLOB_BYTES)
      throw new AppError('too_large', { detail: 'A document of a restore point has at most 64 MiB.' });
    const { id } = await objects.store('blob', bytes);
    if (id === null) throw new Error('a document was taken for zeros');
    const text = Buffer.from(id).toString('hex');
    blobs.add(text);
    return text;
  };

  const parentPagesOf = async (parent: { pointId: string; target: string }, sizeBytes: number) => {
    const file = await findManifest(layout, parent.pointId);
    await lease.pin(parent.pointId, () => isThere(file.path));
    const { manifest } = await readManifest(core, file);
    const disk = manifest.disks.find(({ target }) => target === parent.target);
    if (!disk || disk.sizeBytes !== sizeBytes)
      throw new AppError('point_parent_unfit', {
        detail: disk
          ? `Disk ${parent.target} had ${disk.sizeBytes} bytes in restore point ${parent.pointId}, and has ${sizeBytes} now.`
          : `Restore point ${parent.pointId} has no disk ${parent.target}.`,
      });
    return disk.pages;
  };

  return {
    async disk({ target, sizeBytes, parent }) {
      assertDiskSize(sizeBytes);
      if (disks.has(target)) throw new TypeError(`disk ${target} was begun already`);
      const parentPages = parent ? await parentPagesOf(parent, sizeBytes) : null;
      const index = createDiskIndex({
        scratch: temporaryName(layout.tmp, lease.token),
        chunks: Math.ceil(sizeBytes / chunkSizeBytes),
        parentPage: async (page) => {
          const id = parentPages?.[page];
          if (id === undefined || id === ZERO_ID.toString('hex')) return Buffer.alloc(PAGE_BYTES);
          return await reader.read('page', id);
        },
      });
      const disk: OpenDisk = { sizeBytes, index, finished: null };
      disks.set(target, disk);
      const writer = createDiskWriter({ sizeBytes, chunkSizeBytes, index, parentPages, objects, room });
      return {
        ...writer,
        async finish() {
          disk.finished = await writer.finish();
          return disk.finished;
        },
      };
    },

    async *changedChunks(target, parent) {
      const disk = disks.get(target);
      if (!disk?.finished) throw new TypeError(`disk ${target} was not finished`);
      yield* differences(reader, await parentPagesOf(parent, disk.sizeBytes), disk.finished.pages);
    },

    blob: storeBlob,

    async publish(given) {
      const facts = manifestBodySchema.parse(given);
      for (const [name, id] of Object.entries(facts.blobs))
        if (!blobs.has(id)) throw new TypeError(`document ${name} was not stored by this writer`);
      const guest = isEncrypted && facts.guest ? await storeBlob(Buffer.from(JSON.stringify(facts.guest))) : null;
      const body = {
        ...facts,
        guest: isEncrypted ? null : facts.guest,
        blobs: guest ? { ...facts.blobs, guest } : facts.blobs,
        disks: facts.disks.map((disk) => {
          const written = disks.get(disk.target);
          if (!written?.finished) throw new TypeError(`disk ${disk.target} was not finished`);
          const { pages, stats } = written.finished;
          return { ...disk, sizeBytes: written.sizeBytes, pages: [...pages], stats };
        }),
      };
      await mapLimit(objects.takeUnsyncedFolders(), AT_ONCE, syncFolder);
      await assertAllThere();
      const manifest = await exclusively(layout.locks, () => promote(body));
      await forgetPoint();
      return manifest;
    },

    close,
  };

  /** Every object that this writer counted on, in particular those that it did not write because they were there. */
  async function assertAllThere(): Promise<void> {
    for (const id of blobs) await assertThere(id);
    for (const { index, finished } of disks.values()) {
      for (const id of finished?.pages ?? []) if (id !== ZERO_ID.toString('hex')) await assertThere(id);
      let batch: string[] = [];
      for await (const id of index.setIds()) {
        batch.push(id);
        if (batch.length < 1024) continue;
        await mapLimit(batch, AT_ONCE, assertThere);
        batch = [];
      }
      await mapLimit(batch, AT_ONCE, assertThere);
    }
  }

  async function assertThere(id: string): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      if (await isThere(layout.object(id))) return;
      if (tries === MISSING_TRIES) throw new AppError('backup_objects_lost', { params: { object: id } });
      await sleep(MISSING_PAUSE_MS);
    }
  }

  async function promote(body: Omit<Manifest, 'v' | 'id' | 'seq' | 'prev' | 'chunkSizeBytes'>): Promise<Manifest> {
    await lease.assertHeld();
    const last = (await manifestFiles(layout, body.vm)).at(-1);
    const manifest: Manifest = manifestSchema.parse({
      v: 1,
      id: newId('rp'),
      seq: (last?.seq ?? 0) + 1,
      prev: last ? await firstLineDigest(last.path) : null,
      chunkSizeBytes,
      ...body,
    });
    const path = layout.manifest(manifest.vm, manifest.seq, manifest.id);
    const bytes = sealEnvelope(manifest, macKeyOf(macKey));
    const folders = new Set<string>([dirname(path)]);
    await writeWhole({
      temporary: temporaryName(layout.tmp, lease.token),
      path,
      bytes,
      onFolder: (folder) => void folders.add(folder),
    });
    for (const folder of folders) await syncFolder(folder);
    openEnvelope(await readFile(path), macKey);
    return manifest;
  }
}

/** A damaged one is chained to all the same: what was there is what the next one follows. */
async function firstLineDigest(path: string): Promise<string> {
  const bytes = await readFile(path);
  const end = bytes.indexOf(0x0a);
  return createHash('sha256')
    .update(end === -1 ? bytes : bytes.subarray(0, end))
    .digest('hex');
}

function macKeyOf(macKey: Uint8Array | null | 'unknown'): Uint8Array | null {
  if (macKey === 'unknown') throw new AppError('key_needed');
  return macKey;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
