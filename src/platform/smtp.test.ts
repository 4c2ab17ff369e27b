import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { type Mail, type MailServer, sendMail } from './smtp.ts';

const mail: Mail = {
  from: 'a@example.org',
  to: ['b@example.org'],
  subject: 's',
  text: 't',
  html: 'h',
  messageId: 'k@example.org',
  thread: null,
  headers: {},
};
const server = (change: Partial<MailServer>): MailServer => ({
  host: 'mail.example',
  port: 25,
  tls: 'none',
  user: null,
  password: null,
  ca: null,
  allowPrivateHosts: ['mail.example'],
  ...change,
});

test('a lookup that never ends is left when the time is over', async () => {
  const resolve = () => new Promise<string[]>(() => undefined);
  const late = new AbortController();
  setTimeout(() => late.abort(), 20);
  await assert.rejects(sendMail(server({ resolve }), mail, late.signal), /took too long/);
});

test('when the time is over before it begins, no second address is tried and nothing is greeted', async () => {
  const listener = createServer((socket) => socket.end('220 hello\r\n'));
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  try {
    const late = new AbortController();
    const resolve = async () => {
      late.abort();
      return ['127.0.0.1', '127.0.0.1'];
    };
    await assert.rejects(sendMail(server({ port: address.port, resolve }), mail, late.signal), /took too long/);
  } finally {
    listener.close();
  }
});
