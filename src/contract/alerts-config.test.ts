import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alertsConfigSchema, durationMs } from './alerts-config.ts';

const problemsOf = (value: unknown) => alertsConfigSchema.safeParse(value).error?.issues.map((issue) => issue.message);

test('the document of alerts is taken as it is written, and what it leaves out has a default', () => {
  const parsed = alertsConfigSchema.parse({
    enable: true,
    email: {
      enable: true,
      smtp: 'smtp.gmail.com:587',
      from: 'hyper@example.org',
      to: ['admin@example.org'],
      tls: true,
    },
    webhooks: ['https://hooks.slack.com/services/T/B/x', 'secret:webhook-ops'],
    rules: [
      { name: 'VM down', condition: 'vm_state != running', severity: 'critical', cooldown: '30m' },
      { name: 'disk', condition: 'disk_usage > 85%' },
    ],
  });
  assert.equal(parsed.rules[1]?.severity, 'warning');
  assert.equal(parsed.rules[1]?.cooldown, '30m');
  assert.deepEqual(alertsConfigSchema.parse(undefined).webhooks, []);
});

test('mail that cannot be sent is refused with the key that is missing', () => {
  const email = { enable: true, smtp: 'mail.example.org:587', from: 'a@b.example', to: ['c@d.example'] };
  assert.match(String(problemsOf({ email: { ...email, to: [] } })), /email\.to/);
  assert.match(String(problemsOf({ email: { ...email, smtp: undefined } })), /email\.smtp/);
  assert.match(String(problemsOf({ email: { ...email, tls: false } })), /on this machine/);
  assert.equal(problemsOf({ email: { ...email, tls: false, smtp: '127.0.0.1:25' } }), undefined);
  assert.match(String(problemsOf({ email: { ...email, to: ['Boss <c@d.example>'] } })), /NAME@HOST/);
  assert.match(String(problemsOf({ email: { ...email, from: 'a@b.example\nBcc: x@y.example' } })), /NAME@HOST/);
});

test('two rules of one name, other severities and unknown keys are refused', () => {
  const rule = { name: 'a', condition: 'x > 1' };
  assert.match(String(problemsOf({ rules: [rule, rule] })), /same name/);
  assert.ok(problemsOf({ rules: [{ ...rule, severity: 'loud' }] }));
  assert.ok(problemsOf({ rules: [{ ...rule, cooldown: '5 minutes' }] }));
  assert.ok(problemsOf({ rules: [{ ...rule, conditon: 'x' }] }));
});

test('durations are sums of their parts', () => {
  assert.equal(durationMs('1h30m'), 5_400_000);
  assert.equal(durationMs('250ms'), 250);
  assert.equal(durationMs('2d'), 172_800_000);
});
