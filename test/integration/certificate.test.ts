/** Where the dashboard's certificate comes from: files of the administrator that change while the daemon runs, and a real ACME server. */

import assert from 'node:assert/strict';
import type { X509Certificate } from 'node:crypto';
import { chmod, copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { ensureServerCertificate } from '#platform/tls/authority.ts';
import { startDaemon } from '#test/support/daemon.ts';
import { freePort, missingForPebble, startPebble } from '#test/support/pebble.ts';

/** What a daemon began to fetch may end a moment after it. */
const GONE = { recursive: true, force: true, maxRetries: 20, retryDelay: 100 } as const;

/** The chain that the daemon shows, leaf first; checked against `ca` when there is one. */
function shownAt(origin: string, servername: string, ca?: string): Promise<X509Certificate> {
  const { port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect(
      {
        host: '127.0.0.1',
        port: Number(port),
        servername,
        ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
      },
      () => {
        const leaf = socket.getPeerX509Certificate();
        socket.destroy();
        if (leaf) resolve(leaf);
        else reject(new Error('no certificate'));
      },
    );
    socket.on('error', reject);
  });
}

async function until(isTrue: () => Promise<boolean>, what: string | (() => string), withinMs = 30_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline)
      throw new Error(`not within ${withinMs / 1000} s: ${typeof what === 'string' ? what : what()}`);
    await sleep(200);
  }
}

test('an own certificate is shown, and another one put in its place is shown without a restart', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-given-'));
  try {
    const [first, second] = await Promise.all(
      ['a', 'b'].map((name) => ensureServerCertificate(join(dir, name), ['box.lan'], name, new Date())),
    );
    const [certificateFile, keyFile] = [join(dir, 'server.pem'), join(dir, 'server.key')];
    const put = async (name: string) => {
      await copyFile(join(dir, name, 'server.key'), keyFile);
      await chmod(keyFile, 0o600);
      await copyFile(join(dir, name, 'server.pem'), certificateFile);
    };
    await put('a');
    const config = { tls: { certificateFile, keyFile }, publicNames: ['box.lan', 'missing.lan'] };
    const daemon = await startDaemon({ waitFor: 'doors', config });
    try {
      assert.equal((await shownAt(daemon.origin, 'box.lan', first?.caCertificate)).fingerprint256, first?.fingerprint);
      assert.equal((await daemon.admin('GET /system/status')).certificateFingerprint, first?.fingerprint);
      assert.match(daemon.output(), /missing\.lan/);
      // A key that does not fit yet: the old pair stays until both are there.
      await copyFile(join(dir, 'b', 'server.key'), keyFile);
      await until(async () => /is not the key of/.test(daemon.output()), 'the mismatch is told of');
      assert.equal((await shownAt(daemon.origin, 'box.lan')).fingerprint256, first?.fingerprint);
      await put('b');
      await until(
        async () => (await shownAt(daemon.origin, 'box.lan')).fingerprint256 === second?.fingerprint,
        'the new certificate is shown',
      );
    } finally {
      await daemon.close();
    }
    // H7: started with a key that everybody can read.
    await chmod(keyFile, 0o644);
    const refused = await startDaemon({ waitFor: 'nothing', config });
    assert.equal(await refused.exited, 1);
    assert.match(refused.output(), /tls\.keyFile: .*server\.key can be read by others\. Mend: chmod 600/);
    await refused.close();
  } finally {
    await rm(dir, GONE);
  }
});

test('an ACME server gives a certificate, which a restart keeps, and a changed list of names renews', {
  skip: missingForPebble() ?? false,
}, async () => {
  const httpPort = await freePort();
  // A third of all nonces is refused, as the standard allows.
  const pebble = await startPebble(httpPort, { PEBBLE_WFE_NONCEREJECT: '33' });
  const stateDir = await mkdtemp(join(tmpdir(), 'hv-acme-'));
  const configFor = (names: readonly string[]) => ({
    publicNames: [...names],
    tls: {
      redirectListen: `127.0.0.1:${httpPort}`,
      acme: {
        directoryUrl: pebble.directoryUrl,
        caFile: pebble.caFile,
        agreeToTerms: true,
        contact: ['a@example.org'],
        names,
      },
    },
  });
  try {
    const begun = performance.now();
    const daemon = await startDaemon({ waitFor: 'doors', stateDir, config: configFor(['box.example']) });
    const root = await pebble.root();
    let fingerprint = '';
    try {
      // Until it is there the own authority stands in: the doors were open before.
      await until(
        async () => (await shownAt(daemon.origin, 'box.example')).issuer.includes('Pebble'),
        () => `the certificate is there:\n${daemon.output()}\n${pebble.output()}`,
      );
      const leaf = await shownAt(daemon.origin, 'box.example', root);
      console.log(`# ACME: certificate after ${((performance.now() - begun) / 1000).toFixed(1)} s`);
      assert.equal(leaf.checkHost('box.example'), 'box.example');
      fingerprint = leaf.fingerprint256;
      assert.equal((await daemon.admin('GET /system/status')).certificateFingerprint, fingerprint);
      for (const name of ['account.key', 'server.key'])
        assert.equal((await stat(join(stateDir, 'acme', name))).mode & 0o777, 0o600);
      const moved = await new Promise<string>((resolve, reject) => {
        const call = request({ port: httpPort, host: '127.0.0.1', path: '/vms', headers: { host: 'box.example' } });
        call.on('response', (response) => resolve(`${response.statusCode} ${response.headers.location}`));
        call.on('error', reject).end();
      });
      assert.equal(moved, `308 https://box.example:${new URL(daemon.origin).port}/vms`);
    } finally {
      await daemon.stop();
      await daemon.close();
    }

    const account = await readFile(join(stateDir, 'acme', 'account.key'), 'utf8');
    const again = await startDaemon({ waitFor: 'doors', stateDir, config: configFor(['box.example', 'two.example']) });
    try {
      assert.equal((await shownAt(again.origin, 'box.example')).fingerprint256, fingerprint);
      await until(
        async () => (await shownAt(again.origin, 'two.example')).checkHost('two.example') !== undefined,
        'the second name is in the certificate',
      );
      assert.equal(await readFile(join(stateDir, 'acme', 'account.key'), 'utf8'), account);
    } finally {
      await again.close();
    }
  } finally {
    await pebble.close();
    await rm(stateDir, GONE);
  }
});

test('an ACME server that does not find us is told of in words, and the own authority stands in', {
  skip: missingForPebble() ?? false,
}, async () => {
  const [httpPort, otherPort] = await Promise.all([freePort(), freePort()]);
  const pebble = await startPebble(otherPort);
  const daemon = await startDaemon({
    waitFor: 'doors',
    config: {
      tls: {
        redirectListen: `127.0.0.1:${httpPort}`,
        acme: { directoryUrl: pebble.directoryUrl, caFile: pebble.caFile, agreeToTerms: true, names: ['box.example'] },
      },
    },
  });
  try {
    await until(async () => daemon.output().includes('could not be renewed'), 'the failure is in the log');
    assert.match(daemon.output(), /could not see that box\.example leads to port 80 of this machine/);
    assert.match((await shownAt(daemon.origin, 'box.example')).issuer, /CA of/);
  } finally {
    await daemon.close();
    await pebble.close();
  }
});
