import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { configSchema, metricsDoor } from '#contract/config.ts';
import { metricsErrors } from '#contract/metrics.ts';
import { registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { Identity } from '#platform/feature.ts';
import { createOpenLimit } from './open-limit.ts';
import { createServer } from './server.ts';

registerErrors(metricsErrors);
registerErrors(accessErrors);

const doorOf = (listen: string, metrics = {}) => metricsDoor(configSchema.parse({ listen, metrics }));

test('figures leave the machine only when the configuration says so', () => {
  for (const listen of ['127.0.0.1:8080', '127.5.5.5:8080', '[::1]:8080']) assert.equal(doorOf(listen), 'loopback');
  for (const listen of ['0.0.0.0:8080', '[::]:8080', '192.0.2.7:8080', '[2001:db8::1]:8080']) {
    assert.equal(doorOf(listen), 'closed', listen);
    assert.equal(doorOf(listen, { overNetwork: true }), 'network', listen);
  }
});

const ADA: Identity = {
  userId: 'usr-1',
  user: 'ada',
  via: 'token',
  method: 'token',
  sessionId: null,
  tokenId: 'tok-1',
  address: '192.0.2.9',
};

async function answer(servesMetrics: boolean, identity: Identity | null) {
  const app = await createServer({
    door: { name: 'network', identify: () => identity },
    routes: [],
    openLimit: createOpenLimit(),
    log: silentLogger,
    tls: null,
    webFolder: null,
    servesMetrics,
    metricsPage: ({ identity: { user } }) => ({ contentType: 'text/plain', body: `figures for ${user}` }),
    renewedCookie: async () => null,
    notReady: () => [],
  });
  try {
    return await app.inject({ method: 'GET', url: '/metrics' });
  } finally {
    await app.close();
  }
}

test('where figures are not served a stranger hears that he is one, and everybody else where they are', async () => {
  assert.equal((await answer(true, ADA)).body, 'figures for ada');
  const closed = await answer(false, ADA);
  assert.equal(closed.statusCode, 403);
  assert.equal(closed.json().code, 'metrics_not_served');
  assert.match(closed.json().hint, /overNetwork/);
  for (const isServed of [true, false]) assert.equal((await answer(isServed, null)).json().code, 'not_signed_in');
});
