import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { systemClock } from '#kernel/clock.ts';
import { createOutside } from './outside.ts';

async function listen() {
  const server = createServer((_request, response) => response.end('{}'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { url: `http://127.0.0.1:${address.port}/`, host: `127.0.0.1:${address.port}`, server };
}

test('an address of the configuration opens its host and port to what it was written for, and to nothing else', async () => {
  const [own, other] = [await listen(), await listen()];
  try {
    const { forChannel, forAddress } = createOutside({ allowPrivateHosts: [], clock: systemClock });
    const signal = AbortSignal.timeout(10_000);
    const call = (url: string) => ({ url, method: 'GET' as const, maxBytes: 1000, signal });
    const configured = forChannel(signal, { ownHosts: [own.host] }).fetcher(null);
    const ofProject = forChannel(signal, { ownHosts: [] }).fetcher(null);
    const deadMan = forAddress(own.url);
    for (const fetcher of [configured, deadMan]) {
      assert.equal((await fetcher.call(call(own.url))).status, 200);
      await assert.rejects(fetcher.call(call(other.url)), { code: 'address_refused' });
    }
    for (const { url } of [own, other]) await assert.rejects(ofProject.call(call(url)), { code: 'address_refused' });
    const opened = createOutside({ allowPrivateHosts: [own.host], clock: systemClock });
    assert.equal((await opened.forChannel(signal, { ownHosts: [] }).fetcher(null).call(call(own.url))).status, 200);
  } finally {
    own.server.close();
    other.server.close();
  }
});
