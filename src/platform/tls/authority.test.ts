import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { ensureServerCertificate } from './authority.ts';

async function inFolder(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-ca-'));
  try {
    await work(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}

const now = new Date();

test('a client that trusts the CA accepts the certificate for each of its names', () =>
  inFolder(async (dir) => {
    const made = await ensureServerCertificate(dir, ['localhost', '127.0.0.1'], 'box', new Date());
    const server = createServer({ cert: made.certificate, key: made.key, minVersion: 'TLSv1.3' }, (socket) =>
      socket.end('ok'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    for (const host of ['localhost', '127.0.0.1']) {
      const fingerprint = await new Promise<string>((resolve, reject) => {
        const socket = connect(
          {
            port: address.port,
            host: '127.0.0.1',
            servername: host === 'localhost' ? host : '',
            ca: made.caCertificate,
          },
          () => {
            resolve(socket.getPeerCertificate().fingerprint256);
            socket.destroy();
          },
        );
        socket.on('error', reject);
      });
      assert.equal(fingerprint, made.fingerprint);
    }
    server.close();
  }));

test('a second start uses the same certificate; a new name, age or another CA renews it and keeps the CA', () =>
  inFolder(async (dir) => {
    const first = await ensureServerCertificate(dir, ['localhost'], 'box', now);
    assert.equal((await ensureServerCertificate(dir, ['localhost'], 'box', now)).fingerprint, first.fingerprint);
    const named = await ensureServerCertificate(dir, ['localhost', 'box.lan'], 'box', now);
    assert.notEqual(named.fingerprint, first.fingerprint);
    assert.equal(named.caCertificate, first.caCertificate);
    const aged = await ensureServerCertificate(
      dir,
      ['localhost', 'box.lan'],
      'box',
      new Date(now.getTime() + 380 * 86_400_000),
    );
    assert.notEqual(aged.fingerprint, named.fingerprint);
    assert.equal(aged.caCertificate, first.caCertificate);
  }));

test('what begins in the future or ends too soon is made anew; the CA keeps its key and name, so trust in it holds', () =>
  inFolder(async (dir) => {
    const first = await ensureServerCertificate(dir, ['localhost'], 'box', now);
    const trusted = new X509Certificate(first.caCertificate);
    for (const days of [-1, 3600]) {
      const at = new Date(now.getTime() + days * 86_400_000);
      const next = await ensureServerCertificate(dir, ['localhost'], 'renamed', at);
      const [leaf, authority] = [new X509Certificate(next.certificate), new X509Certificate(next.caCertificate)];
      assert.notEqual(next.fingerprint, first.fingerprint, `${days} days`);
      assert.notEqual(authority.serialNumber, trusted.serialNumber);
      assert.equal(authority.subject, trusted.subject);
      assert.equal(authority.ca, true);
      assert.ok(leaf.verify(trusted.publicKey) && leaf.checkIssued(trusted) && leaf.checkIssued(authority));
    }
  }));

test('private keys are readable by their owner alone', () =>
  inFolder(async (dir) => {
    await ensureServerCertificate(dir, ['localhost'], 'box', now);
    for (const name of ['ca.key', 'server.key']) assert.equal((await stat(join(dir, name))).mode & 0o777, 0o600);
  }));

test('a damaged CA is named, not replaced', () =>
  inFolder(async (dir) => {
    await ensureServerCertificate(dir, ['localhost'], 'box', now);
    const { writeFile } = await import('node:fs/promises');
    await writeFile(join(dir, 'ca.pem'), 'nonsense');
    await assert.rejects(ensureServerCertificate(dir, ['localhost'], 'box', now), /ca\.pem or its key is damaged/);
    assert.equal(await readFile(join(dir, 'ca.pem'), 'utf8'), 'nonsense');
  }));
