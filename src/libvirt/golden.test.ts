/** The table against the wire: what libvirt's own client and libvirtd 9.0 said to each other, recorded once by
 *  `test/support/libvirt-golden/record.ts`, decodes and encodes again to the same bytes. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decodeEvent } from './api/events.ts';
import type { Xdr } from './codec.ts';
import { errorPayload, P } from './table.ts';
import { XdrDecoder, XdrEncoder } from './xdr.ts';

const golden = new Map<string, Buffer>(
  Object.entries<string>(JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8'))).map(
    ([name, hex]) => [name, Buffer.from(hex, 'hex')],
  ),
);

/** Not offered by python3-libvirt, or refused by its client before anything is sent. */
const NEVER_CALLED = ['AUTH_POLKIT', 'CONNECT_CLOSE', 'DOMAIN_SET_SCHEDULER_PARAMETERS_FLAGS'];

function assertSameBytes(name: string, type: Xdr<unknown>, bytes: Buffer): void {
  const from = new XdrDecoder(bytes);
  const value = type.get(from);
  from.end();
  const encoder = new XdrEncoder();
  type.put(encoder, value);
  assert.equal(encoder.finish().toString('hex'), bytes.toString('hex'), name);
}

function assertSameValues(type: Xdr<unknown>, bytes: Buffer): void {
  const value = type.get(new XdrDecoder(bytes));
  const encoder = new XdrEncoder();
  type.put(encoder, value);
  assert.deepEqual(type.get(new XdrDecoder(encoder.finish())), value);
}

test('the arguments of every procedure are laid out as libvirt’s own client lays them out', () => {
  const missing: string[] = [];
  for (const { name, args } of Object.values(P)) {
    const bytes = golden.get(`${name} call`);
    if (bytes) assertSameBytes(name, args as Xdr<unknown>, bytes);
    else if (args.shape.kind === 'struct' && args.shape.fields.length > 0) missing.push(name);
  }
  assert.deepEqual(
    missing.filter((name) => !NEVER_CALLED.includes(name)),
    [],
  );
});

test('the results of libvirtd decode completely and encode to the same bytes', () => {
  let count = 0;
  for (const { name, result } of Object.values(P)) {
    const bytes = golden.get(`${name} reply`);
    if (!bytes) continue;
    // Statistics drop the width of their numbers; the same figures come back.
    if (name === P.connectGetAllDomainStats.name) assertSameValues(result as Xdr<unknown>, bytes);
    else assertSameBytes(name, result as Xdr<unknown>, bytes);
    count += 1;
  }
  assert.ok(count > 100, `${count} results`);
});

test('recorded events decode to our events', () => {
  const types = new Set<string>();
  for (const [name, bytes] of golden) {
    const number = /^event (\d+)$/.exec(name)?.[1];
    if (number === undefined) continue;
    const event = decodeEvent(Number(number), bytes);
    assert.ok(event, name);
    types.add(event.type);
  }
  for (const type of [
    'domain-lifecycle',
    'domain-device-added',
    'domain-block-job',
    'network-lifecycle',
    'pool-lifecycle',
    'secret-lifecycle',
  ]) {
    assert.ok(types.has(type), `${type} among ${[...types].join(', ')}`);
  }
});

test('a recorded error reply decodes with its text', () => {
  const bytes = golden.get('error');
  assert.ok(bytes);
  assertSameBytes('error', errorPayload as Xdr<unknown>, bytes);
  assert.ok((errorPayload.get(new XdrDecoder(bytes)).message ?? '').length > 10);
});
