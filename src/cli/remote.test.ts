import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { tlsOptions } from './remote.ts';

test('a pinned machine is known by its own authority alone; one that a public authority vouched for by any of them', () => {
  const pinned = tlsOptions('https://host.example:8080', 'PEM of its authority');
  assert.deepEqual(pinned.ca, ['PEM of its authority']);
  const vouched = tlsOptions('https://host.example', null);
  assert.deepEqual(vouched.ca, [...rootCertificates]);
  assert.equal(vouched.allowPartialTrustChain, false);
});
