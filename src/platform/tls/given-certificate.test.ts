import assert from 'node:assert/strict';
import { chmod, lchown, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ConfigError } from '../config.ts';
import { runChecked } from '../process.ts';
import { ensureServerCertificate } from './authority.ts';
import { type GivenFiles, readGivenCertificate, uncoveredNames } from './given-certificate.ts';

let dir: string;
let files: GivenFiles;
const now = new Date();
const file = (name: string) => join(dir, name);

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hv-given-'));
  await ensureServerCertificate(dir, ['box.lan', '127.0.0.1'], 'box', now);
  files = { certificateFile: file('server.pem'), keyFile: file('server.key') };
});
after(() => rm(dir, { recursive: true }));

const fails = (given: Partial<GivenFiles>, message: RegExp, at = now) =>
  assert.rejects(readGivenCertificate({ ...files, ...given }, at), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.message, message);
    return true;
  });

test('a fitting pair is taken with its chain, and what it does not cover is known', async () => {
  const pem = await readFile(files.certificateFile, 'utf8');
  const ca = await readFile(file('ca.pem'), 'utf8');
  await writeFile(file('chain.pem'), `a comment\n${pem}${ca}`);
  const read = await readGivenCertificate({ ...files, certificateFile: file('chain.pem') }, now);
  assert.equal(read.certificate.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.deepEqual(uncoveredNames(read, ['box.lan', '127.0.0.1', 'other.lan']), ['other.lan']);
});

test('H7: a key that others can read, a certificate that others can write, and files of another user are refused', async () => {
  for (const mode of [0o604, 0o644, 0o620, 0o602]) {
    await chmod(files.keyFile, mode);
    await fails({}, /tls\.keyFile: .*server\.key can be (read|written) by others\. Mend: chmod 600 /);
  }
  await chmod(files.keyFile, 0o640);
  await readGivenCertificate(files, now);
  await chmod(files.keyFile, 0o600);
  await chmod(files.certificateFile, 0o664);
  await fails({}, /tls\.certificateFile: .*can be written by others\. Mend: chmod go-w/);
  await chmod(files.certificateFile, 0o644);
});

test('H7: a link is followed when it is ours, and refused when somebody else chooses where it leads', {
  skip: process.getuid?.() !== 0 && 'only root can give files away',
}, async () => {
  const link = file('link.key');
  await symlink(files.keyFile, link);
  await readGivenCertificate({ ...files, keyFile: link }, now);
  await lchown(link, 65_534, 65_534);
  await fails({ keyFile: link }, /link\.key belongs to another user\. Mend: chown/);
});

test('what cannot be used names the file and the mend', async () => {
  await writeFile(file('text'), 'nonsense', { mode: 0o600 });
  await runChecked(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', file('other.key')], { timeoutMs: 10_000 });
  await chmod(file('other.key'), 0o600);
  const locked = ['openssl', 'pkey', '-in', files.keyFile, '-aes256', '-passout', 'pass:x', '-out', file('locked.key')];
  await runChecked(locked, { timeoutMs: 10_000 });
  await chmod(file('locked.key'), 0o600);
  await fails({ certificateFile: file('none') }, /tls\.certificateFile: .*none does not exist/);
  await fails({ certificateFile: dir }, /is not a file/);
  await fails({ certificateFile: file('text') }, /holds no certificate in PEM form\. Mend: openssl x509/);
  await fails({ keyFile: file('text') }, /tls\.keyFile: .* holds no private key in PEM form/);
  await fails({ keyFile: file('other.key') }, /is not the key of .*Mend: name the two files/);
  await fails({ keyFile: file('locked.key') }, /locked by a passphrase.*Mend: openssl pkey/);
  const [leaf, ca] = await Promise.all([files.certificateFile, file('ca.pem')].map((path) => readFile(path, 'utf8')));
  await writeFile(file('turned.pem'), `${ca}${leaf}`);
  await fails({ certificateFile: file('turned.pem') }, /the certificate of the key is number 2\. Mend: put it first/);
  await fails({}, /ended on .*Mend: put a new one there/, new Date(now.getTime() + 500 * 86_400_000));
  await fails({}, /begins on .*Mend: set the clock/, new Date(now.getTime() - 86_400_000));
});
