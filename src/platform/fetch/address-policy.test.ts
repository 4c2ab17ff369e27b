import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '#kernel/errors.ts';
import { addressKind, addressProblem, parseFetchUrl, shownUrl } from './address-policy.ts';

const url = new URL('http://mirror.lan:8080/image.iso');

test('C1: only public addresses are allowed by default', () => {
  const refused = [
    '127.0.0.1',
    '127.255.255.255',
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '224.0.0.1',
    '239.255.255.255',
    '255.255.255.255',
    '240.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::7f00:1',
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::a00:1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'fc00::1',
    'fd12:3456::1',
    'ff02::1',
    '2002:7f00:1::',
    '2001::1',
    '2001:db8::1',
    '100::1',
    '4000::1',
    'not-an-address',
    '',
    '1.2.3',
  ];
  for (const address of refused) assert.notEqual(addressProblem(url, address, []), null, address);
  for (const address of ['93.184.216.34', '8.8.8.8', '172.32.0.1', '2606:4700::1111', '2a00:1450:4001::1'])
    assert.equal(addressProblem(url, address, []), null, address);
});

test('a host named in the configuration may be private, with its port when one is given', () => {
  assert.equal(addressProblem(url, '10.0.0.5', ['mirror.lan']), null);
  assert.equal(addressProblem(url, '10.0.0.5', ['MIRROR.lan:8080']), null);
  assert.notEqual(addressProblem(url, '10.0.0.5', ['mirror.lan:8081']), null);
  assert.notEqual(addressProblem(url, '10.0.0.5', ['irror.lan', 'lan', '*', '', ':', '10.0.0.5']), null);
  assert.equal(addressProblem(new URL('http://[fd00::5]:80/'), 'fd00::5', ['[fd00:0::5]:80']), null);
  assert.equal(addressProblem(new URL('http://[fd00::5]/'), 'fd00::5', ['fd00::5']), null);
});

test('a named host may not lead to link-local or to no address; a literal link-local address may be named', () => {
  assert.notEqual(addressProblem(url, '169.254.169.254', ['mirror.lan']), null);
  assert.notEqual(addressProblem(url, '0.0.0.0', ['mirror.lan']), null);
  assert.notEqual(addressProblem(new URL('http://0.0.0.0/'), '0.0.0.0', ['0.0.0.0']), null);
  assert.equal(addressProblem(new URL('http://169.254.1.1/'), '169.254.1.1', ['169.254.1.1']), null);
});

test('C1: an IPv4 address in any disguise is seen as what it is', () => {
  for (const text of [
    'http://127.1/',
    'http://0x7f000001/',
    'http://2130706433/',
    'http://017700000001/',
    'http://[::ffff:127.0.0.1]/',
    'http://127.0.0.1./',
  ]) {
    const parsed = parseFetchUrl(text);
    assert.notEqual(addressKind(parsed.hostname.replace(/^\[|\]$/g, '')), 'unicast', text);
  }
});

test('addresses that are no http URL are refused with a mend', () => {
  for (const text of [
    'file:///etc/shadow',
    'ftp://a/',
    'gopher://a/',
    'data:,x',
    'http://',
    'nonsense',
    'http://user:secret@host/',
    'http://user@host/',
    `http://a/${'x'.repeat(5000)}`,
  ]) {
    assert.throws(
      () => parseFetchUrl(text),
      (error: unknown) =>
        error instanceof AppError &&
        error.code === 'url_refused' &&
        error.fields[0]?.path === 'url' &&
        !error.message.includes('secret'),
      text,
    );
  }
});

test('what is shown of a URL hides its query', () => {
  assert.equal(shownUrl(new URL('https://cdn.example/a.iso?X-Signature=secret')), 'https://cdn.example/a.iso?…');
});

test('no text makes the policy throw or pass by accident', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4Extended()),
      fc.array(fc.string()),
      (address, list) => {
        const problem = addressProblem(
          url,
          address,
          list.filter((entry) => !entry.toLowerCase().includes('mirror.lan')),
        );
        assert.equal(problem === null, addressKind(address) === 'unicast');
      },
    ),
  );
});
