/** Pictures of screens: reads what hypervisors make (PNG of 8 bits, PPM), makes them smaller, writes PNG.
 *  PNG: ISO/IEC 15948; only what screens need: no palette, no interlacing, no 16 bits. */

import { promisify } from 'node:util';
import { crc32, deflate, inflate } from 'node:zlib';

const inflateAsync = promisify(inflate);
const deflateAsync = promisify(deflate);

/** Pixels row by row, three bytes each: red, green, blue. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/** Bytes that are no picture we read. */
export class PictureError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PictureError';
  }
}

/** An 8K screen; guests choose their size, so it is bounded before anything is allocated. */
const MAX_PIXELS = 7680 * 4320;

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

export const isPng = (bytes: Uint8Array): boolean => PNG_SIGNATURE.equals(bytes.subarray(0, PNG_SIGNATURE.length));

/** Width and height of a PNG without reading more than its header, or null. */
export function pngSize(bytes: Uint8Array): { readonly width: number; readonly height: number } | null {
  if (!isPng(bytes) || bytes.length < 24) return null;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, 24);
  return { width: header.readUInt32BE(16), height: header.readUInt32BE(20) };
}

/** A screen as the host gives it, PNG or PPM, as PNG. @throws PictureError */
export async function asPng(bytes: Uint8Array): Promise<Buffer> {
  return isPng(bytes) ? Buffer.from(bytes) : await writePng(await readPicture(bytes));
}

/** @throws PictureError */
export async function readPicture(bytes: Uint8Array): Promise<Picture> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isPng(buffer) ? readPng(buffer) : readPpm(buffer);
}

function checkSize(width: number, height: number): void {
  if (width < 1 || height < 1 || width * height > MAX_PIXELS)
    throw new PictureError(`${width} × ${height} is no size of a screen`);
}

function readPpm(buffer: Buffer): Picture {
  const header = /^P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s/.exec(buffer.subarray(0, 64).toString('latin1'));
  if (!header) throw new PictureError('neither PNG nor PPM');
  const width = Number(header[1]);
  const height = Number(header[2]);
  checkSize(width, height);
  const pixels = buffer.subarray(header[0].length, header[0].length + width * height * 3);
  if (pixels.length < width * height * 3) throw new PictureError('the PPM is cut short');
  return { width, height, pixels };
}

/** Bytes of a pixel by PNG colour type. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };

async function readPng(buffer: Buffer): Promise<Picture> {
  const size = pngSize(buffer);
  if (!size || buffer.length < 33) throw new PictureError('the PNG is cut short');
  const { width, height } = size;
  checkSize(width, height);
  const channels = CHANNELS[buffer.readUInt8(25)];
  if (buffer.readUInt8(24) !== 8 || channels === undefined || buffer.readUInt8(28) !== 0)
    throw new PictureError('a kind of PNG that is not read');
  const parts: Buffer[] = [];
  for (let at = PNG_SIGNATURE.length; at + 12 <= buffer.length; ) {
    const length = buffer.readUInt32BE(at);
    if (buffer.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(buffer.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const rowBytes = width * channels;
  const wanted = height * (1 + rowBytes);
  const rows = await inflateAsync(Buffer.concat(parts), { maxOutputLength: wanted }).catch((error: unknown) => {
    throw new PictureError(`the PNG does not unpack: ${String(error)}`);
  });
  if (rows.length < wanted) throw new PictureError('the PNG is cut short');
  return { width, height, pixels: toRgb(unfilter(rows, rowBytes, height, channels), channels) };
}

/** Undoes the five row filters of PNG and drops the filter bytes. */
function unfilter(rows: Uint8Array, rowBytes: number, height: number, channels: number): Uint8Array {
  const out = new Uint8Array(rowBytes * height);
  let above: Uint8Array = new Uint8Array(rowBytes);
  for (let y = 0; y < height; y += 1) {
    const from = y * (rowBytes + 1);
    const row = out.subarray(y * rowBytes, (y + 1) * rowBytes);
    row.set(rows.subarray(from + 1, from + 1 + rowBytes));
    unfilterRow(rows[from] ?? 0, row, above, channels);
    above = row;
  }
  return out;
}

// One loop per filter: this is where the time goes.
function unfilterRow(filter: number, row: Uint8Array, above: Uint8Array, channels: number): void {
  if (filter === 1) {
    for (let x = channels; x < row.length; x += 1) row[x] = (row[x] ?? 0) + (row[x - channels] ?? 0);
  } else if (filter === 2) {
    for (let x = 0; x < row.length; x += 1) row[x] = (row[x] ?? 0) + (above[x] ?? 0);
  } else if (filter === 3) {
    for (let x = 0; x < channels; x += 1) row[x] = (row[x] ?? 0) + ((above[x] ?? 0) >> 1);
    for (let x = channels; x < row.length; x += 1)
      row[x] = (row[x] ?? 0) + (((row[x - channels] ?? 0) + (above[x] ?? 0)) >> 1);
  } else if (filter === 4) {
    for (let x = 0; x < channels; x += 1) row[x] = (row[x] ?? 0) + (above[x] ?? 0);
    for (let x = channels; x < row.length; x += 1) {
      row[x] = (row[x] ?? 0) + paeth(row[x - channels] ?? 0, above[x] ?? 0, above[x - channels] ?? 0);
    }
  } else if (filter !== 0) throw new PictureError(`unknown row filter ${filter}`);
}

function paeth(left: number, up: number, upLeft: number): number {
  const estimate = left + up - upLeft;
  const toLeft = Math.abs(estimate - left);
  const toUp = Math.abs(estimate - up);
  const toUpLeft = Math.abs(estimate - upLeft);
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}

function toRgb(pixels: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return pixels;
  const count = pixels.length / channels;
  const out = new Uint8Array(count * 3);
  const isGrey = channels < 3;
  for (let index = 0; index < count; index += 1) {
    const from = index * channels;
    const to = index * 3;
    out[to] = pixels[from] ?? 0;
    out[to + 1] = pixels[isGrey ? from : from + 1] ?? 0;
    out[to + 2] = pixels[isGrey ? from : from + 2] ?? 0;
  }
  return out;
}

/** Makes a picture narrower, keeping its shape; each new pixel is the mean of those it covers. Never makes it larger. */
export function scaleDown(picture: Picture, wantedWidth: number): Picture {
  const { width, height, pixels } = picture;
  if (wantedWidth >= width) return picture;
  const newHeight = Math.max(1, Math.round((height * wantedWidth) / width));
  const out = new Uint8Array(wantedWidth * newHeight * 3);
  const columns = Uint32Array.from({ length: wantedWidth + 1 }, (_, x) => Math.floor((x * width) / wantedWidth));
  const sums = new Uint32Array(wantedWidth * 3);
  for (let y = 0; y < newHeight; y += 1) {
    const top = Math.floor((y * height) / newHeight);
    const bottom = Math.max(top + 1, Math.floor(((y + 1) * height) / newHeight));
    sums.fill(0);
    for (let row = top; row < bottom; row += 1) addRow(pixels, row * width * 3, columns, sums);
    for (let x = 0; x < wantedWidth; x += 1) {
      const count = ((columns[x + 1] ?? 0) - (columns[x] ?? 0)) * (bottom - top);
      for (let channel = 0; channel < 3; channel += 1) {
        out[(y * wantedWidth + x) * 3 + channel] = Math.round((sums[x * 3 + channel] ?? 0) / count);
      }
    }
  }
  return { width: wantedWidth, height: newHeight, pixels: out };
}

/** Adds one row of the source to the sums of the new columns. */
function addRow(pixels: Uint8Array, rowStart: number, columns: Uint32Array, sums: Uint32Array): void {
  for (let x = 0; x + 1 < columns.length; x += 1) {
    let red = 0;
    let green = 0;
    let blue = 0;
    const end = rowStart + (columns[x + 1] ?? 0) * 3;
    for (let at = rowStart + (columns[x] ?? 0) * 3; at < end; at += 3) {
      red += pixels[at] ?? 0;
      green += pixels[at + 1] ?? 0;
      blue += pixels[at + 2] ?? 0;
    }
    sums[x * 3] = (sums[x * 3] ?? 0) + red;
    sums[x * 3 + 1] = (sums[x * 3 + 1] ?? 0) + green;
    sums[x * 3 + 2] = (sums[x * 3 + 2] ?? 0) + blue;
  }
}

function chunk(type: string, data: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  out.write(type, 4, 'latin1');
  out.set(data, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
  return out;
}

/** The picture as a PNG. Rows are stored as differences to the row above: screens repeat downwards. */
export async function writePng({ width, height, pixels }: Picture): Promise<Buffer> {
  const rowBytes = width * 3;
  const rows = Buffer.alloc(height * (1 + rowBytes));
  for (let y = 0; y < height; y += 1) {
    const to = y * (1 + rowBytes);
    const from = y * rowBytes;
    rows[to] = y === 0 ? 0 : 2;
    for (let x = 0; x < rowBytes; x += 1) {
      rows[to + 1 + x] = (pixels[from + x] ?? 0) - (y === 0 ? 0 : (pixels[from - rowBytes + x] ?? 0));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const packed = await deflateAsync(rows, { level: 3 });
  return Buffer.concat([PNG_SIGNATURE, chunk('IHDR', header), chunk('IDAT', packed), chunk('IEND', Buffer.alloc(0))]);
}
