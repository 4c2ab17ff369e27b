/** The log of ticks that are in no block yet: what a crash leaves of the present hour. A file for each hour, to which each tick is appended,
 *  and which goes as a whole: a row in the database costs a quarter of all that is done for a tick (measured). Rows name series by the
 *  numbers of one `metrics.db`, so files carry its id in their name, and those of another one go.
 *
 *  file   := record*
 *  record := "HVTK", bytes of the row, CRC-32 of what follows, ticks since 1970, row (see `tick-row.ts`); the numbers before the row are of 4,
 *            4 and 8 bytes, little-endian
 *  What does not fit its CRC is passed over up to the next record that does. Like the history it is not synced: after a power cut some
 *  minutes may be missing. */

import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { TICKS_PER_HOUR } from './head-runs.ts';
import { createTickEncoder, decodeTick, type TickValues } from './tick-row.ts';

export interface TickLog {
  /** @throws errors of the file system; nothing of the tick is there then */
  insert(wallTick: number, values: TickValues): void;
  /** Hours that have a file, oldest first. */
  hours(): readonly number[];
  /** Ticks of an hour, oldest first. Of two with one time the first that was written counts: an hour that is lived through twice is not stored
   *  twice. Damaged ones are left out and told of. */
  read(hour: number): Iterable<{ readonly wallTick: number; readonly values: TickValues }>;
  /** Forgets an hour. */
  remove(hour: number): void;
  close(): void;
}

const MAGIC = Buffer.from('HVTK');
const HEADER_BYTES = 20;
/** From here on the CRC counts. */
const TIME_AT = 12;
const FILE_NAME = /^(.+)-(\d+)\.ticks$/;

/** @param fileId of the `metrics.db` that the log belongs to */
export function createTickLog(folder: string, fileId: string, log: Logger): TickLog {
  const encode = createTickEncoder(new Uint8Array(HEADER_BYTES));
  const pathOf = (hour: number) => join(folder, `${fileId}-${hour}.ticks`);
  /** The file that is appended to. */
  let open: { readonly hour: number; readonly file: number; sizeBytes: number } | null = null;
  const tell = (hour: number, why: string) =>
    log.warn(
      { hour: new Date(hour * 3_600_000).toISOString() },
      `ticks of the history are damaged and are left out: ${why}`,
    );
  removeOthers(folder, fileId, log);

  const close = () => {
    const file = open?.file;
    open = null;
    if (file !== undefined) closeSync(file);
  };
  const opened = (hour: number) => {
    if (open?.hour === hour) return open;
    close();
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = pathOf(hour);
    const isThere = existsSync(path);
    const { endBytes: sizeBytes } = recordsOf(isThere ? readFileSync(path) : Buffer.alloc(0));
    const file = openSync(path, isThere ? 'r+' : 'wx', 0o600);
    try {
      // What a crash cut off in the middle would lie between good records for ever.
      ftruncateSync(file, sizeBytes);
    } catch (error) {
      closeSync(file);
      throw error;
    }
    open = { hour, file, sizeBytes };
    return open;
  };

  return {
    insert(wallTick, values) {
      const target = opened(Math.floor(wallTick / TICKS_PER_HOUR));
      const record = recordOf(wallTick, encode(values));
      // What is there of one that could not be written as a whole is written over by the next, or cut off with the next start.
      for (let done = 0; done < record.length; )
        done += writeSync(target.file, record, done, record.length - done, target.sizeBytes + done);
      target.sizeBytes += record.length;
    },
    hours: () =>
      filesIn(folder)
        .filter((file) => file.id === fileId)
        .map(({ hour }) => hour)
        .sort((a, b) => a - b),
    *read(hour) {
      const bytes = existsSync(pathOf(hour)) ? readFileSync(pathOf(hour)) : Buffer.alloc(0);
      const { records, damaged } = recordsOf(bytes);
      if (damaged > 0) tell(hour, `${damaged} places of the log do not fit their checksum`);
      for (const [wallTick, row] of [...records].sort(([a], [b]) => a - b)) {
        try {
          yield { wallTick, values: decodeTick(row) };
        } catch (error) {
          tell(hour, messageOf(error));
        }
      }
    },
    remove(hour) {
      if (open?.hour === hour) close();
      rmSync(pathOf(hour), { force: true });
    },
    close,
  };
}

function filesIn(folder: string): { readonly name: string; readonly id: string; readonly hour: number }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => {
    const [, id, hour] = FILE_NAME.exec(name) ?? [];
    return id === undefined ? [] : [{ name, id, hour: Number(hour) }];
  });
}

/** Logs of a `metrics.db` that is gone or was put aside. Nobody reads them, so that one cannot be removed hinders nothing. */
function removeOthers(folder: string, fileId: string, log: Logger): void {
  try {
    for (const { name, id } of filesIn(folder)) if (id !== fileId) rmSync(join(folder, name));
  } catch (error) {
    log.warn({ err: error, folder }, 'the log of ticks of another history could not be removed');
  }
}

/** @param room a row with room for its header before it, which is filled */
function recordOf(wallTick: number, room: Uint8Array): Uint8Array {
  const record = Buffer.from(room.buffer, room.byteOffset, room.byteLength);
  MAGIC.copy(record);
  record.writeUInt32LE(record.length - HEADER_BYTES, 4);
  record.writeDoubleLE(wallTick, TIME_AT);
  record.writeUInt32LE(crc32(record.subarray(TIME_AT)), 8);
  return record;
}

/** Whether this is the beginning of one record, or nothing. */
function isUnfinished(rest: Buffer): boolean {
  const begins = Math.min(MAGIC.length, rest.length);
  if (rest.compare(MAGIC, 0, begins, 0, begins) !== 0) return false;
  return rest.length < HEADER_BYTES || rest.length < HEADER_BYTES + rest.readUInt32LE(4);
}

function recordsOf(bytes: Buffer): {
  readonly records: ReadonlyMap<number, Buffer>;
  /** Places where something else lies than whole records. One that ends too early at the end of the file is no damage: a crash leaves it. */
  readonly damaged: number;
  /** Where the last good record ends. */
  readonly endBytes: number;
} {
  const records = new Map<number, Buffer>();
  let damaged = 0;
  let endBytes = 0;
  for (let at = 0; at !== -1 && at + HEADER_BYTES <= bytes.length; ) {
    const end = at + HEADER_BYTES + bytes.readUInt32LE(at + 4);
    const isGood =
      bytes.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) === 0 &&
      end <= bytes.length &&
      crc32(bytes.subarray(at + TIME_AT, end)) === bytes.readUInt32LE(at + 8);
    if (!isGood) {
      at = bytes.indexOf(MAGIC, at + 1);
      continue;
    }
    if (at > endBytes) damaged += 1;
    const wallTick = bytes.readDoubleLE(at + TIME_AT);
    if (!records.has(wallTick)) records.set(wallTick, bytes.subarray(at + HEADER_BYTES, end));
    endBytes = end;
    at = end;
  }
  if (!isUnfinished(bytes.subarray(endBytes))) damaged += 1;
  return { records, damaged, endBytes };
}
