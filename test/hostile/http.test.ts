/** Requests that must bounce at the network door: other sites' pages, malformed HTTP, bodies too large or too deep, plain HTTP.
 *  Rows F7, F8, F9, F11, F12 and F16 of the hostile inputs. After each row the daemon is the same, answers at once, and has changed nothing. */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { allRoutes } from '#contract/api.ts';
import { problemSchema } from '#contract/common.ts';
import { overSocket, startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { answerOf, open, requestText, type Site, send, signIn, siteOf, type WireAnswer } from '#test/support/wire.ts';

let daemon: TestDaemon;
let site: Site;
/** Header line of a signed-in administrator. */
let cookie: string;
let fingerprint: unknown;

before(async () => {
  daemon = await startDaemon({ waitFor: 'doors' });
  site = await siteOf(daemon);
  cookie = await signIn(site, daemon);
});
after(() => daemon?.close());
beforeEach(async () => {
  fingerprint = await stateOf();
});
afterEach(async () => {
  assert.deepEqual(await stateOf(), fingerprint, 'nothing changed');
  // The best of three: other work on the machine may take one of them a moment.
  const tookMs: number[] = [];
  for (let round = 0; round < 3 && !tookMs.some((ms) => ms < 1000); round += 1) {
    const startedMs = performance.now();
    const normal = await send(site, requestText(site, { lines: [cookie] }));
    assert.equal(normal?.status, 200);
    tookMs.push(performance.now() - startedMs);
  }
  assert.ok(Math.min(...tookMs) < 1000, 'a normal request is answered within a second');
});

async function stateOf() {
  const status = await daemon.admin('GET /system/status');
  const operations = await daemon.admin('GET /operations', { query: {} });
  const uploads = await daemon.admin('GET /images/uploads');
  const sessions = await daemon.admin('GET /auth/sessions');
  const own = operations.items.filter(({ kind }) => kind !== 'preflight.run');
  return {
    pid: status.pid,
    operations: own.length,
    uploads: uploads.total,
    sessions: sessions.items.map(({ id }) => id),
    alive: daemon.pid,
  };
}

/** A refusal is a problem document that tells nothing of our inside. */
function assertRefused(answer: WireAnswer | null, ...statuses: readonly number[]): void {
  assert.ok(answer, 'there is an answer');
  assert.ok(
    statuses.includes(answer.status),
    `${answer.status} instead of ${statuses.join(' or ')}: ${answer.body.slice(0, 300)}`,
  );
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/, answer.body.slice(0, 300));
  const problem = problemSchema.parse(JSON.parse(answer.body));
  assert.equal(problem.status, answer.status);
  assert.doesNotMatch(answer.body, /node_modules|at .*\.ts:\d|SELECT |\/home\/|state\.db/);
}

const json = 'Content-Type: application/json';
const change = (lines: readonly string[], body = '{}') =>
  send(site, requestText(site, { method: 'POST', path: '/api/v1/preflight', lines: [cookie, ...lines], body }));

const foreignOrigins = [
  'https://evil.example',
  'null',
  'http://localhost',
  'https://localhost',
  'https://sub.localhost:1',
  'file://',
  'https://127.0.0.1.evil.example',
  '',
];

for (const origin of foreignOrigins) {
  test(`F7: a change with the cookie from the origin "${origin}" is refused`, async () => {
    assertRefused(await change([json, `Origin: ${origin}`]), 403);
  });
}

test('F7: a change with the cookie and without an origin is refused', async () => {
  assertRefused(await change([json]), 403);
});

test('F7: the own origin beside a browser that says cross-site is refused', async () => {
  for (const from of ['cross-site', 'same-site', 'none'])
    assertRefused(await change([json, `Origin: ${site.origin}`, `Sec-Fetch-Site: ${from}`]), 403);
});

for (const type of [
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain',
  'text/plain; charset=application/json',
]) {
  test(`F7: a form of another site that posts ${type} is refused, and of our own it is not understood`, async () => {
    assertRefused(await change([`Content-Type: ${type}`, 'Origin: https://evil.example'], '{"a":1}'), 403);
    assertRefused(await change([`Content-Type: ${type}`, `Origin: ${site.origin}`], '{"a":1}'), 415);
  });
}

test('F7: no GET of the contract changes anything, and a picture tag on a changing path finds nothing', async () => {
  for (const [key] of allRoutes()) {
    const [method, path = ''] = key.split(' ');
    if (method === 'GET') continue;
    const target = `/api/v1${path.replace(/\{\w+\}/g, '11111111-2222-4333-8444-555555555555')}`;
    if (allRoutes().some(([other]) => other === `GET ${path}`)) continue;
    const answer = await send(
      site,
      requestText(site, { path: target, lines: [cookie, 'Sec-Fetch-Site: cross-site', 'Sec-Fetch-Dest: image'] }),
    );
    // A path of two meanings, as /images/uploads beside /images/{id}, may be another object's name.
    assertRefused(answer, 404, 403, 405);
  }
});

test('F8: another host name, with and without our port, is not answered', async () => {
  for (const host of [
    'evil.example',
    `evil.example:${site.port}`,
    'localhost',
    'localhost:1',
    '169.254.169.254',
    `127.0.0.1.nip.io:${site.port}`,
    `[::ffff:127.0.0.1]:${site.port}`,
    `localhost:${site.port}.`,
  ]) {
    for (const path of ['/api/v1/system/status', '/', '/metrics'])
      assertRefused(await send(site, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${cookie}\r\n\r\n`), 421, 400);
  }
});

test('F8: a missing host, and targets that are not a path, are refused', async () => {
  assertRefused(await send(site, `GET /api/v1/system/status HTTP/1.1\r\n${cookie}\r\n\r\n`), 400);
  assertRefused(await send(site, `GET /api/v1/system/status HTTP/1.1\r\nHost:\r\n${cookie}\r\n\r\n`), 400);
  for (const target of [`https://${site.host}/api/v1/system/status`, `https://evil.example/api/v1/system/status`, '*'])
    assertRefused(await send(site, `GET ${target} HTTP/1.1\r\nHost: ${site.host}\r\n${cookie}\r\n\r\n`), 400, 404, 421);
});

for (const [name, line] of [
  ['Host', 'Host: evil.example'],
  ['Cookie', 'Cookie: a=b'],
  ['Authorization', 'Authorization: Bearer a\r\nAuthorization: Bearer b'],
  ['Origin', 'Origin: a\r\nOrigin: b'],
] as const) {
  test(`F8: two ${name} headers are refused`, async () => {
    assertRefused(await send(site, requestText(site, { lines: [cookie, line] })), 400);
  });
}

test('D11, F8: two session cookies in one header are refused', async () => {
  assertRefused(await send(site, requestText(site, { lines: [`${cookie}; ${cookie.slice('Cookie: '.length)}`] })), 400);
});

test('F8: no link is built from the Host header', async () => {
  const { status, body } = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'POST',
    path: '/api/v1/auth/links',
    headers: {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'http',
      'content-type': 'application/json',
    },
    body: '{}',
  });
  assert.equal(status, 201, body.toString());
  assert.ok(JSON.parse(body.toString()).url.startsWith(`${site.origin}/`));
});

const post = (lines: readonly string[], rest: string) =>
  send(
    site,
    [
      `POST /api/v1/preflight HTTP/1.1`,
      `Host: ${site.host}`,
      cookie,
      `Origin: ${site.origin}`,
      json,
      ...lines,
      '',
      rest,
    ].join('\r\n'),
  );

for (const [what, status, lines, rest] of [
  ['Content-Length and Transfer-Encoding', 400, ['Content-Length: 4', 'Transfer-Encoding: chunked'], '0\r\n\r\n'],
  ['two Content-Length', 400, ['Content-Length: 2', 'Content-Length: 3'], '{}'],
  ['a list as Content-Length', 400, ['Content-Length: 2, 2'], '{}'],
  ['a signed Content-Length', 400, ['Content-Length: +2'], '{}'],
  ['a negative Content-Length', 400, ['Content-Length: -1'], '{}'],
  ['an unknown Transfer-Encoding', 400, ['Transfer-Encoding: xchunked'], '2\r\n{}\r\n0\r\n\r\n'],
  ['a space before the colon', 400, ['Transfer-Encoding : chunked'], '2\r\n{}\r\n0\r\n\r\n'],
  ['a folded header', 400, ['X-Long: a\r\n b', 'Content-Length: 2'], '{}'],
  ['a NUL in a header', 400, ['X-Null: a\0b', 'Content-Length: 2'], '{}'],
  ['a bad chunk size', 400, ['Transfer-Encoding: chunked'], 'zz\r\n{}\r\n0\r\n\r\n'],
] as const) {
  test(`F9: ${what} is refused`, async () => {
    assertRefused(await post(lines, rest), status);
  });
}

test('F9: bare line feeds are refused', async () => {
  const text = requestText(site, { lines: [cookie] });
  assertRefused(await send(site, text.replaceAll('\r\n', '\n')), 400);
  assertRefused(await send(site, text.replace(`Host: ${site.host}\r\n`, `Host: ${site.host}\n`)), 400);
});

test('F9: 20 kB of headers are refused', async () => {
  assertRefused(await send(site, requestText(site, { lines: [cookie, `X-Big: ${'a'.repeat(20_000)}`] })), 431);
  assertRefused(
    await send(
      site,
      requestText(site, { lines: [cookie, ...Array.from({ length: 800 }, (_, n) => `X-${n}: ${'b'.repeat(20)}`)] }),
    ),
    431,
  );
});

const MEBIBYTE = 2 ** 20;

/** Writes a body as long as the other side takes it, and tells how much it took. What closes a connection of which it has not read all resets
 *  it, and the reset may overtake the answer (TCP): then it is asked again. */
async function flood(...what: Parameters<typeof floodOnce>): ReturnType<typeof floodOnce> {
  for (let tries = 1; ; tries += 1) {
    const flooded = await floodOnce(...what);
    if (flooded.answer !== null || tries === 10) return flooded;
  }
}

async function floodOnce(
  head: string,
  chunk: Buffer,
  limitBytes: number,
): Promise<{ answer: WireAnswer | null; sentBytes: number }> {
  const socket = await open(site);
  const answering = answerOf(socket);
  let isOver = false;
  void answering.then(
    () => {
      isOver = true;
    },
    () => undefined,
  );
  socket.write(head);
  let sentBytes = 0;
  while (!isOver && sentBytes < limitBytes && !socket.destroyed) {
    sentBytes += chunk.length;
    if (!socket.write(chunk)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const answer = await answering;
  socket.destroy();
  return { answer, sentBytes };
}

test('F11: a body of 50 MB for a small route is refused at the cap, and the rest is not read', async () => {
  const head = requestText(site, {
    method: 'POST',
    path: '/api/v1/vms',
    lines: [cookie, `Origin: ${site.origin}`, json, `Content-Length: ${50 * MEBIBYTE}`],
  });
  const { answer, sentBytes } = await flood(head, Buffer.alloc(64 * 1024, ' '), 50 * MEBIBYTE);
  assertRefused(answer, 413);
  assert.ok(sentBytes < 20 * MEBIBYTE, `${sentBytes} bytes were taken`);
});

test('F11: chunks without end are refused at the cap', async () => {
  const head = requestText(site, {
    method: 'POST',
    path: '/api/v1/vms',
    lines: [cookie, `Origin: ${site.origin}`, json, 'Transfer-Encoding: chunked'],
  });
  const chunk = Buffer.from(`4000\r\n${' '.repeat(0x4000)}\r\n`);
  const { answer, sentBytes } = await flood(head, chunk, 50 * MEBIBYTE);
  assertRefused(answer, 413);
  assert.ok(sentBytes < 20 * MEBIBYTE, `${sentBytes} bytes were taken`);
});

test('F11: a stranger cannot make us read a body at all', async () => {
  const head = requestText(site, {
    method: 'POST',
    path: '/api/v1/vms',
    lines: [`Origin: ${site.origin}`, json, `Content-Length: ${MEBIBYTE}`],
  });
  const { answer } = await flood(head, Buffer.alloc(1024, ' '), 1024);
  assertRefused(answer, 401, 413);
});

const createVm = (body: string) =>
  send(
    site,
    requestText(site, {
      method: 'POST',
      path: '/api/v1/vms/plan',
      lines: [cookie, `Origin: ${site.origin}`, json],
      body,
    }),
  );

for (const [what, body] of [
  ['JSON 10,000 deep', `{"name":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
  ['objects 10,000 deep', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
  ['10,000 unknown keys', `{${Array.from({ length: 10_000 }, (_, n) => `"k${n}":1`).join(',')}}`],
  ['__proto__', '{"name":"a","__proto__":{"admin":true}}'],
  ['constructor.prototype', '{"name":"a","constructor":{"prototype":{"admin":true}}}'],
  ['a nested __proto__', '{"name":"a","disks":[{"__proto__":{"sizeBytes":1}}]}'],
  ['1e400 for a number', '{"name":"a","vcpus":1e400}'],
  ['a number as text', '{"name":"a","vcpus":"0x10"}'],
  ['NUL in a name', '{"name":"a\\u0000b"}'],
  ['a lone surrogate', '{"name":"a","title":"\\ud800"}'],
  ['a list for an object', '[]'],
  ['null for an object', 'null'],
  ['a string for an object', '"a"'],
] as const) {
  test(`F12: ${what} is refused and pollutes nothing`, async () => {
    assertRefused(await createVm(body), 422);
    const after = await send(site, requestText(site, { path: '/api/v1/auth/session', lines: [cookie] }));
    assert.equal('admin' in JSON.parse(after?.body ?? '{}'), false);
  });
}

test('F12: the schema of every body refuses a key that would reach a prototype', () => {
  for (const [key, { body }] of allRoutes()) {
    if (body === undefined) continue;
    for (const text of ['{"__proto__":{"admin":true}}', '{"constructor":{"prototype":{"admin":true}}}'])
      assert.equal(body.safeParse(JSON.parse(text)).success, false, key);
  }
});

test('F12: a million keys are too large', async () => {
  const body = Buffer.from(`{${Array.from({ length: 1_000_000 }, (_, n) => `"${n}":0`).join(',')}}`);
  const lines = [cookie, `Origin: ${site.origin}`, json, `Content-Length: ${body.length}`];
  const head = requestText(site, { method: 'POST', path: '/api/v1/vms/plan', lines });
  assertRefused((await flood(head, body.subarray(0, 64 * 1024), body.length)).answer, 413);
});

for (const body of ['{', '{"a":1}}', '', '{"a":1,}', "{'a':1}", 'NaN', '\ufeff{']) {
  test(`F12: ${JSON.stringify(body)} is not JSON and is refused`, async () => {
    assertRefused(await createVm(body), 400, 422);
  });
}

/** Paths that the router itself cannot read. */
const UNREADABLE = ['/api/v1/vms/%', '/api/v1/vms/%ff', `/api/v1/vms/${'a'.repeat(301)}`];

test('F9: a path that cannot be read is refused in our words and not repeated, also over the local sockets', async () => {
  for (const path of UNREADABLE) {
    const answer = await send(site, requestText(site, { path, lines: [cookie] }));
    // Beside the pages, a part that is too long is a path that nothing answers.
    assertRefused(answer, 400, 404);
    assert.match(answer?.headers['content-type'] ?? '', /^application\/problem\+json/, path);
    assert.ok(!answer?.body.includes(path), path);
    const local = await overSocket(join(daemon.runtimeDir, 'operator.sock'), { method: 'DELETE', path });
    assert.equal(local.status, 400, path);
    assert.equal(problemSchema.parse(JSON.parse(local.body.toString('utf8'))).code, 'bad_request', path);
  }
});

test('F16: every answer carries the headers that keep browsers in bounds', async () => {
  for (const path of ['/api/v1/system/status', '/', '/sign-in', '/nothing.txt', '/api/v1/nothing', ...UNREADABLE]) {
    const answer = await send(site, requestText(site, { path, lines: [cookie] }));
    assert.ok(answer, path);
    assert.match(answer.headers['content-security-policy'] ?? '', /default-src 'none'.*frame-ancestors 'none'/, path);
    assert.doesNotMatch(answer.headers['content-security-policy'] ?? '', /unsafe-inline|unsafe-eval/, path);
    assert.equal(answer.headers['x-content-type-options'], 'nosniff', path);
    assert.equal(answer.headers['x-frame-options'], 'DENY', path);
    assert.match(answer.headers['strict-transport-security'] ?? '', /max-age=\d{7,}/, path);
    assert.equal(answer.headers['access-control-allow-origin'], undefined, path);
    assert.equal(answer.headers['server'], undefined, path);
  }
});

test('F16: plain HTTP on the port gets no page, no redirect with a secret and no cookie', async () => {
  const text = await new Promise<string>((resolve) => {
    const socket = connect(site.port, '127.0.0.1', () => socket.write(requestText(site, { lines: [cookie] })));
    let got = '';
    socket.on('data', (data: Buffer) => {
      got += data.toString('latin1');
    });
    socket.on('error', () => resolve(got));
    socket.on('close', () => resolve(got));
  });
  assert.doesNotMatch(text, /200 OK|set-cookie/i);
});

test('F16: no preflight of another site is allowed anything', async () => {
  const answer = await send(
    site,
    requestText(site, {
      method: 'OPTIONS',
      path: '/api/v1/vms',
      lines: ['Origin: https://evil.example', 'Access-Control-Request-Method: POST'],
    }),
  );
  assert.equal(answer?.headers['access-control-allow-origin'], undefined);
  assert.notEqual(answer?.status, 200);
});

test('a method that no route has is not found, and TRACE echoes nothing', async () => {
  for (const method of ['TRACE', 'PUT', 'PROPFIND'])
    assert.notEqual(
      (
        await send(
          site,
          requestText(site, { method, path: '/api/v1/vms/plan', lines: [cookie, `Origin: ${site.origin}`] }),
        )
      )?.status,
      200,
      method,
    );
});

test('F4: an upgrade to an address that is none is refused as malformed, not failed at', async () => {
  for (const path of ['//', '/api/v1/vms/%zz/serial?ticket=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa']) {
    const { status, body } = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
      method: 'GET',
      path,
      headers: {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      },
    });
    assert.deepEqual([status, JSON.parse(body.toString()).code], [400, 'bad_request'], path);
  }
});
