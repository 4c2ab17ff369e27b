import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AuditVerification } from './audit.ts';
import { chainHash, chainLine, createChainVerifier, GENESIS, headerLine, statementLine } from './audit-chain.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
const at = new Date('2026-01-01T00:00:00Z');

interface Link {
  readonly seq: number;
  readonly body: string;
  readonly hash: string;
}

function chainOf(count: number, texts: (seq: number) => string = (seq) => `act ${seq}`): Link[] {
  const links: Link[] = [];
  let prev = GENESIS;
  for (let seq = 1; seq <= count; seq += 1) {
    const body = `{"v":1,"seq":${seq},"prev":"${prev}","action":${JSON.stringify(texts(seq))}}`;
    prev = chainHash(prev, body);
    links.push({ seq, body, hash: prev });
  }
  return links;
}

function checkpointOf({ seq, hash }: Link): string {
  const body = JSON.stringify({ v: 1, chain: 'x', seq, hash, at: at.toISOString() });
  return statementLine({
    kind: 'checkpoint',
    body,
    signature: sign(null, Buffer.from(body), privateKey).toString('base64'),
  });
}

const linesOf = (links: readonly Link[]) => links.map(({ body, hash }) => chainLine(body, hash));

function verified(lines: readonly string[]): AuditVerification {
  const verifier = createChainVerifier({ key: pem });
  for (const line of lines) verifier.line(Buffer.from(line));
  return verifier.end(at);
}

const found = (lines: readonly string[]) =>
  verified(lines).findings.map(({ kind, seq, to }) => (seq === to ? `${kind} ${seq}` : `${kind} ${seq}-${to}`));

test('a whole chain is whole, whatever text stands in it', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 20 }), (texts) => {
      const links = chainOf(texts.length, (seq) => texts[seq - 1] ?? '');
      const result = verified([headerLine(pem), ...linesOf(links)]);
      assert.deepEqual(result.findings, []);
      assert.equal(result.records, texts.length);
    }),
  );
});

test('a changed, a removed, a moved and a doubled record are each named', () => {
  const lines = linesOf(chainOf(12));
  assert.deepEqual(found(lines.with(4, lines[4]!.replace('act 5', 'act 6'))), ['changed 5']);
  assert.deepEqual(found(lines.toSpliced(4, 1)), ['removed 5']);
  assert.deepEqual(found(lines.toSpliced(4, 3)), ['removed 5-7']);
  assert.deepEqual(found(lines.with(4, lines[5]!).with(5, lines[4]!)), ['reordered 5']);
  assert.deepEqual(found(lines.toSpliced(4, 0, lines[3]!)), ['duplicated 4']);
  assert.deepEqual(found(lines.toSpliced(0, 2)), ['removed 1-2']);
  assert.deepEqual(found(lines.toSpliced(4, 0, 'nonsense')), ['changed 5']);
});

test('a record whose own hash was made anew is named by the one after it', () => {
  const links = chainOf(6);
  const body = links[2]!.body.replace('act 3', 'act 4');
  const forged = { seq: 3, body, hash: chainHash(links[1]!.hash, body) };
  assert.deepEqual(found(linesOf(links.with(2, forged))), ['changed 3']);
});

test('one flipped bit anywhere in a record is found', () => {
  const lines = linesOf(chainOf(3));
  const target = Buffer.from(lines[1]!);
  for (let index = 0; index < target.length; index += 1) {
    for (const bit of [1, 128]) {
      const bytes = Buffer.from(target);
      bytes[index] = (bytes[index] ?? 0) ^ bit;
      const verifier = createChainVerifier({ key: pem });
      for (const line of [Buffer.from(lines[0]!), bytes, Buffer.from(lines[2]!)]) verifier.line(line);
      assert.equal(verifier.end(at).ok, false, `byte ${index}`);
    }
  }
});

test('a cut end and a chain written anew are found through a signed checkpoint, and through nothing else', () => {
  const links = chainOf(10);
  const checkpoint = checkpointOf(links[7]!);
  assert.deepEqual(found([...linesOf(links), checkpoint]), []);
  assert.deepEqual(found(linesOf(links.slice(0, 5))), []);
  assert.deepEqual(found([...linesOf(links.slice(0, 5)), checkpoint]), ['cut 6-8']);
  const anew = linesOf(chainOf(10, (seq) => `other ${seq}`));
  assert.deepEqual(found(anew), []);
  assert.deepEqual(found([...anew, checkpoint]), ['rewritten 8']);
  assert.deepEqual(found([checkpoint, ...anew]), ['rewritten 8']);
});

test('a checkpoint that another key signed counts for nothing and is named', () => {
  const links = chainOf(3);
  const forged = checkpointOf(links[2]!).replace(/"signature":"....../, '"signature":"AAAAAA');
  assert.deepEqual(found([...linesOf(links), forged]), ['signature 3']);
});

test('behind a signed stub the rest of the chain holds; without it the beginning is missing', () => {
  const links = chainOf(8);
  const stub = checkpointOf(links[3]!).replace('{"checkpoint":', '{"stub":');
  assert.deepEqual(found([stub, ...linesOf(links.slice(4))]), []);
  assert.deepEqual(found(linesOf(links.slice(4))), ['removed 1-4']);
  assert.deepEqual(found([stub, ...linesOf(links.slice(5))]), ['removed 5']);
});
