/** The raw tier: all series of one owner for one hour in one block. Each column has its own step, so series that are measured every
 *  ten seconds and every minute lie together.
 *
 *  block  := version, columns, column*
 *  column := series - the one before, bytes of the rest, mode, step, first offset, slots, [unit], [bitmap of slots], value*
 *  Offsets are ticks since the hour began. Values are whole: the figure times ten to the power of its decimals. */

import { pack, unpack } from './block.ts';
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

/** @param columns by series, growing; empty ones are left out */
export function encodeChunk(columns: readonly Column[]): Uint8Array {
  const filled = columns.filter(({ values }) => values.length > 0);
  const out = new ByteWriter();
  const body = new ByteWriter();
  out.byte(VERSION);
  out.unsigned(filled.length);
  let before = 0;
  for (const column of filled) {
    out.unsigned(column.series - before);
    before = column.series;
    writeColumn(body, column);
    out.unsigned(body.length);
    out.raw(body.take());
  }
  return pack(out.take(), 3);
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

function writeColumn(out: ByteWriter, { offsets, values }: Column): void {
  const first = offsets[0] ?? 0;
  const step = stepOf(offsets);
  const slots = ((offsets.at(-1) ?? first) - first) / step + 1;
  const hasGaps = slots !== offsets.length;
  const isDelta = rangeOf(values) <= Number.MAX_SAFE_INTEGER;
  const unit = divisorOf(values);
  out.byte((isDelta ? DELTAS : 0) | (hasGaps ? HAS_GAPS : 0) | (unit > 1 ? HAS_UNIT : 0));
  out.unsigned(step);
  out.unsigned(first);
  out.unsigned(slots);
  if (unit > 1) out.unsigned(unit);
  if (hasGaps) {
    const bitmap = new Uint8Array(Math.ceil(slots / 8));
    for (const offset of offsets) {
      const slot = (offset - first) / step;
      bitmap[slot >> 3] = (bitmap[slot >> 3] ?? 0) | (1 << (slot & 7));
    }
    out.raw(bitmap);
  }
  out.signedRun(unit > 1 ? values.map((value) => value / unit) : values, isDelta);
}

function readColumn(series: number, input: ByteReader): Column {
  const mode = input.byte();
  const step = input.unsigned();
  const first = input.unsigned();
  const slots = input.unsigned();
  const unit = (mode & HAS_UNIT) === 0 ? 1 : input.unsigned();
  const bitmap = (mode & HAS_GAPS) === 0 ? null : input.raw(Math.ceil(slots / 8));
  const values = input.signedRun(bitmap === null ? slots : bitsOf(bitmap), (mode & DELTAS) !== 0);
  if (unit > 1) for (let n = 0; n < values.length; n += 1) values[n] = (values[n] ?? 0) * unit;
  const offsets = new Int32Array(values.length);
  for (let slot = 0, at = 0; at < offsets.length; slot += 1)
    if (bitmap === null || ((bitmap[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0) offsets[at++] = first + slot * step;
  return { series, offsets, values };
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
    let [a, b] = [divisor, Math.abs(value)];
    while (b !== 0) [a, b] = [b, a % b];
    divisor = a;
  }
  return divisor;
}

/** The largest distance that all offsets are multiples of. */
function stepOf(offsets: Int32Array): number {
  let step = 0;
  let before = offsets[0] ?? 0;
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

/** Between any two of them and from zero. */
function rangeOf(values: Float64Array): number {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high - low;
}
