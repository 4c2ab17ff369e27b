import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { ensureServerCertificate } from '#platform/tls/authority.ts';
import type { ServerCertificate } from '#platform/tls/pair.ts';
import { keepCertificate } from '#platform/tls/renewal.ts';
import { createOpenLimit } from './open-limit.ts';
import { createServer, useCertificate } from './server.ts';

/** The local port of the connection and the certificate on it. */
function ask(agent: Agent, port: number, ca: string): Promise<{ from: number; fingerprint: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ agent, port, host: '127.0.0.1', path: '/healthz', ca }, (response) => {
      const { socket } = response;
      assert.ok(socket instanceof TLSSocket);
      const answer = { from: socket.localPort ?? 0, fingerprint: socket.getPeerCertificate().fingerprint256 };
      response.resume().on('end', () => resolve(answer));
    });
    call.on('error', reject).end();
  });
}

test('a certificate is renewed before its end while the server runs; open connections go on', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-renewal-'));
  const clock = new TestClock(new Date());
  const ensure = (now: Date) => ensureServerCertificate(dir, ['127.0.0.1'], 'box', now);
  const first = await ensure(clock.now());
  const app = await createServer({
    door: { name: 'network', identify: () => null },
    routes: [],
    openLimit: createOpenLimit(),
    log: silentLogger,
    tls: first,
    webFolder: null,
    servesMetrics: true,
    metricsPage: () => ({ contentType: 'text/plain', body: '' }),
    renewedCookie: async () => null,
    notReady: () => [],
  });
  const end = new AbortController();
  const open = new Agent({ keepAlive: true, maxSockets: 1 });
  const fresh = new Agent();
  const { promise: renewed, resolve } = Promise.withResolvers<string>();
  const use = (certificate: ServerCertificate) => {
    useCertificate(app, certificate);
    resolve(certificate.fingerprint);
  };
  const keeping = keepCertificate(
    first,
    { ensure, use, looks: { firstMs: 3_600_000, everyMs: 3_600_000 }, clock, log: silentLogger },
    end.signal,
  );
  try {
    await app.listen({ host: '127.0.0.1', port: 0 });
    const address = app.server.address();
    assert.ok(address !== null && typeof address === 'object');
    const { port } = address;
    const before = await ask(open, port, first.caCertificate);
    assert.equal(before.fingerprint, first.fingerprint);

    clock.jumpWall(370 * 86_400_000);
    await clock.advance(3_600_000);
    const second = await renewed;
    assert.notEqual(second, first.fingerprint);
    assert.equal((await ask(fresh, port, first.caCertificate)).fingerprint, second);
    assert.deepEqual(await ask(open, port, first.caCertificate), before);
  } finally {
    end.abort();
    await keeping;
    open.destroy();
    await app.close();
    await rm(dir, { recursive: true });
  }
});
