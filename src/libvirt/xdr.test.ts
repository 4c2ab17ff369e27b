import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StringCache, XdrDecoder, XdrEncoder, XdrError } from './xdr.ts';

test('strings are padded with zeros to four bytes', () => {
  const encoder = new XdrEncoder(4);
  encoder.string('abcde');
  assert.equal(encoder.finish().toString('hex'), '000000056162636465000000');
});

test('numbers outside their range are refused, not wrapped', () => {
  const encoder = new XdrEncoder();
  for (const value of [-1, 2 ** 32, 1.5, Number.NaN]) assert.throws(() => encoder.uint(value), XdrError);
  for (const value of [-(2 ** 31) - 1, 2 ** 31]) assert.throws(() => encoder.int(value), XdrError);
  assert.throws(() => encoder.uhyper(-1n), XdrError);
  assert.throws(() => encoder.uhyper(2n ** 64n), XdrError);
  assert.throws(() => encoder.hyper(2n ** 63n), XdrError);
});

test('a string with a NUL or over libvirt’s limit is refused', () => {
  assert.throws(() => new XdrEncoder().string('a\0b'), XdrError);
  assert.throws(() => new XdrEncoder().string('x'.repeat(4_194_305)), XdrError);
});

test('a UUID goes both ways and a malformed one is refused', () => {
  const encoder = new XdrEncoder();
  encoder.uuid('01234567-89ab-cdef-0123-456789abcdef');
  assert.equal(new XdrDecoder(encoder.finish()).uuid(), '01234567-89ab-cdef-0123-456789abcdef');
  assert.throws(() => encoder.uuid('nonsense'), XdrError);
});

test('64-bit counters are numbers while exact and bigints beyond', () => {
  for (const value of [0n, 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n]) {
    const encoder = new XdrEncoder();
    encoder.uhyper(value);
    const decoded = new XdrDecoder(encoder.finish()).uhyperNumber();
    assert.equal(BigInt(decoded), value);
    assert.equal(typeof decoded, value < 2n ** 53n ? 'number' : 'bigint');
  }
  for (const value of [-1n, -(2n ** 52n), -(2n ** 53n), -(2n ** 63n), 2n ** 63n - 1n]) {
    const encoder = new XdrEncoder();
    encoder.hyper(value);
    assert.equal(BigInt(new XdrDecoder(encoder.finish()).hyperNumber()), value);
  }
});

test('random bytes never read beyond the end and fail only with XdrError', () => {
  const readers: ((from: XdrDecoder) => unknown)[] = [
    (from) => from.string(),
    (from) => from.opaque(),
    (from) => from.uuid(),
    (from) => from.uint(),
    (from) => from.hyper(),
    (from) => from.count(4),
    (from) => from.double(),
  ];
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(fc.nat(readers.length - 1), { maxLength: 10 }),
      (bytes, order) => {
        const from = new XdrDecoder(Buffer.from(bytes));
        try {
          for (const index of order) readers[index]?.(from);
        } catch (error) {
          assert.ok(error instanceof XdrError);
        }
        assert.ok(from.remaining >= 0);
      },
    ),
  );
});

test('a count of 2^32-1 is refused before anything is allocated', () => {
  const from = new XdrDecoder(Buffer.from('ffffffff00000000', 'hex'));
  assert.throws(() => from.count(4), XdrError);
});

test('the string cache gives the right string whatever came before', () => {
  const cache = new StringCache(4);
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 8 })), (texts) => {
      for (const text of texts) {
        const bytes = Buffer.from(text);
        assert.equal(cache.get(bytes, 0, bytes.length), bytes.toString());
      }
    }),
  );
});
