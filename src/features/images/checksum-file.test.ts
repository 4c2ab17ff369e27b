import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChecksumWanted, findChecksum, parseChecksumFile } from './checksum-file.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const LONG = 'c'.repeat(128);

const byName = (name: string, kind: ChecksumWanted['kind'] = 'sha256'): ChecksumWanted => ({
  kind,
  file: { name },
  line: 'by_name',
});
const find = (text: string, wanted: ChecksumWanted) => findChecksum(parseChecksumFile(text), wanted)?.digest ?? null;

test('GNU lines are read, in text and binary mode, with folders before the name', () => {
  const text = `${A}  one.iso\n${B.toUpperCase()} *./sub/two.iso\r\n# a comment\n${'d'.repeat(40)}  sha1.iso\n`;
  assert.equal(find(text, byName('one.iso')), A);
  assert.equal(find(text, byName('two.iso')), B);
  assert.equal(find(text, byName('sha1.iso')), null);
  assert.equal(find(text, byName('wo.iso')), null);
});

test('BSD lines are read, and a digest whose length contradicts its kind is not', () => {
  const text = `SHA256 (one.iso) = ${A}\nSHA512 (two.iso) = ${LONG}\nSHA512 (three.iso) = ${B}\nMD5 (one.iso) = ${'e'.repeat(32)}\n`;
  assert.equal(find(text, byName('one.iso')), A);
  assert.equal(find(text, byName('two.iso', 'sha512')), LONG);
  assert.equal(find(text, byName('two.iso')), null);
  assert.equal(find(text, byName('three.iso')), null);
});

test('a lone hash stands for whatever image was asked for', () => {
  assert.equal(find(`${A}\n`, byName('any.iso')), A);
  assert.equal(find(`${A}\n${B}\n`, byName('any.iso')), null);
});

test('of a clear-signed message only the signed lines count', () => {
  const text = `SHA256 (x.iso) = ${B}
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# x.iso: 123 bytes
SHA256 (x.iso) = ${A}
- -- dashed
-----BEGIN PGP SIGNATURE-----

SHA256 (x.iso) = ${B}
-----END PGP SIGNATURE-----
SHA256 (x.iso) = ${B}
`;
  assert.deepEqual(parseChecksumFile(text), [{ kind: 'sha256', digest: A, fileName: 'x.iso' }]);
});

test('a name with a version is the newest that fits', () => {
  const wanted: ChecksumWanted = {
    kind: 'sha256',
    file: { pattern: /^os-26\.04(\.\d+)?-server-amd64\.iso$/ },
    line: 'by_name',
  };
  const lines = [
    ['os-26.04-server-amd64.iso', A],
    ['os-26.04.2-server-amd64.iso', A],
    ['os-26.04.10-server-amd64.iso', B],
    ['os-27.04-server-amd64.iso', A],
  ];
  const text = lines.map(([name, digest]) => `${digest} *${name}`).join('\n');
  const found = findChecksum(parseChecksumFile(text), wanted);
  assert.deepEqual(found, { kind: 'sha256', digest: B, fileName: 'os-26.04.10-server-amd64.iso' });
});

test('a file that speaks of one image is taken whatever name it gives, and contradictions are not', () => {
  const only: ChecksumWanted = { kind: 'sha256', file: { name: 'latest.iso' }, line: 'only' };
  assert.equal(find(`${A}  system-1.2.3.iso\n`, only), A);
  assert.equal(find(`${A}  x.iso\n${B}  y.iso\n`, only), null);
  assert.equal(find(`${A}  latest.iso\n${B}  latest.iso\n`, byName('latest.iso')), null);
  assert.equal(find(`${A}  latest.iso\n${A}  latest.iso\n`, byName('latest.iso')), A);
  assert.equal(find('', only), null);
});

test('no text makes the reader throw, hang or invent a digest', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom('\n', '  ', 'SHA256 (', ') = ', A, LONG, '-----BEGIN PGP SIGNED MESSAGE-----\n', '- '),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
      const text = pieces.join('');
      for (const line of parseChecksumFile(text)) {
        assert.ok(text.toLowerCase().includes(line.digest));
        assert.ok(line.fileName === null || !line.fileName.includes('/'));
      }
    }),
    { numRuns: 2000 },
  );
  // Long lines of near-matches end at once: the patterns have no room to backtrack.
  parseChecksumFile(
    `${'a'.repeat(1_000_000)} \n${'SHA256 ('.repeat(100_000)}\n${`${A}  ${' '.repeat(5000)}\n`.repeat(50)}`,
  );
});
