/** The log of ticks that are in no block yet: what a crash leaves of the present hour. A file for each hour, to which each tick is appended,
 *  and which goes as a whole: a row in the database costs a third of all that is done for a tick (measured).
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
  /** Forgets all. */
  clear(): void;
  close(): void;
}

const MAGIC = Buffer.from('HVTK');
const HEADER_BYTES = 20;
/** From here on the CRC counts. */
const TIME_AT = 12;
const FILE_NAME = /^(\d+)\.ticks$/;

export function createTickLog(folder: string, log: Logger): TickLog {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const encode = createTickEncoder(new Uint8Array(HEADER_BYTES));
  const pathOf = (hour: number) => join(folder, `${hour}.ticks`);
  /** The file that is appended to. */
  let open: { readonly hour: number; readonly file: number; sizeBytes: number } | null = null;

  const close = () => {
    if (open !== null) closeSync(open.file);
    open = null;
  };
  const opened = (hour: number) => {
    if (open?.hour === hour) return open;
    close();
    const path = pathOf(hour);
    const isThere = existsSync(path);
    // What a crash cut off in the middle would lie between good records for ever.
    const sizeBytes = isThere ? recordsOf(readFileSync(path)).endBytes : 0;
    const file = openSync(path, isThere ? 'r+' : 'wx', 0o600);
    ftruncateSync(file, sizeBytes);
    open = { hour, file, sizeBytes };
    return open;
  };

  return {
    insert(wallTick, values) {
      const target = opened(Math.floor(wallTick / TICKS_PER_HOUR));
      const record = recordOf(wallTick, encode(values));
      try {
        for (let done = 0; done < record.length; )
          done += writeSync(target.file, record, done, record.length - done, target.sizeBytes + done);
      } catch (error) {
        ftruncateSync(target.file, target.sizeBytes);
        throw error;
      }
      target.sizeBytes += record.length;
    },
    hours: () =>
      readdirSync(folder)
        .flatMap((name) => FILE_NAME.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => a - b),
    *read(hour) {
      const bytes = existsSync(pathOf(hour)) ? readFileSync(pathOf(hour)) : Buffer.alloc(0);
      const { records, damaged } = recordsOf(bytes);
      const tell = (why: string) =>
        log.warn(
          { hour: new Date(hour * 3_600_000).toISOString() },
          `ticks of the history are damaged and are left out: ${why}`,
        );
      if (damaged > 0) tell(`${damaged} places of the log do not fit their checksum`);
      for (const [wallTick, row] of [...records].sort(([a], [b]) => a - b)) {
        try {
          yield { wallTick, values: decodeTick(row) };
        } catch (error) {
          tell(messageOf(error));
        }
      }
    },
    remove(hour) {
      if (open?.hour === hour) close();
      rmSync(pathOf(hour), { force: true });
    },
    clear() {
      close();
      for (const name of readdirSync(folder)) if (FILE_NAME.test(name)) rmSync(join(folder, name));
    },
    close,
  };
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

function recordsOf(bytes: Buffer): {
  readonly records: ReadonlyMap<number, Buffer>;
  /** Places between good records where something else lies. */
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
  return { records, damaged, endBytes };
}
