import assert from 'node:assert/strict';
import { test } from 'node:test';
import { relyingPartyOf } from './relying-party.ts';

test('without names passkeys are bound to localhost and its port', () => {
  for (const publicNames of [[], ['192.0.2.7'], ['[2001:db8::1]:8443'], ['2001:db8::1']])
    assert.deepEqual(relyingPartyOf({ rpId: null, publicNames, port: 8080 }), {
      id: 'localhost',
      origins: ['https://localhost:8080'],
      openAt: 'https://localhost:8080',
    });
});

test('the first host name counts; another name does not get in', () => {
  const party = relyingPartyOf({ rpId: null, publicNames: ['10.0.0.5', 'Box.lan', 'other.lan'], port: 8080 });
  assert.equal(party.id, 'box.lan');
  assert.deepEqual(party.origins, ['https://box.lan:8080', 'https://box.lan']);
});

test('a parent domain takes the names below it, and no name that only ends alike', () => {
  const publicNames = ['a.example.org:443', 'b.example.org', 'evilexample.org'];
  const party = relyingPartyOf({ rpId: 'example.org', publicNames, port: 8443 });
  assert.deepEqual(party.origins, ['https://a.example.org', 'https://b.example.org:8443', 'https://b.example.org']);
  assert.equal(party.openAt, 'https://a.example.org');
});
