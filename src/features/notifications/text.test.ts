import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redact } from './text.ts';

test('errors for people hold no secret, however it stands in them', () => {
  const secrets = ['123456:telegram-token', 'https://hooks.example/services/T0/B0/longpart?sig=abc%2Fdefghi'];
  for (const text of [
    'POST https://api.telegram.org/bot123456:telegram-token/sendMessage failed',
    'bot123456%3Atelegram-token',
    'hooks.example did not deliver https://hooks.example/services/T0/B0/longpart?…',
    'sig abc/defghi',
  ])
    assert.doesNotMatch(redact(text, secrets), /telegram-token|longpart|defghi/, text);
  assert.equal(redact('AUTH failed for k7: wrong', ['k7', '']), 'AUTH failed for …: wrong');
});
