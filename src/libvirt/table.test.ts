import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Xdr } from './codec.ts';
import { valuesOf } from './fake/values.ts';
import {
  DOMAIN_EVENTS,
  errorPayload,
  NETWORK_EVENTS,
  NODE_DEVICE_EVENTS,
  P,
  POOL_EVENTS,
  SECRET_EVENTS,
} from './table.ts';
import { XdrDecoder, XdrEncoder, XdrError } from './xdr.ts';

const procedures = Object.values(P);
const events = [DOMAIN_EVENTS, NETWORK_EVENTS, POOL_EVENTS, NODE_DEVICE_EVENTS, SECRET_EVENTS].flatMap((group) =>
  Object.values(group),
);
const types: [string, Xdr<unknown>][] = [
  ...procedures.flatMap(({ name, args, result }): [string, Xdr<unknown>][] => [
    [`${name} arguments`, args as Xdr<unknown>],
    [`${name} result`, result as Xdr<unknown>],
  ]),
  ...events.map(({ number, payload }): [string, Xdr<unknown>] => [`event ${number}`, payload as Xdr<unknown>]),
  ['error payload', errorPayload as Xdr<unknown>],
];

function encode(type: Xdr<unknown>, value: unknown): Buffer {
  const encoder = new XdrEncoder(8);
  type.put(encoder, value);
  return Buffer.from(encoder.finish());
}

test('what is encoded decodes to the same value, for every message of the table', () => {
  for (const [name, type] of types) {
    fc.assert(
      fc.property(valuesOf(type.shape), (value) => {
        const bytes = encode(type, value);
        assert.ok(bytes.length >= type.minimumBytes, name);
        const from = new XdrDecoder(bytes);
        assert.deepEqual(type.get(from), value, name);
        from.end();
      }),
      { numRuns: 15 },
    );
  }
});

test('truncated messages fail with XdrError and nothing else', () => {
  for (const [name, type] of types) {
    fc.assert(
      fc.property(valuesOf(type.shape), fc.nat(), (value, cut) => {
        const bytes = encode(type, value);
        if (bytes.length === 0) return;
        assert.throws(() => type.get(new XdrDecoder(bytes.subarray(0, cut % bytes.length))), XdrError, name);
      }),
      { numRuns: 5 },
    );
  }
});

test('random bytes decode or fail with XdrError, within the memory they have', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(types.length - 1), (bytes, index) => {
      const type = types[index]?.[1];
      try {
        type?.get(new XdrDecoder(Buffer.from(bytes)));
      } catch (error) {
        assert.ok(error instanceof XdrError);
      }
    }),
    { numRuns: 2000 },
  );
});

test('no two procedures share a number and no excluded procedure is in the table', () => {
  const keys = procedures.map(({ program, number }) => `${program} ${number}`);
  assert.equal(new Set(keys).size, keys.length);
  // These pass file descriptors, which cannot be received; Q1 taints the domain.
  for (const excluded of ['remote 309', 'remote 310', 'remote 249', 'remote 343', 'remote 443', 'qemu 7', 'qemu 1']) {
    assert.ok(!keys.includes(excluded), excluded);
  }
});

test('reading procedures are not marked as changes, and changing ones are', () => {
  const writes = new Set(procedures.filter(({ isWrite }) => isWrite).map(({ name }) => name));
  for (const name of ['DOMAIN_DEFINE_XML_FLAGS', 'DOMAIN_DESTROY_FLAGS', 'STORAGE_VOL_UPLOAD', 'NETWORK_UPDATE'])
    assert.ok(writes.has(name), name);
  for (const name of [
    'CONNECT_LIST_ALL_DOMAINS',
    'DOMAIN_GET_XML_DESC',
    'DOMAIN_GET_GUEST_INFO',
    'STORAGE_VOL_DOWNLOAD',
  ]) {
    assert.ok(!writes.has(name), name);
  }
});
