/** The thread that hashes, compresses, seals and checks objects: `pool.ts` gives it work. It touches no file but to mark an object that is
 *  already there as used. Does nothing in the main thread, which loads it as well: see `pool.ts`. */

import { utimesSync } from 'node:fs';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { giveBack } from './memory.ts';
import { checkedObject, idOf, ObjectDamage, type ObjectKind, packObject, unpackObject } from './object.ts';
import { chunksOf, objectPath } from './object-path.ts';
import type { PoolAnswer, PoolSettings, PoolTask } from './pool-messages.ts';

const SOUND = { answer: { is: 'sound' as const }, transfer: [] };

interface Answered {
  readonly answer: PoolAnswer;
  /** Memory that goes with the answer. */
  readonly transfer: ArrayBuffer[];
}

if (parentPort !== null) serve(parentPort, workerData);

function serve(port: MessagePort, settings: PoolSettings): void {
  const chunks = chunksOf(settings.folder);
  const zeros = Buffer.alloc(settings.maxChunkBytes);
  port.on('message', ({ n, task }: { readonly n: number; readonly task: PoolTask }) => {
    const { answer, transfer } = answerTo(task);
    port.postMessage({ n, answer }, transfer);
  });

  function answerTo(task: PoolTask): Answered {
    try {
      return task.does === 'pack' ? pack(task) : unpack(task, settings);
    } catch (error) {
      if (error instanceof ObjectDamage) return { answer: { is: 'damaged', reason: error.message }, transfer: [] };
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { answer: { is: 'failed', reason }, transfer: [] };
    }
  }

  function pack({ kind, bytes, skewMs, isForced }: Extract<PoolTask, { does: 'pack' }>): Answered {
    const raw = Buffer.from(bytes);
    try {
      return packed(kind, raw, skewMs, isForced);
    } finally {
      giveBack(raw);
    }
  }

  function packed(kind: ObjectKind, raw: Buffer, skewMs: number, isForced: boolean): Answered {
    if (kind !== 'blob' && isZero(raw, zeros)) return { answer: { is: 'zero' }, transfer: [] };
    const id = idOf(kind, raw, settings.keys);
    if (!isForced && isThere(objectPath(chunks, id.toString('hex')), skewMs))
      return { answer: { is: 'present', id: Uint8Array.from(id) }, transfer: [] };
    const object = packObject({ kind, raw, id, keys: settings.keys, level: settings.level });
    return { answer: { is: 'packed', id: Uint8Array.from(id), object }, transfer: transferable(object) };
  }
}

function unpack(
  { kind, id, bytes, maxRawBytes, wants }: Extract<PoolTask, { does: 'unpack' }>,
  { keys, isEncrypted }: PoolSettings,
): Answered {
  const object = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (wants === 'digest') {
      checkedObject(object);
      return SOUND;
    }
    const raw = unpackObject({ kind, object, id, keys, isEncrypted, maxRawBytes });
    if (wants === 'bytes')
      // What was not compressed lies in the object itself, which goes away.
      return answerWith(raw.buffer === object.buffer ? Buffer.from(raw) : raw);
    giveBack(raw);
    return SOUND;
  } finally {
    giveBack(object);
  }
}

const answerWith = (raw: Buffer): Answered => ({ answer: { is: 'unpacked', raw }, transfer: transferable(raw) });

/** Only memory that nobody else looks at may go to another thread; the rest is copied. */
function transferable({ buffer, byteLength }: Buffer): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : [];
}

function isZero(raw: Buffer, zeros: Buffer): boolean {
  for (let at = 0; at < raw.length; at += zeros.length) {
    const length = Math.min(zeros.length, raw.length - at);
    if (raw.compare(zeros, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}

/** Tells the sweep that the object is in use, which is at once the question whether there is one. */
function isThere(path: string, skewMs: number): boolean {
  const now = (Date.now() + skewMs) / 1000;
  try {
    utimesSync(path, now, now);
    return true;
  } catch {
    // Missing or not ours to touch: it is written anew, which is right either way.
    return false;
  }
}
