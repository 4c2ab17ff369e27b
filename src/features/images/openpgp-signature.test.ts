import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CLEARSIGNED,
  DETACHED,
  OTHER_KEY,
  OTHER_SIGNER,
  SIGNER,
  SIGNER_KEY,
  SUMS,
} from './openpgp-fixture.test-data.ts';
import { type SignatureToVerify, verifySignature } from './openpgp-signature.ts';

const bytes = (text: string) => Buffer.from(text);
const request = (
  changes: Partial<Record<'data' | 'keys' | 'fingerprint', string>> & { signature?: string | null },
): SignatureToVerify => ({
  data: bytes(changes.data ?? SUMS),
  signature: changes.signature === null ? null : bytes(changes.signature ?? DETACHED),
  keys: bytes(changes.keys ?? SIGNER_KEY),
  fingerprint: changes.fingerprint ?? SIGNER,
});
const verdictOf = async (changes: Parameters<typeof request>[0]) => (await verifySignature(request(changes))).verdict;

test('a detached and a clear-signed signature of the known key are valid, and the content is what was signed', async () => {
  const detached = await verifySignature(request({}));
  assert.ok(detached.verdict === 'valid');
  assert.equal(detached.content.toString(), SUMS);
  const clear = await verifySignature(request({ data: CLEARSIGNED, signature: null }));
  assert.ok(clear.verdict === 'valid', JSON.stringify(clear));
  assert.equal(clear.content.toString().trim(), SUMS.trim());
});

test('changed content, another key and a second message are invalid', async () => {
  assert.equal(await verdictOf({ data: SUMS.replace('aaaa', 'aaab') }), 'invalid');
  assert.equal(await verdictOf({ data: CLEARSIGNED.replace('aaaa', 'aaab'), signature: null }), 'invalid');
  assert.equal(await verdictOf({ fingerprint: OTHER_SIGNER }), 'invalid');
  assert.equal(
    await verdictOf({ data: CLEARSIGNED + CLEARSIGNED.replace('aaaa', 'aaab'), signature: null }),
    'invalid',
  );
});

test('lines around a clear-signed message are not part of the content', async () => {
  const found = await verifySignature(request({ data: `injected\n${CLEARSIGNED}injected\n`, signature: null }));
  assert.ok(found.verdict !== 'valid' || !found.content.toString().includes('injected'));
});

test('without the right key, or without a signature, nothing is claimed', async () => {
  assert.equal(await verdictOf({ keys: OTHER_KEY }), 'unknown');
  assert.equal(await verdictOf({ keys: 'not a key' }), 'unknown');
  assert.equal(await verdictOf({ keys: '' }), 'unknown');
  assert.equal(await verdictOf({ signature: 'not a signature' }), 'unknown');
  assert.equal(await verdictOf({ signature: null }), 'unknown');
  assert.equal(await verdictOf({ keys: OTHER_KEY + SIGNER_KEY }), 'valid');
});
