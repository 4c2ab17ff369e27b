import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alertsConfigSchema } from '#contract/alerts-config.ts';
import { ConfigError } from '#platform/config.ts';
import { configuredChannels } from './configured-channels.ts';

test('a webhook of the configuration that cannot be is named by its place, not by its address', async () => {
  for (const bad of ['https://user:secret@hooks.example/x', 'https://hooks.example:99999/secret'])
    await assert.rejects(
      async () => {
        const alerts = { ...alertsConfigSchema.parse({}), enable: true, webhooks: ['https://ntfy.sh/topic', bad] };
        await configuredChannels({ alerts, secrets: {} });
      },
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /alerts\.webhooks\[1\]/);
        assert.doesNotMatch(error.message, /secret@|\/secret/);
        return true;
      },
    );
});
