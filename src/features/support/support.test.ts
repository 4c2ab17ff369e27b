import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { scrub, scrubLine, scrubText } from './scrub.ts';
import { tarOf } from './tar.ts';

test('tar of the system reads the archive', () => {
  const dir = mkdtempSync(join(tmpdir(), 'hv-tar-'));
  try {
    const files = [
      { name: 'a.json', text: 'x'.repeat(512) },
      { name: 'b.txt', text: 'grüße\n' },
      { name: 'empty', text: '' },
    ];
    execFileSync('tar', ['-x', '-C', dir], { input: tarOf(files, new Date('2026-11-26T10:00:00Z')) });
    for (const { name, text } of files) assert.equal(readFileSync(join(dir, name), 'utf8'), text);
    assert.throws(() => tarOf([{ name: 'ä', text: '' }], new Date()), TypeError);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

const SECRET = 'hunter2';
const TOKEN = 'hv_7Qm3ZrT9xLw2Kp8VbN4cYdF6';
const PLACES: readonly (readonly [string, unknown])[] = [
  ['a password', { password: SECRET }],
  ['a password deep inside', { a: [{ smtp: { passwordFile: SECRET } }] }],
  ['everything below such a name', { secrets: { slack: { env: SECRET, other: [SECRET] } } }],
  ['a web address of a channel', { webhooks: { slack: `https://hooks.example.org/services/${SECRET}/x` } }],
  ['the path of an address', { deadManUrl: `https://ping.example.org/${SECRET}` }],
  ['the query of an address', { url: `https://example.org?key=${SECRET}` }],
  ['the user of an address', { url: `https://${SECRET}:x@example.org/` }],
  ['a bot address', { text: `POST https://api.telegram.org/bot123:${SECRET}/sendMessage failed` }],
  ['an assignment in a sentence', { msg: `tried with password=${SECRET} and failed` }],
  ['an assignment in JSON in a sentence', { msg: `body {"apiKey": "${SECRET}"} refused` }],
  ['a header', { msg: `Authorization: Bearer ${SECRET}` }],
  ['a header alone', { msg: `sent bearer ${SECRET}` }],
  ['a key file', { msg: `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----` }],
  ['half of a key file', { msg: `-----BEGIN EC PRIVATE KEY-----\n${SECRET}` }],
  ['a cloud-init document', { userData: `#cloud-config\nchpasswd: ${SECRET}` }],
  ['a token', { msg: `token was ${TOKEN}.` }],
  ['a token as the name of a field', { [TOKEN]: 1 }],
  ['a mail address', { to: [`${SECRET}@example.org`] }],
];

describe('no secret gets through', () => {
  for (const [where, value] of PLACES)
    test(where, () => {
      for (const text of [
        JSON.stringify(scrub(value)),
        scrubLine(JSON.stringify(value)),
        scrubLine(`not JSON ${JSON.stringify(value)}`),
      ])
        for (const secret of [SECRET, TOKEN]) assert.ok(!text.includes(secret), text);
    });
});

test('what helps stays readable', () => {
  const value = {
    id: 'op-01m8aqtwvth0se2c1ga8mh231c',
    uuid: '53294486-9d17-4044-8505-8b1d2d3cbb38',
    msg: 'the health check space.file-systems took longer than 5000 ms',
    path: '/var/lib/hyper-nixos/disks',
    at: '2026-11-26T10:00:00.000Z',
    listen: '127.0.0.1:8080',
    uri: 'qemu:///system',
    ratio: 0.5,
    none: null,
    notifications: { email: { smtp: 'mail.example.org:587' } },
  };
  assert.deepEqual(scrub(value), value);
  assert.equal(scrubText('GET https://example.org/ failed'), 'GET https://example.org failed');
});
