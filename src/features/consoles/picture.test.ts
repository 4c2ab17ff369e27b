import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { type Picture, PictureError, pngSize, readPicture, scaleDown, writePng } from './picture.ts';

const anyPicture = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }))
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((pixels): Picture => ({ width, height, pixels })),
  );

const ppm = ({ width, height, pixels }: Picture): Buffer =>
  Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]);

/** A PNG whose rows use the given filters, encoded by the definition of the filters. */
function filteredPng(picture: Picture, filters: readonly number[]): Buffer {
  const { width, height, pixels } = picture;
  const rowBytes = width * 3;
  const at = (y: number, x: number) => (y < 0 || x < 0 ? 0 : (pixels[y * rowBytes + x] ?? 0));
  const rows: number[] = [];
  for (let y = 0; y < height; y += 1) {
    const filter = filters[y % filters.length] ?? 0;
    rows.push(filter);
    for (let x = 0; x < rowBytes; x += 1) {
      const left = at(y, x - 3);
      const up = at(y - 1, x);
      const corner = at(y - 1, x - 3);
      const nearest = [left, up, corner].reduce((best, value) =>
        Math.abs(left + up - corner - value) < Math.abs(left + up - corner - best) ? value : best,
      );
      rows.push((at(y, x) - ([0, left, up, (left + up) >> 1, nearest][filter] ?? 0)) & 0xff);
    }
  }
  const chunk = (type: string, data: Buffer) => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(data.length);
    head.write(type, 4);
    return Buffer.concat([head, data, Buffer.alloc(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const packed = deflateSync(Buffer.from(rows));
  const half = packed.length >> 1;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', packed.subarray(0, half)),
    chunk('IDAT', packed.subarray(half)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

test('what is written is read back', async () => {
  await fc.assert(
    fc.asyncProperty(anyPicture, async (picture) => {
      const png = await writePng(picture);
      assert.deepEqual(pngSize(png), { width: picture.width, height: picture.height });
      const read = await readPicture(png);
      assert.deepEqual({ ...read, pixels: [...read.pixels] }, { ...picture, pixels: [...picture.pixels] });
    }),
    { numRuns: 50 },
  );
});

test('all row filters and split data are read', async () => {
  await fc.assert(
    fc.asyncProperty(anyPicture, fc.array(fc.nat(4), { minLength: 1, maxLength: 5 }), async (picture, filters) => {
      assert.deepEqual([...(await readPicture(filteredPng(picture, filters))).pixels], [...picture.pixels]);
    }),
    { numRuns: 50 },
  );
});

test('a PPM is read', async () => {
  const picture = { width: 2, height: 1, pixels: Uint8Array.of(1, 2, 3, 10, 13, 32) };
  assert.deepEqual([...(await readPicture(ppm(picture))).pixels], [...picture.pixels]);
});

test('scaling keeps the shape and takes the mean', () => {
  const pixels = new Uint8Array(4 * 2 * 3);
  pixels.fill(100, 0, 3).fill(200, 3, 6).fill(0, 12, 18);
  const small = scaleDown({ width: 4, height: 2, pixels }, 2);
  assert.deepEqual([small.width, small.height], [2, 1]);
  assert.deepEqual([...small.pixels], [75, 75, 75, 0, 0, 0]);
  assert.equal(scaleDown(small, 320), small);
});

test('scaling keeps a plain colour plain at any size', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 1, max: 90 }),
      (width, height, wanted) => {
        const scaled = scaleDown({ width, height, pixels: new Uint8Array(width * height * 3).fill(123) }, wanted);
        assert.equal(scaled.width, Math.min(wanted, width));
        assert.equal(scaled.pixels.length, scaled.width * scaled.height * 3);
        assert.ok(scaled.pixels.every((value) => value === 123));
      },
    ),
  );
});

test('damaged and absurd pictures are refused', async () => {
  const png = await writePng({ width: 20, height: 20, pixels: new Uint8Array(1200).map((_, index) => index * 7) });
  const huge = Buffer.from(png);
  huge.writeUInt32BE(60_000, 16);
  huge.writeUInt32BE(60_000, 20);
  const damaged = [
    Buffer.alloc(0),
    Buffer.from('hello'),
    png.subarray(0, 30),
    png.subarray(0, png.length - 200),
    huge,
    Buffer.from('P6 99999 99999 255 '),
    Buffer.from('P6 4 4 255 xx'),
  ];
  for (const bytes of damaged) await assert.rejects(readPicture(bytes), PictureError);
});
