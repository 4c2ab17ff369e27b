import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SIGN_IN_NAMESPACE } from '#kernel/ssh-wire.ts';
import {
  armour,
  damaged,
  dsaKey,
  ed448Key,
  ed25519Key,
  rsaKey,
  securityKey,
  testKey,
  unarmour,
} from './fake-signer.ts';
import { fingerprintOf, KEY_TYPES, parseKeyLine } from './public-key.ts';
import { verifySshSignature } from './sshsig.ts';

const MESSAGE = '{"v":1,"purpose":"login","nonce":"abc"}';
const message = Buffer.from(MESSAGE);

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'hv-sshsig-'));
});
after(() => rmSync(dir, { recursive: true }));

const KINDS = [
  ['ed25519', []],
  ['ecdsa', ['-b', '256']],
  ['ecdsa', ['-b', '384']],
  ['ecdsa', ['-b', '521']],
  ['rsa', ['-b', '3072']],
] as const;

function keygen(args: readonly string[], input = ''): { readonly ok: boolean; readonly stdout: string } {
  const { status, stdout } = spawnSync('ssh-keygen', args, { input, encoding: 'utf8' });
  return { ok: status === 0, stdout };
}

interface Sample {
  readonly name: string;
  readonly line: string;
  readonly signature: string;
}

let made: Sample[] | null = null;

/** A signature by ssh-keygen for each kind of key and hash, and by a security key in software. */
function samples(): Sample[] {
  made ??= [
    ...KINDS.flatMap(([type, args]) => {
      const file = join(dir, `${type}${args[1] ?? ''}`);
      assert.ok(keygen(['-q', '-t', type, ...args, '-N', '', '-C', 'a@b', '-f', file]).ok);
      return ['sha256', 'sha512'].map((hash) => ({
        name: `${type}${args[1] ?? ''}/${hash}`,
        line: readFileSync(`${file}.pub`, 'utf8'),
        signature: keygen(['-Y', 'sign', '-q', '-f', file, '-n', SIGN_IN_NAMESPACE, '-O', `hashalg=${hash}`], MESSAGE)
          .stdout,
      }));
    }),
    ...(['ed25519', 'ecdsa'] as const).map((kind) => {
      const key = securityKey(kind);
      return { name: `sk-${kind}`, line: key.line, signature: key.sign(MESSAGE) };
    }),
    ...(['rsa-sha2-256', 'rsa-sha2-512'] as const).map((algorithm) => {
      const key = rsaKey(2048, algorithm);
      return { name: `rsa2048/${algorithm}`, line: key.line, signature: key.sign(MESSAGE) };
    }),
  ];
  return made;
}

let calls = 0;
/** What OpenSSH itself says. */
function oracle({ line }: Sample, signature: string, text = MESSAGE): boolean {
  calls += 1;
  const [signers, file] = [join(dir, 'signers'), join(dir, 'sig')];
  writeFileSync(signers, `x ${line.trim()}\n`);
  writeFileSync(file, signature);
  return keygen(['-Y', 'verify', '-f', signers, '-I', 'x', '-n', SIGN_IN_NAMESPACE, '-s', file], text).ok;
}

const accepts = (signature: string, text: Uint8Array = message, namespace = SIGN_IN_NAMESPACE): boolean =>
  verifySshSignature(signature, text, namespace).key !== null;

test('signatures by each kind of key are taken, as OpenSSH takes them, and name their key', (t) => {
  const types = new Set<string>();
  for (const sample of samples()) {
    const { key } = parseKeyLine(sample.line);
    types.add(key.type);
    const verdict = verifySshSignature(sample.signature, message, SIGN_IN_NAMESPACE);
    assert.ok(verdict.key?.blob.equals(key.blob), `${sample.name}: ${JSON.stringify(verdict)}`);
    assert.ok(oracle(sample, sample.signature), `${sample.name}: the oracle`);
    writeFileSync(join(dir, 'one.pub'), sample.line);
    assert.ok(keygen(['-l', '-f', join(dir, 'one.pub')]).stdout.includes(fingerprintOf(key.blob)), sample.name);
  }
  assert.deepEqual([...types].sort(), [...KEY_TYPES].sort());
  t.diagnostic(`accepted ${samples().length} of ${samples().length} good signatures, ${types.size} types of keys`);
});

test('no signature with a changed bit or a cut end is taken; OpenSSH agrees on a sample', (t) => {
  let tried = 0;
  let asked = 0;
  for (const sample of samples()) {
    for (const blob of damaged(unarmour(sample.signature))) {
      tried += 1;
      assert.ok(!accepts(armour(blob)), `${sample.name}: variant ${tried}`);
      if (tried % 97 === 0) {
        asked += 1;
        assert.ok(!oracle(sample, armour(blob)), `${sample.name}: OpenSSH takes variant ${tried}`);
      }
    }
  }
  t.diagnostic(`0 of ${tried} damaged signatures accepted; OpenSSH asked about ${asked}`);
});

test('the armour is strict: no changed bit, no cut end, nothing around it', (t) => {
  const { signature } = samples()[0] ?? assert.fail();
  let tried = 0;
  // The line feed at the very end may be missing: what is pasted often lacks it.
  for (const text of damaged(Buffer.from(signature.trimEnd()))) {
    tried += 1;
    assert.ok(!accepts(text.toString('latin1')), `variant ${tried}: ${JSON.stringify(text.toString('latin1'))}`);
  }
  const unwanted = [
    ` ${signature}`,
    `${signature}\n`,
    `${signature}x`,
    `${signature}${signature}`,
    'x'.repeat(40_000),
    '',
  ];
  for (const text of unwanted) assert.ok(!accepts(text), JSON.stringify(text.slice(0, 50)));
  assert.ok(accepts(signature.replaceAll('\n', '\r\n')));
  t.diagnostic(`0 of ${tried + unwanted.length} damaged texts accepted`);
});

test('a changed message, another namespace and extra bytes are refused', () => {
  for (const { name, signature } of samples()) {
    for (let at = 0; at < message.length; at += 1) {
      const changed = Buffer.from(message);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.ok(!accepts(signature, changed), `${name}: byte ${at}`);
    }
    assert.ok(!accepts(signature, Buffer.concat([message, Buffer.from('\n')])), name);
    for (const other of ['git', 'file', '', `${SIGN_IN_NAMESPACE}x`])
      assert.ok(!accepts(signature, message, other), name);
  }
  const key = ed25519Key();
  assert.ok(accepts(key.sign(MESSAGE)));
  for (const parts of [
    { namespace: 'git' },
    { namespace: 'file' },
    { namespace: `${SIGN_IN_NAMESPACE}\0` },
    { reserved: 'x' },
    { version: 0 },
    { version: 2 },
    { hash: 'sha1' as const },
    { trailing: Buffer.of(0) },
  ])
    assert.ok(!accepts(key.sign(MESSAGE, parts)), JSON.stringify(parts));
});

test('weak keys, SHA-1, certificates and untouched security keys are refused', () => {
  const certificate = ed25519Key();
  const refused = {
    'RSA 1024': rsaKey(1024, 'rsa-sha2-512'),
    'RSA 2040': rsaKey(2040, 'rsa-sha2-512'),
    'SHA-1': rsaKey(2048, 'ssh-rsa'),
    DSA: dsaKey(),
    ed448: ed448Key(),
    'sk without presence': securityKey('ed25519', { flags: 0 }),
    'sk with verification but without presence': securityKey('ecdsa', { flags: 4 }),
    'sk of a web site': securityKey('ecdsa', { application: 'webauthn.io' }),
    certificate: testKey(
      'ssh-ed25519-cert-v01@openssh.com',
      Buffer.concat([Buffer.from([0, 0, 0, 32]), Buffer.from('ssh-ed25519-cert-v01@openssh.com'), certificate.blob]),
      (bytes) => bytes,
    ),
  };
  for (const [name, key] of Object.entries(refused)) assert.ok(!accepts(key.sign(MESSAGE)), name);
  for (const [name, key] of Object.entries(refused))
    if (!['SHA-1', 'sk without presence', 'sk with verification but without presence'].includes(name))
      assert.throws(() => parseKeyLine(key.line), { name: 'KeyRefused' }, name);
});

test('the signature of one security key is not that of another counter or purpose', () => {
  const key = securityKey('ed25519', { counter: 7 });
  const blob = unarmour(key.sign(MESSAGE));
  for (let back = 1; back <= 5; back += 1) {
    const copy = Buffer.from(blob);
    copy[blob.length - back] = (copy[blob.length - back] ?? 0) ^ 2;
    assert.ok(!accepts(armour(copy)), `byte ${back} from the end`);
  }
});

test('what OpenSSH refuses is refused', (t) => {
  // The other direction would be no fault: we take less than OpenSSH.
  const other = { name: 'other', line: ed25519Key().line, signature: '' };
  const { signature } = samples()[0] ?? assert.fail();
  assert.ok(!oracle(other, signature));
  assert.ok(
    !verifySshSignature(signature, message, SIGN_IN_NAMESPACE).key?.blob.equals(parseKeyLine(other.line).key.blob),
  );
  t.diagnostic(`OpenSSH was asked ${calls} times`);
});

test('verifying takes few milliseconds', (t) => {
  for (const { name, signature } of samples()) {
    const startMs = performance.now();
    for (let round = 0; round < 20; round += 1) assert.ok(accepts(signature));
    t.diagnostic(`${name}: ${((performance.now() - startMs) / 20).toFixed(2)} ms`);
  }
});
