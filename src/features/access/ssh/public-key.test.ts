import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sshString } from '#kernel/ssh-wire.ts';
import { damaged, ed25519Key, rsaKey, securityKey } from './fake-signer.ts';
import { fingerprintOf, KeyRefused, parseKeyLine, parsePublicKey } from './public-key.ts';

function reasonOf(line: string): string {
  try {
    parseKeyLine(line);
  } catch (error) {
    assert.ok(error instanceof KeyRefused, String(error));
    return error.message;
  }
  return '';
}

test('a line gives type, key and comment', () => {
  const { blob, line } = ed25519Key();
  for (const text of [line, `  ${line}\n`, line.replaceAll(' ', '\t')]) {
    const { key, comment } = parseKeyLine(text);
    assert.equal(key.type, 'ssh-ed25519');
    assert.ok(key.blob.equals(blob));
    assert.equal(comment, 'test@example');
  }
  assert.match(fingerprintOf(blob), /^SHA256:[A-Za-z0-9+/]{43}$/);
});

test('options before a key are refused and not left out', () => {
  const { line } = ed25519Key();
  for (const options of ['from="10.0.0.0/8"', 'command="/bin/true"', 'no-pty', 'cert-authority', 'restrict,pty'])
    assert.match(reasonOf(`${options} ${line}`), /Options before it/, options);
});

test('what is not one public key is refused with its reason', () => {
  const { line, blob } = ed25519Key();
  const base64 = blob.toString('base64');
  for (const [text, reason] of [
    ['', /begins with the type/],
    ['hello', /begins with the type/],
    ['ssh-ed25519', /base64/],
    ['ssh-ed25519 !!!!', /base64/],
    [`ssh-ed25519 ${base64.slice(0, -4)}`, /whole public key|32 bytes/],
    [`ssh-rsa ${base64}`, /another type/],
    [`ssh-ed25519 ${Buffer.concat([blob, Buffer.of(0)]).toString('base64')}`, /behind its end/],
    [`${line}\n${line}`, /one line/],
    [`${line}\u0000`, /one line/],
    [`ssh-dss ${base64}`, /DSA/],
    [`ssh-ed448 ${base64}`, /not taken/],
    [`ssh-ed25519-cert-v01@openssh.com ${base64}`, /certificate/],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', /private key/],
    ['x'.repeat(20_000), /too long/],
  ] as const)
    assert.match(reasonOf(text), reason, text.slice(0, 80));
});

test('RSA keys are taken from 2048 bits on', () => {
  assert.match(reasonOf(rsaKey(1024, 'rsa-sha2-256').line), /2048 bits or more; this one has 1024/);
  assert.match(reasonOf(rsaKey(2047, 'rsa-sha2-256').line), /this one has 2047/);
  assert.equal(reasonOf(rsaKey(2048, 'rsa-sha2-256').line), '');
});

test('a point that is not on its curve, and a security key of a web site, are refused', () => {
  const point = Buffer.concat([Buffer.of(4), Buffer.alloc(63, 7), Buffer.of(9)]);
  const blob = Buffer.concat([sshString('ecdsa-sha2-nistp256'), sshString('nistp256'), sshString(point)]);
  assert.throws(() => parsePublicKey(blob), /do not fit together/);
  assert.match(reasonOf(securityKey('ecdsa', { application: 'https://example.com' }).line), /another purpose/);
  assert.equal(reasonOf(securityKey('ecdsa', { application: 'ssh:work' }).line), '');
});

test('damaged keys are refused or are other keys, and never crash', () => {
  for (const key of [ed25519Key(), securityKey('ecdsa'), rsaKey(2048, 'rsa-sha2-256')]) {
    for (const blob of damaged(key.blob)) {
      try {
        assert.ok(!parsePublicKey(blob).blob.equals(key.blob));
      } catch (error) {
        assert.ok(error instanceof KeyRefused, String(error));
      }
    }
  }
});
