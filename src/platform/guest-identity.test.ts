import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { isSameGuest, readGuestIdentity } from './guest-identity.ts';

const MACHINE = '0123456789abcdef0123456789abcdef';

test('a guest says who it is; what it cannot tell is not known, and control characters go', async () => {
  const answers: Readonly<Record<string, unknown>> = {
    'guest-ping': {},
    'guest-get-host-name': { 'host-name': 'web1\u001b[31m\u202e' },
    'guest-get-osinfo': { 'pretty-name': 'Debian 12' },
    'guest-file-open': 3,
    'guest-file-read': { 'buf-b64': Buffer.from(`${MACHINE}\n`).toString('base64') },
    'guest-file-close': {},
  };
  const agent = async (json: string) => JSON.stringify({ return: answers[JSON.parse(json).execute] });
  assert.deepEqual(await readGuestIdentity(agent), {
    hostname: 'web1 [31m',
    os: 'Debian 12',
    machineId: createHash('sha256').update(MACHINE).digest('hex'),
  });
  const refusing = async (json: string) => {
    if (json.includes('guest-ping')) return '{"return":{}}';
    throw new Error('the command is disabled');
  };
  assert.deepEqual(await readGuestIdentity(refusing), { hostname: null, os: null, machineId: null });
  await assert.rejects(
    readGuestIdentity(() => Promise.reject(new Error('no agent'))),
    /no agent/,
  );
});

test('the machine id decides where both are known, else the name, and what is not known decides nothing', () => {
  const guest = (hostname: string | null, machineId: string | null = null) => ({ hostname, machineId, os: null });
  assert.ok(isSameGuest(guest('web1', 'a'), guest('localhost', 'a')));
  assert.ok(!isSameGuest(guest('web1', 'a'), guest('web1', 'b')));
  assert.ok(isSameGuest(guest('web1.example.org', 'a'), guest('WEB1')));
  assert.ok(!isSameGuest(guest('web1'), guest('web2')));
  assert.ok(isSameGuest(guest('web1'), guest('localhost.localdomain')));
  assert.ok(isSameGuest(guest(null), guest('web2')));
});
