import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startOutbox } from './fake-outside.ts';

test('a channel sends to another place only together with its secrets', async () => {
  const outbox = await startOutbox();
  try {
    const settings = { server: 'https://gotify.example' };
    const secrets = { token: 'gotify-token' };
    const made = await outbox.channels.add({ name: 'phone', kind: 'gotify', project: null, settings, secrets });
    const moves = { server: 'https://evil.example', ca: '-----BEGIN CERTIFICATE-----' };
    for (const [name, value] of Object.entries(moves))
      await assert.rejects(outbox.channels.change(made, { settings: { [name]: value } }), (error: unknown) => {
        assert.ok(error instanceof Error && 'fields' in error);
        assert.match(error.message, new RegExp(`${name}.*again: token`));
        assert.match(JSON.stringify(error.fields), /secrets\.token/);
        return true;
      });
    assert.deepEqual(outbox.channels.get('phone')?.settings, settings);
    await outbox.channels.change(made, { title: 'x', settings: { server: settings.server } });
    await outbox.channels.change(made, { settings: { server: moves.server }, secrets: { token: 'another-token' } });
    assert.equal(outbox.channels.get('phone')?.settings['server'], moves.server);
  } finally {
    await outbox.close();
  }
});

test('of two channels that want one name at once, one gets it; of two changes at once none is lost', async () => {
  const outbox = await startOutbox();
  try {
    const both = await Promise.allSettled([outbox.hook('team'), outbox.hook('team')]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const refused = both.find((one) => one.status === 'rejected');
    assert.equal(refused?.reason.code, 'already_exists');
    const entry = outbox.channels.get('team');
    assert.ok(entry);
    await Promise.all([
      outbox.channels.change(entry, { title: '{rule}' }),
      outbox.channels.change(entry, { isEnabled: false }),
    ]);
    const after = outbox.channels.get('team');
    assert.deepEqual([after?.title, after?.isEnabled], ['{rule}', false]);
  } finally {
    await outbox.close();
  }
});
