/** Sign-in by SSH key (rows D1, D2, D3 and D7): whatever is tried, a session comes only of a whole signature by an enrolled key over
 *  the newest challenge of this very machine and user. */

import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, test } from 'node:test';
import type { ChallengeText, ChallengeView } from '#contract/sign-in.ts';
import {
  armour,
  damaged,
  dsaKey,
  ed448Key,
  ed25519Key,
  rsaKey,
  securityKey,
  type TestKey,
  testKey,
  unarmour,
} from '#features/access/ssh/fake-signer.ts';
import { mapLimit } from '#kernel/async.ts';
import { sshString } from '#kernel/ssh-wire.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { type Site, siteOf } from '#test/support/wire.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';

let daemon: TestDaemon;
let site: Site;
/** Enrolled for the user admin. */
const key = ed25519Key();
const touchKey = securityKey('ecdsa');
const rsa = rsaKey(2048, 'rsa-sha2-512');
const operatorKey = ed25519Key();

before(async () => {
  daemon = await startDaemon({
    waitFor: 'doors',
    config: { access: { authorizedKeys: { operator: [operatorKey.line], nobody: [ed25519Key().line] } } },
  });
  site = await siteOf(daemon);
  for (const { line } of [key, touchKey, rsa]) await add('admin', line);
});
after(() => daemon?.close());

const add = (id: string, line: string) =>
  daemon.admin('POST /users/{id}/keys', { params: { id }, body: { key: line } });

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly cookie: string | null;
  readonly body: string;
}

let lastAddress = 1;
/** Another address of this machine for each client: tries of one address are slowed, and that is another test. */
const newAddress = (): string => {
  lastAddress += 1;
  return `127.${(lastAddress >> 16) & 255}.${(lastAddress >> 8) & 255}.${lastAddress & 255}`;
};

function post(path: string, body: unknown, { from = newAddress(), host = site.host } = {}): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port: site.port,
        path: `/api/v1${path}`,
        method: 'POST',
        ca: site.ca,
        servername: 'localhost',
        localAddress: from,
        agent: false,
        headers: {
          host,
          origin: `https://${host}`,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
        },
      },
      (response) => {
        let answer = '';
        response.on('data', (data: Buffer) => (answer += data.toString()));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            code: /"code":"(\w+)"/.exec(answer)?.[1] ?? '',
            cookie: response.headers['set-cookie']?.[0] ?? null,
            body: answer,
          }),
        );
      },
    );
    call.on('error', reject);
    call.end(text);
  });
}

async function challengeFor(user: string, options: { from?: string; host?: string } = {}): Promise<ChallengeView> {
  const answer = await post('/auth/challenge', { user }, options);
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body);
}

const sessionCount = async () => (await daemon.admin('GET /auth/sessions')).items.length;

/** Tries to sign in with what `sign` makes of a fresh challenge; it must be refused and make nothing. */
async function refused(name: string, sign: (challenge: ChallengeView) => string, user = 'admin'): Promise<void> {
  const before = await sessionCount();
  const challenge = await challengeFor(user);
  const answer = await post('/auth/ssh', { nonce: challenge.nonce, signature: sign(challenge) });
  assert.ok([401, 429].includes(answer.status), `${name}: ${answer.status} ${answer.body}`);
  assert.equal(answer.cookie, null, name);
  assert.equal(await sessionCount(), before, name);
}

test('a signature by an enrolled key of each kind signs in; its cookie is closed to scripts', async () => {
  for (const [user, one] of [
    ['admin', key],
    ['admin', touchKey],
    ['admin', rsa],
    ['operator', operatorKey],
  ] as const) {
    const { text, nonce } = await challengeFor(user);
    const answer = await post('/auth/ssh', { nonce, signature: one.sign(text) });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(JSON.parse(answer.body).user, user);
    assert.match(answer.cookie ?? '', /^__Host-.*Secure; HttpOnly; SameSite=Strict/);
    assert.ok(
      !answer.body.includes((answer.cookie ?? '').split(/[=;]/)[1] ?? 'none'),
      'the secret is in the cookie only',
    );
  }
});

test('D1: another message, namespace, key or form signs nobody in', async () => {
  const other = ed25519Key();
  const tries: [string, (challenge: ChallengeView) => string][] = [
    ['message with a line feed', ({ text }) => key.sign(`${text}\n`)],
    ['only the nonce', ({ nonce }) => key.sign(nonce)],
    ['empty message', () => key.sign('')],
    ['another user in the message', ({ text }) => key.sign(text.replace('admin', 'operator'))],
    ['later end', ({ text }) => key.sign(text.replace(/"exp":\d+/, '"exp":9999999999'))],
    ['namespace git', ({ text }) => key.sign(text, { namespace: 'git' })],
    ['namespace file', ({ text }) => key.sign(text, { namespace: 'file' })],
    ['namespace with a zero', ({ text }) => key.sign(text, { namespace: 'login@hyper-nixos\0' })],
    ['hash sha1', ({ text }) => key.sign(text, { hash: 'sha1' })],
    ['reserved not empty', ({ text }) => key.sign(text, { reserved: 'x' })],
    ['bytes behind the end', ({ text }) => key.sign(text, { trailing: Buffer.of(0) })],
    ['version 2', ({ text }) => key.sign(text, { version: 2 })],
    ['key that is not enrolled', ({ text }) => other.sign(text)],
    ['key of another user', ({ text }) => operatorKey.sign(text)],
    ['no signature', () => 'x'],
    ['two signatures', ({ text }) => key.sign(text) + key.sign(text)],
  ];
  for (const [name, sign] of tries) await refused(name, sign);
  await refused('a user that does not exist', ({ text }) => key.sign(text), 'ghost');
  await refused('the id in place of the name', ({ text }) => key.sign(text), 'usr-admin');
});

test('D1: login fuzz: no changed bit, no cut end of any kind of key signs in', async (t) => {
  let tried = 0;
  let accepted = 0;
  const step = isFull ? 1 : 7;
  for (const one of [key, touchKey, rsa]) {
    const size = unarmour(one.sign('')).length;
    const variants = Array.from({ length: 2 * size }, (_, index) => index).filter((index) => index % step === 0);
    await mapLimit(variants, 16, async (index) => {
      const { text, nonce } = await challengeFor('admin');
      const variant = [...damaged(unarmour(one.sign(text)))][index];
      if (variant === undefined) return;
      const answer = await post('/auth/ssh', { nonce, signature: armour(variant) });
      tried += 1;
      if (answer.status === 200 || answer.cookie !== null) accepted += 1;
      assert.ok([401, 422, 429].includes(answer.status), `${answer.status} ${answer.body}`);
    });
  }
  t.diagnostic(`login fuzz over HTTPS: ${accepted} of ${tried} accepted`);
  assert.equal(accepted, 0);
  // The account was guessed at from everywhere; its owner signs in all the same.
  const { text, nonce } = await challengeFor('admin');
  assert.equal((await post('/auth/ssh', { nonce, signature: key.sign(text) })).status, 200);
});

test('D2: a challenge works once, also for 50 clients at once', async () => {
  const { text, nonce } = await challengeFor('admin');
  const before = await sessionCount();
  const signature = key.sign(text);
  const answers = await Promise.all(Array.from({ length: 50 }, () => post('/auth/ssh', { nonce, signature })));
  assert.equal(answers.filter(({ status }) => status === 200).length, 1);
  assert.equal(answers.filter(({ cookie }) => cookie !== null).length, 1);
  for (const { status } of answers) assert.ok([200, 401, 429].includes(status), String(status));
  assert.equal(await sessionCount(), before + 1);
  const replay = await post('/auth/ssh', { nonce, signature });
  assert.equal(replay.status, 401);
});

test('D2: a challenge of another host, port, machine or user is refused', async () => {
  // Our own machine under two names: what was made for one is refused under the other, so nobody can pass it on.
  const { port } = site;
  const { text, nonce } = await challengeFor('admin', { host: `localhost:${port}` });
  const aud: ChallengeText = JSON.parse(text);
  assert.equal(aud.aud, `https://localhost:${port}`);
  assert.equal(
    (await post('/auth/ssh', { nonce, signature: key.sign(text) }, { host: `127.0.0.1:${port}` })).status,
    401,
  );
  assert.equal((await post('/auth/challenge', { user: 'admin' }, { host: 'evil.example' })).status, 421);

  const elsewhere = await startDaemon({ waitFor: 'doors' });
  try {
    await elsewhere.admin('POST /users/{id}/keys', { params: { id: 'admin' }, body: { key: key.line } });
    const theirs = await elsewhere.admin('POST /auth/challenge', { body: { user: 'admin' } });
    assert.equal((await post('/auth/ssh', { nonce: theirs.nonce, signature: key.sign(theirs.text) })).status, 401);
    const ours = await challengeFor('admin');
    assert.equal((await post('/auth/ssh', { nonce: ours.nonce, signature: key.sign(theirs.text) })).status, 401);
  } finally {
    await elsewhere.close();
  }
  const first = await challengeFor('operator');
  const second = await challengeFor('admin');
  assert.equal((await post('/auth/ssh', { nonce: first.nonce, signature: key.sign(second.text) })).status, 401);
  assert.equal((await post('/auth/ssh', { nonce: second.nonce, signature: operatorKey.sign(first.text) })).status, 401);
});

test('D2: a challenge for letting a browser in signs nobody in, and the other way round', async () => {
  const device = JSON.parse((await post('/auth/device', {})).body);
  const made = JSON.parse((await post('/auth/challenge', { user: 'admin', code: device.userCode })).body);
  assert.equal((await post('/auth/ssh', { nonce: made.nonce, signature: key.sign(made.text) })).status, 401);
  const login = await challengeFor('admin');
  assert.equal(
    (await post('/auth/device/approve', { nonce: login.nonce, signature: key.sign(login.text) })).status,
    401,
  );
});

test('D2: a code lets in one browser once; five wrong ones end it', async () => {
  const begin = async () => JSON.parse((await post('/auth/device', {})).body);
  const approve = async (code: string, one: TestKey = key) => {
    const made = JSON.parse((await post('/auth/challenge', { user: 'admin', code })).body);
    return post('/auth/device/approve', { nonce: made.nonce, signature: one.sign(made.text) });
  };
  const flow = await begin();
  assert.equal((await post('/auth/device/claim', { deviceSecret: flow.deviceSecret })).status, 401);
  assert.equal((await approve(flow.userCode, ed25519Key())).status, 401);
  assert.equal((await approve(flow.userCode)).status, 200);
  assert.equal((await approve(flow.userCode)).status, 401);
  assert.equal(
    JSON.parse((await post('/auth/device/poll', { deviceSecret: flow.deviceSecret })).body).state,
    'confirmed',
  );
  const claims = await Promise.all(
    Array.from({ length: 20 }, () => post('/auth/device/claim', { deviceSecret: flow.deviceSecret })),
  );
  assert.equal(claims.filter(({ status, cookie }) => status === 200 && cookie !== null).length, 1);

  const guessed = await begin();
  const wrong = `${guessed.userCode.slice(0, 6)}${guessed.userCode.endsWith('B') ? 'C' : 'B'}`;
  for (let tries = 0; tries < 5; tries += 1)
    assert.equal((await post('/auth/device/look', { code: wrong })).status, 401);
  assert.equal((await approve(guessed.userCode)).status, 401);
  assert.equal((await post('/auth/device/poll', { deviceSecret: guessed.deviceSecret })).status, 401);
});

test('D3: weak, foreign and untouched keys sign nobody in and cannot be enrolled', async () => {
  const certificate = testKey(
    'ssh-ed25519-cert-v01@openssh.com',
    Buffer.concat([sshString('ssh-ed25519-cert-v01@openssh.com'), sshString(Buffer.alloc(32)), key.blob]),
    () => Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(64))]),
  );
  const weak = {
    'RSA 1024': rsaKey(1024, 'rsa-sha2-512'),
    DSA: dsaKey(),
    ed448: ed448Key(),
    certificate,
    'security key of a web site': securityKey('ed25519', { application: 'example.com' }),
  };
  for (const [name, one] of Object.entries(weak)) {
    await assert.rejects(add('admin', one.line), { name: 'ApiProblem' }, name);
    await refused(name, ({ text }) => one.sign(text));
  }
  const sha1 = rsaKey(2048, 'ssh-rsa');
  await add('admin', sha1.line);
  await refused('ssh-rsa with SHA-1', ({ text }) => sha1.sign(text));
  for (const kind of ['ed25519', 'ecdsa'] as const) {
    const untouched = securityKey(kind, { flags: 0 });
    await add('admin', untouched.line);
    await refused(`${kind} security key without presence`, ({ text }) => untouched.sign(text));
  }
  for (const options of ['from="10.0.0.0/8"', 'command="id"', 'cert-authority'])
    await assert.rejects(add('admin', `${options} ${ed25519Key().line}`), /refused/, options);
});

test('D7: no subset of fields and no further field signs in', async () => {
  const before = await sessionCount();
  const { text, nonce } = await challengeFor('admin');
  const signature = key.sign(text);
  const whole = { nonce, signature };
  const tries: unknown[] = [
    {},
    { nonce },
    { signature },
    { ...whole, user: 'admin' },
    { ...whole, user_id: 'usr-admin' },
    { ...whole, second_factor: true },
    { ...whole, 'tfa-challenge': null },
    { ...whole, text },
    { ...whole, challenge: text },
    { nonce: [nonce], signature },
    { nonce: { $ne: '' }, signature },
    { nonce, signature: [signature] },
    { nonce, signature: null },
    { nonce: true, signature: true },
    [],
    null,
    '"x"',
    'true',
  ];
  for (const body of tries) {
    const answer = await post('/auth/ssh', body);
    assert.ok([400, 415, 422].includes(answer.status), `${JSON.stringify(body)}: ${answer.status} ${answer.body}`);
    assert.equal(answer.cookie, null);
  }
  for (const body of [
    { user: 'admin', purpose: 'step-up' },
    { user: 'admin', aud: 'https://x' },
    { user: 'admin', exp: 1 },
    {},
  ])
    assert.equal((await post('/auth/challenge', body)).status, 422, JSON.stringify(body));
  for (const body of [{}, { deviceSecret: 'x'.repeat(43), state: 'confirmed' }, { deviceSecret: 1 }])
    assert.equal((await post('/auth/device/claim', body)).status, 422, JSON.stringify(body));
  assert.equal((await post('/auth/device/claim', { deviceSecret: 'x'.repeat(43) })).status, 401);
  assert.equal(await sessionCount(), before);
  // None of these spent the challenge.
  assert.equal((await post('/auth/ssh', whole)).status, 200);
});

test('D2: a user who does not exist gets a challenge of the same shape and the same refusal', async () => {
  const shape = ({ text, nonce }: ChallengeView) =>
    text
      .replace(nonce, 'N')
      .replace(/\d{10}/g, 'T')
      .replace(/"user":"\w+"/, 'U');
  const [known, unknown] = [await challengeFor('admin'), await challengeFor('ghost')];
  assert.equal(shape(known), shape(unknown));
  const answers = await Promise.all(
    [known, unknown].map(({ text, nonce }) => post('/auth/ssh', { nonce, signature: operatorKey.sign(text) })),
  );
  const [first, second] = answers.map(({ body }) => body.replace(/req-\w+/, ''));
  assert.equal(first, second);
});

test('tries of one address are slowed, those of others and of the local socket are not', async () => {
  const from = newAddress();
  let isSlowed = false;
  for (let tries = 0; tries < 40 && !isSlowed; tries += 1) {
    const { text, nonce } = await challengeFor('admin', { from: newAddress() });
    isSlowed = (await post('/auth/ssh', { nonce, signature: operatorKey.sign(text) }, { from })).status === 429;
  }
  assert.ok(isSlowed);
  const { text, nonce } = await challengeFor('admin');
  assert.equal((await post('/auth/ssh', { nonce, signature: key.sign(text) })).status, 200);
  for (let tries = 0; tries < 60; tries += 1)
    await assert.rejects(daemon.admin('POST /auth/ssh', { body: { nonce, signature: 'x' } }), /signature/i);
});
