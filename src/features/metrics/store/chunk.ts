/** The raw tier: all series of one owner for one hour in one block. Each column has its own step, so series that are measured every
 *  ten seconds and every minute lie together.
 *
 *  block  := version, columns, column*
 *  column := series - the one before, bytes of the rest, mode, step, first offset, slots, [unit], [bitmap of slots], values
 *  values := value* | first value, bytes of the rest, Rice codes of the others
 *  Offsets are ticks since the hour began. Values are whole: the figure times ten to the power of its decimals. */

import { pack, unpack } from './block.ts';
import { decodeRice, encodeRice, RICE_LIMIT } from './rice.ts';
import { ByteReader, ByteWriter, DamagedBytes } from './varints.ts';

export interface Column {
  /** Id of the series. */
  readonly series: number;
  /** Ticks since the hour began, growing. */
  readonly offsets: Int32Array;
  /** Safe integers, one for each offset. */
  readonly values: Float64Array;
}

const VERSION = 1;
/** Each value as the difference from the one before; else, where differences would leave the safe integers, as it is. */
const DELTAS = 1;
/** Not every slot has a value: a bitmap says which. */
const HAS_GAPS = 2;
/** All values are multiples of a number, as memory is of pages; they are written divided by it. */
const HAS_UNIT = 4;
/** Differences as Rice codes. */
const RICE = 8;
/** One in so many differences is another than the one before. */
const RESTLESS_SHARE = 2;

/** Used for each chunk; they have grown to the size of one. */
const out = new ByteWriter();
const body = new ByteWriter();

/** @param columns by series, growing; empty ones are left out */
export function encodeChunk(columns: readonly Column[]): Uint8Array {
  const filled = columns.filter(({ values }) => values.length > 0);
  out.byte(VERSION);
  out.unsigned(filled.length);
  let before = 0;
  for (const column of filled) {
    out.unsigned(column.series - before);
    before = column.series;
    writeColumn(column);
    out.unsigned(body.length);
    out.raw(body.take());
  }
  // Level 3 finds half a percent more, for half as much time again.
  return pack(out.take(), 1);
}

/** @throws DamagedBytes */
export function decodeChunk(bytes: Uint8Array, wanted: ReadonlySet<number> | null = null): Column[] {
  return readColumns(unpack(bytes), wanted);
}

/** @param unpacked a chunk without its hull
 *  @param wanted only these series; null = all
 *  @throws DamagedBytes */
export function readColumns(unpacked: Uint8Array, wanted: ReadonlySet<number> | null): Column[] {
  const input = new ByteReader(unpacked);
  if (input.byte() !== VERSION) throw new DamagedBytes('the block is of another version');
  const columns: Column[] = [];
  let series = 0;
  for (let left = input.unsigned(); left > 0; left -= 1) {
    series += input.unsigned();
    const length = input.unsigned();
    if (wanted !== null && !wanted.has(series)) input.skip(length);
    else columns.push(readColumn(series, input));
  }
  return columns;
}

/** Into `body`. */
function writeColumn({ offsets, values }: Column): void {
  const first = offsets[0] ?? 0;
  const step = stepOf(offsets);
  const slots = ((offsets.at(-1) ?? first) - first) / step + 1;
  const hasGaps = slots !== offsets.length;
  const unit = divisorOf(values);
  const shown = unit > 1 ? values.map((value) => value / unit) : values;
  const { isDelta, isRestless, meanDifference } = courseOf(shown);
  body.byte((isDelta ? DELTAS : 0) | (hasGaps ? HAS_GAPS : 0) | (unit > 1 ? HAS_UNIT : 0) | (isRestless ? RICE : 0));
  body.unsigned(step);
  body.unsigned(first);
  body.unsigned(slots);
  if (unit > 1) body.unsigned(unit);
  if (hasGaps) {
    const bitmap = new Uint8Array(Math.ceil(slots / 8));
    for (const offset of offsets) {
      const slot = (offset - first) / step;
      bitmap[slot >> 3] = (bitmap[slot >> 3] ?? 0) | (1 << (slot & 7));
    }
    body.raw(bitmap);
  }
  if (!isRestless) {
    body.signedRun(shown, isDelta);
    return;
  }
  body.signed(shown[0] ?? 0);
  const codes = encodeRice(shown, meanDifference);
  body.unsigned(codes.length);
  body.raw(codes);
}

function readColumn(series: number, input: ByteReader): Column {
  const mode = input.byte();
  const step = input.unsigned();
  const first = input.unsigned();
  const slots = input.unsigned();
  const unit = (mode & HAS_UNIT) === 0 ? 1 : input.unsigned();
  const bitmap = (mode & HAS_GAPS) === 0 ? null : input.raw(Math.ceil(slots / 8));
  const count = bitmap === null ? slots : bitsOf(bitmap);
  const values = (mode & RICE) === 0 ? input.signedRun(count, (mode & DELTAS) !== 0) : readRice(input, count);
  if (unit > 1) for (let n = 0; n < values.length; n += 1) values[n] = (values[n] ?? 0) * unit;
  const offsets = new Int32Array(values.length);
  if (bitmap === null) for (let slot = 0; slot < slots; slot += 1) offsets[slot] = first + slot * step;
  else
    for (let slot = 0, at = 0; at < offsets.length; slot += 1)
      if (((bitmap[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0) offsets[at++] = first + slot * step;
  return { series, offsets, values };
}

function readRice(input: ByteReader, count: number): Float64Array {
  const first = input.signed();
  const codes = input.raw(input.unsigned());
  // Each takes a bit at least; a damaged count must not take the memory of the daemon.
  if (count < 1 || count > codes.length * 8) throw new DamagedBytes('the block ends too early');
  const values = new Float64Array(count);
  values[0] = first;
  decodeRice(codes, values);
  return values;
}

function bitsOf(bitmap: Uint8Array): number {
  let bits = 0;
  for (const byte of bitmap) for (let rest = byte; rest > 0; rest &= rest - 1) bits += 1;
  return bits;
}

/** The largest number that all are multiples of; 0 when all are 0. */
function divisorOf(values: Float64Array): number {
  let divisor = 0;
  for (const value of values) {
    if (divisor === 1) return 1;
    // For whole numbers below 2^53 a quotient is whole only where nothing remains; the remainder itself takes ten times as long.
    const quotient = value / divisor;
    if (divisor > 0 && Math.floor(quotient) === quotient) continue;
    let [a, b] = [divisor, Math.abs(value)];
    while (b !== 0) [a, b] = [b, a % b];
    divisor = a;
  }
  return divisor;
}

/** The largest distance that all offsets are multiples of. */
function stepOf(offsets: Int32Array): number {
  let before = offsets[0] ?? 0;
  if ((offsets.at(-1) ?? before) - before === offsets.length - 1) return 1;
  let step = 0;
  for (const offset of offsets) {
    if (offset - before === step) {
      before = offset;
      continue;
    }
    let [a, b] = [offset - before, step];
    before = offset;
    while (b !== 0) [a, b] = [b, a % b];
    step = a;
    if (step === 1) break;
  }
  return Math.max(1, step);
}

/** How values move: whether all differences are safe integers, and whether they are noise. What stands still for long, or grows evenly,
 *  repeats itself, and then zstd does better than Rice codes. */
function courseOf(values: Float64Array) {
  let before = values[0] ?? 0;
  let largest = 0;
  let total = 0;
  let turns = 0;
  let last = 0;
  for (let n = 1; n < values.length; n += 1) {
    const value = values[n] ?? 0;
    const difference = value - before;
    before = value;
    const distance = Math.abs(difference);
    largest = Math.max(largest, distance);
    total += distance;
    if (difference !== last) turns += 1;
    last = difference;
  }
  return {
    isDelta: largest <= Number.MAX_SAFE_INTEGER,
    isRestless: largest < RICE_LIMIT && turns * RESTLESS_SHARE > values.length,
    meanDifference: total / values.length,
  };
}
