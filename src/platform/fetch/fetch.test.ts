import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { AppError } from '#kernel/errors.ts';
import { createFetcher, type DownloadFacts, type DownloadSink, type FetcherOptions } from './index.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

async function listen(t: TestContext, server: TcpServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

async function serve(
  t: TestContext,
  answer: Answer,
): Promise<{ base: string; port: number; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  const port = await listen(t, server);
  return { base: `http://127.0.0.1:${port}`, port, requests };
}

/** A raw TCP server that says what a well-behaved one never would. */
async function serveRaw(t: TestContext, answer: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  });
  return `http://127.0.0.1:${await listen(t, server)}`;
}

function memorySink(initial = Buffer.alloc(0)): DownloadSink & { bytes(): Buffer; facts: DownloadFacts | null } {
  let held = initial;
  return {
    facts: null,
    begin(facts) {
      this.facts = facts;
      held = held.subarray(0, facts.offset);
    },
    write(chunk) {
      held = Buffer.concat([held, chunk]);
    },
    bytes: () => held,
  };
}

const fetcherFor = (options: Partial<FetcherOptions> = {}) =>
  createFetcher({ allowPrivateHosts: ['127.0.0.1'], ...options });

const refusedAs = (code: string, pattern?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  if (pattern) assert.match(`${error.message} ${error.hint}`, pattern);
  return true;
};

test('a download arrives whole, with progress, size and validator', async (t) => {
  const content = Buffer.alloc(300_000, 'image');
  const { base } = await serve(t, (_request, response) =>
    response.writeHead(200, { etag: '"v1"', 'content-length': content.length }).end(content),
  );
  const sink = memorySink();
  const seen: number[] = [];
  const result = await fetcherFor().download({
    url: `${base}/a.iso?token=secret#part`,
    maxBytes: 1e6,
    sink,
    onProgress: (received) => seen.push(received),
  });
  assert.ok(sink.bytes().equals(content));
  assert.equal(seen.at(-1), content.length);
  assert.deepEqual(
    { ...result },
    {
      offset: 0,
      totalBytes: 300_000,
      validator: '"v1"',
      contentType: null,
      finalUrl: `${base}/a.iso?…`,
      sizeBytes: 300_000,
      resumed: false,
    },
  );
});

test('C1: a loopback or private address is refused before any byte is sent, and the message says how to allow it', async (t) => {
  const { base, requests, port } = await serve(t, (_request, response) => response.end('secret'));
  const fetcher = createFetcher({ allowPrivateHosts: [] });
  const mend = new RegExp(`adds "127.0.0.1:${port}" to .images.allowPrivateHosts`);
  await assert.rejects(fetcher.fetchText({ url: base, maxBytes: 100 }), refusedAs('address_refused', mend));
  for (const host of [
    '127.1',
    '0.0.0.0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    'localhost',
    '169.254.169.254',
    '10.0.0.1',
    '192.168.1.1',
    '[fe80::1]',
    '[64:ff9b::7f00:1]',
  ]) {
    await assert.rejects(
      fetcher.fetchText({ url: `http://${host}:${port}/`, maxBytes: 100 }),
      refusedAs('address_refused'),
      host,
    );
  }
  assert.equal(requests.length, 0);
});

test('a name that resolves to a private address is refused unless the name is in the configuration', async (t) => {
  const { port, requests } = await serve(t, (_request, response) => response.end('hello'));
  const resolve = async () => ['127.0.0.1'];
  const url = `http://mirror.example:${port}/`;
  await assert.rejects(
    createFetcher({ allowPrivateHosts: [], resolve }).fetchText({ url, maxBytes: 100 }),
    refusedAs('address_refused'),
  );
  assert.equal(requests.length, 0);
  assert.equal(
    await createFetcher({ allowPrivateHosts: [`mirror.example:${port}`], resolve }).fetchText({ url, maxBytes: 100 }),
    'hello',
  );
  assert.equal(requests[0]?.headers.host, `mirror.example:${port}`);
});

test('C2: a DNS answer that changes between check and connection has no effect: each hop looks the name up once', async (t) => {
  const { port, requests } = await serve(t, (_request, response) => response.end('secret'));
  let lookups = 0;
  const resolve = async () => {
    lookups += 1;
    // 2d00::1 counts as public and belongs to nobody, so the transfer fails there.
    return lookups === 1 ? ['2d00::1'] : ['127.0.0.1'];
  };
  const fetcher = createFetcher({ allowPrivateHosts: [], resolve, limits: { headersMs: 500 } });
  await assert.rejects(fetcher.fetchText({ url: `http://rebind.example:${port}/`, maxBytes: 100 }), AppError);
  assert.equal(lookups, 1);
  await assert.rejects(
    fetcher.fetchText({ url: `http://rebind.example:${port}/`, maxBytes: 100 }),
    refusedAs('address_refused'),
  );
  assert.equal(requests.length, 0);
});

test('of mixed DNS answers only the permitted ones are tried', async (t) => {
  const { port, requests } = await serve(t, (_request, response) => response.end('secret'));
  const fetcher = createFetcher({
    allowPrivateHosts: [],
    resolve: async () => ['127.0.0.1', '2d00::1'],
    limits: { headersMs: 500 },
  });
  await assert.rejects(fetcher.fetchText({ url: `http://mixed.example:${port}/`, maxBytes: 100 }), AppError);
  assert.equal(requests.length, 0);
});

test('C2: three redirects are followed, the fourth is not', async (t) => {
  const { base, requests } = await serve(t, (request, response) => {
    const left = Number(request.url?.slice(1));
    if (left === 0) response.end('there');
    else response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  assert.equal(await fetcherFor().fetchText({ url: `${base}/3`, maxBytes: 100 }), 'there');
  requests.length = 0;
  await assert.rejects(
    fetcherFor().fetchText({ url: `${base}/50`, maxBytes: 100 }),
    refusedAs('redirect_refused', /more than 3/),
  );
  assert.equal(requests.length, 4);
});

test('C2: each redirect is checked like the first address', async (t) => {
  const inner = await serve(t, (_request, response) => response.end('secret'));
  const cases: [string, string][] = [
    [`http://127.0.0.2:${inner.port}/`, 'address_refused'],
    [`http://localhost:${inner.port}/`, 'address_refused'],
    ['http://169.254.169.254/latest/meta-data/', 'address_refused'],
    ['file:///etc/shadow', 'url_refused'],
    ['gopher://127.0.0.1/', 'url_refused'],
    [`http://user:pass@127.0.0.1:${inner.port}/`, 'url_refused'],
    ['http://[', 'url_refused'],
  ];
  const outer = await serve(t, (request, response) =>
    response.writeHead(307, { location: cases[Number(request.url?.slice(1))]?.[0] }).end(),
  );
  for (const [index, [location, code]] of cases.entries()) {
    const fetcher = createFetcher({ allowPrivateHosts: [`127.0.0.1:${outer.port}`] });
    await assert.rejects(
      fetcher.fetchText({ url: `${outer.base}/${index}`, maxBytes: 100 }),
      refusedAs(code),
      location,
    );
  }
  assert.equal(inner.requests.length, 0);
});

/** A self-signed certificate for one host name, as OpenSSL makes it. */
function certificate(t: TestContext, name: string): { key: string; cert: string } {
  const folder = mkdtempSync(join(tmpdir(), 'hv-fetch-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const request = ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days', '2'];
  execFileSync(
    'openssl',
    [...request, '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', cert],
    { stdio: 'ignore' },
  );
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

test('https is verified against the name, and is never left for plain http', async (t) => {
  const { key, cert } = certificate(t, 'mirror.example');
  const plain = await serve(t, (_request, response) => response.end('clear text'));
  const server = createTlsServer({ key, cert }, (request, response) => {
    if (request.url === '/down') response.writeHead(302, { location: plain.base }).end();
    else response.end('safe');
  });
  const port = await listen(t, server);
  const options = {
    allowPrivateHosts: ['mirror.example', 'other.example', '127.0.0.1'],
    resolve: async () => ['127.0.0.1'],
  };
  assert.equal(
    await createFetcher({ ...options, ca: cert }).fetchText({ url: `https://mirror.example:${port}/`, maxBytes: 100 }),
    'safe',
  );
  await assert.rejects(
    createFetcher({ ...options, ca: cert }).fetchText({ url: `https://other.example:${port}/`, maxBytes: 100 }),
    refusedAs('download_failed', /another name/),
  );
  await assert.rejects(
    createFetcher(options).fetchText({ url: `https://mirror.example:${port}/`, maxBytes: 100 }),
    refusedAs('download_failed', /not signed by an authority/),
  );
  await assert.rejects(
    createFetcher({ ...options, ca: cert }).fetchText({ url: `https://mirror.example:${port}/down`, maxBytes: 100 }),
    refusedAs('redirect_refused', /plain http/),
  );
  assert.equal(plain.requests.length, 0);
});

test('C4: an endless body ends at the cap, and an announced size above it before the first byte', async (t) => {
  const { base } = await serve(t, (request, response) => {
    if (request.url === '/announced') {
      response.writeHead(200, { 'content-length': 10 ** 13 }).write('x');
      return;
    }
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    };
    response.on('drain', more);
    more();
  });
  const sink = memorySink();
  await assert.rejects(
    fetcherFor().download({ url: base, maxBytes: 1_000_000, sink }),
    refusedAs('download_too_large'),
  );
  assert.ok(sink.bytes().length <= 1_000_000);
  const untouched = memorySink();
  await assert.rejects(
    fetcherFor().download({ url: `${base}/announced`, maxBytes: 1_000_000, sink: untouched }),
    refusedAs('download_too_large'),
  );
  assert.equal(untouched.facts, null);
});

test('C4: silence, a trickle and a server that never answers all end with the reason', async (t) => {
  const { base } = await serve(t, (request, response) => {
    if (request.url === '/never') return;
    response.writeHead(200);
    response.write('x');
    if (request.url !== '/trickle') return;
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  });
  const fetcher = fetcherFor({ limits: { headersMs: 150, idleMs: 150, rateWindowMs: 300, minBytesPerSecond: 1024 } });
  const run = (path: string) => fetcher.download({ url: base + path, maxBytes: 1e6, sink: memorySink() });
  await assert.rejects(run('/silent'), refusedAs('download_stalled', /sent nothing/));
  await assert.rejects(run('/trickle'), refusedAs('download_stalled', /less than 1 KiB per second/));
  await assert.rejects(run('/never'), refusedAs('download_stalled', /no answer/));
});

test('a name look-up that never ends, or fails, ends the transfer with the reason', async () => {
  const url = 'http://mirror.example/';
  const hanging = createFetcher({
    allowPrivateHosts: [],
    resolve: () => new Promise(() => undefined),
    limits: { headersMs: 100 },
  });
  await assert.rejects(hanging.fetchText({ url, maxBytes: 100 }), refusedAs('download_stalled', /no answer/));
  const reason = new AppError('cancelled');
  const signal = AbortSignal.abort(reason);
  await assert.rejects(hanging.fetchText({ url, maxBytes: 100, signal }), (error) => error === reason);
  const unknown = createFetcher({
    allowPrivateHosts: [],
    resolve: () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
  });
  await assert.rejects(unknown.fetchText({ url, maxBytes: 100 }), refusedAs('download_failed', /cannot be looked up/));
});

test('time that the sink takes is not held against the server', async (t) => {
  const { base } = await serve(t, (_request, response) => {
    response.write('a');
    setTimeout(() => response.end('b'), 20);
  });
  const fetcher = fetcherFor({ limits: { idleMs: 200, rateWindowMs: 200 } });
  const sink = memorySink();
  const slow: DownloadSink = {
    begin: (facts) => sink.begin(facts),
    write: async (chunk) => {
      await new Promise((done) => setTimeout(done, 300));
      await sink.write(chunk);
    },
  };
  await fetcher.download({ url: base, maxBytes: 100, sink: slow });
  assert.equal(sink.bytes().toString(), 'ab');
});

test('C4: headers of a megabyte, headers without end and no HTTP at all are refused', async (t) => {
  const big = await serveRaw(t, (socket) => socket.write(`HTTP/1.1 200 OK\r\nx-big: ${'a'.repeat(1_000_000)}\r\n\r\n`));
  const endless = await serveRaw(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = () => {
      while (!socket.destroyed && socket.write(`x-more: ${'b'.repeat(1000)}\r\n`));
    };
    socket.on('drain', more);
    more();
  });
  const garbage = await serveRaw(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  await assert.rejects(
    fetcherFor().fetchText({ url: big, maxBytes: 100 }),
    refusedAs('download_failed', /headers are larger/),
  );
  await assert.rejects(
    fetcherFor().fetchText({ url: endless, maxBytes: 100 }),
    refusedAs('download_failed', /headers are larger/),
  );
  await assert.rejects(
    fetcherFor().fetchText({ url: garbage, maxBytes: 100 }),
    refusedAs('download_failed', /not valid HTTP/),
  );
});

test('C4: compressed answers are refused, not unpacked', async (t) => {
  const bomb = gzipSync(Buffer.alloc(10_000_000));
  const { base, requests } = await serve(t, (_request, response) =>
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
  );
  await assert.rejects(
    fetcherFor().fetchText({ url: base, maxBytes: 1e6 }),
    refusedAs('download_failed', /compressed \(gzip\)/),
  );
  assert.equal(requests[0]?.headers['accept-encoding'], 'identity');
});

test('a body that breaks off is an error, not a short file', async (t) => {
  const announced = await serveRaw(t, (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort'));
  const chunked = await serveRaw(t, (socket) =>
    socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n'),
  );
  for (const url of [announced, chunked])
    await assert.rejects(fetcherFor().fetchText({ url, maxBytes: 1000 }), refusedAs('download_failed'));
});

test('an answer other than 200 says what it was', async (t) => {
  const { base } = await serve(t, (_request, response) => response.writeHead(404).end('nope'));
  await assert.rejects(
    fetcherFor().fetchText({ url: `${base}/gone.iso`, maxBytes: 1000 }),
    refusedAs('download_failed', /404 .*not there/),
  );
});

/** A file server with ranges, whose content and ETag can change between requests. */
function rangeServer(file: { content: Buffer; etag: string }): Answer {
  return (request, response) => {
    const range = /^bytes=(\d+)-/.exec(request.headers.range ?? '');
    const matches = request.headers['if-range'] === undefined || request.headers['if-range'] === file.etag;
    const first = Number(range?.[1] ?? 0);
    if (!range || !matches)
      response.writeHead(200, { etag: file.etag, 'content-length': file.content.length }).end(file.content);
    else if (first >= file.content.length)
      response.writeHead(416, { 'content-range': `bytes */${file.content.length}` }).end();
    else {
      const part = file.content.subarray(first);
      response
        .writeHead(206, {
          etag: file.etag,
          'content-length': part.length,
          'content-range': `bytes ${first}-${file.content.length - 1}/${file.content.length}`,
        })
        .end(part);
    }
  };
}

test('a download goes on where it stopped', async (t) => {
  const content = Buffer.from('0123456789');
  const { base, requests } = await serve(t, rangeServer({ content, etag: '"v1"' }));
  const sink = memorySink(content.subarray(0, 4));
  const result = await fetcherFor().download({
    url: base,
    maxBytes: 10,
    sink,
    resume: { offset: 4, validator: '"v1"' },
  });
  assert.equal(sink.bytes().toString(), '0123456789');
  assert.equal(requests[0]?.headers.range, 'bytes=4-');
  assert.deepEqual([result.resumed, result.sizeBytes, result.totalBytes], [true, 10, 10]);
});

test('a file that changed meanwhile begins anew, and a complete one is left as it is', async (t) => {
  const { base } = await serve(t, rangeServer({ content: Buffer.from('new content'), etag: '"v2"' }));
  const stale = memorySink(Buffer.from('old '));
  const changed = await fetcherFor().download({
    url: base,
    maxBytes: 100,
    sink: stale,
    resume: { offset: 4, validator: '"v1"' },
  });
  assert.equal(stale.bytes().toString(), 'new content');
  assert.equal(changed.resumed, false);
  const whole = memorySink(Buffer.from('new content'));
  const done = await fetcherFor().download({
    url: base,
    maxBytes: 100,
    sink: whole,
    resume: { offset: 11, validator: '"v2"' },
  });
  assert.equal(whole.bytes().toString(), 'new content');
  assert.deepEqual([done.sizeBytes, done.resumed], [11, true]);
});

test('a server that answers a range with other bytes, or another version, is asked for the whole', async (t) => {
  const { base } = await serve(t, (request, response) => {
    if (request.headers.range === undefined) response.writeHead(200, { etag: '"v1"' }).end('0123456789');
    else if (request.url === '/offset')
      response.writeHead(206, { etag: '"v1"', 'content-range': 'bytes 0-9/10' }).end('0123456789');
    else response.writeHead(206, { etag: '"v9"', 'content-range': 'bytes 4-9/10' }).end('XXXXXX');
  });
  for (const path of ['/offset', '/version']) {
    const sink = memorySink(Buffer.from('0123'));
    await fetcherFor().download({ url: base + path, maxBytes: 100, sink, resume: { offset: 4, validator: '"v1"' } });
    assert.equal(sink.bytes().toString(), '0123456789', path);
  }
});

test("an aborted download ends with the caller's reason, and an error of the sink comes out unchanged", async (t) => {
  const { base } = await serve(t, (_request, response) => void response.write('x'));
  const controller = new AbortController();
  const reason = new AppError('cancelled');
  const pending = fetcherFor().download({
    url: base,
    maxBytes: 100,
    sink: memorySink(),
    onProgress: () => controller.abort(reason),
    signal: controller.signal,
  });
  await assert.rejects(pending, (error) => error === reason);
  const full = new Error('disk full');
  const sink: DownloadSink = {
    begin: () => undefined,
    write: () => {
      throw full;
    },
  };
  await assert.rejects(fetcherFor().download({ url: base, maxBytes: 100, sink }), (error) => error === full);
});

test("the environment's proxy is not used", async (t) => {
  const proxy = await serve(t, (_request, response) => response.end('proxied'));
  const { base } = await serve(t, (_request, response) => response.end('direct'));
  process.env['http_proxy'] = proxy.base;
  t.after(() => delete process.env['http_proxy']);
  assert.equal(await fetcherFor().fetchText({ url: base, maxBytes: 100 }), 'direct');
  assert.equal(proxy.requests.length, 0);
});

test('a probe tells the size without the body, also where HEAD is not served', async (t) => {
  const { base } = await serve(t, (request, response) => {
    if (request.url === '/no-head' && request.method === 'HEAD') response.writeHead(405).end();
    else if (request.headers.range !== undefined)
      response.writeHead(206, { 'content-range': 'bytes 0-0/700', 'content-length': 1 }).end('x');
    else
      response.writeHead(200, { 'content-length': 700 }).end(request.method === 'HEAD' ? undefined : 'x'.repeat(700));
  });
  assert.equal((await fetcherFor().probe({ url: base })).sizeBytes, 700);
  assert.equal((await fetcherFor().probe({ url: `${base}/no-head` })).sizeBytes, 700);
});

test('a call sends its body once, takes any status as an answer, follows no redirect and stays within its limit', async (t) => {
  const seen: string[] = [];
  const { base, requests } = await serve(t, (request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString();
    });
    request.on('end', () => {
      seen.push(`${request.method} ${body}`);
      if (request.url === '/moved') response.writeHead(307, { location: '/elsewhere' }).end();
      else if (request.url === '/large') response.end('x'.repeat(2000));
      else response.writeHead(403, { 'replay-nonce': 'n1' }).end('{"type":"no"}');
    });
  });
  const fetcher = createFetcher({ allowPrivateHosts: [new URL(base).host] });
  const refused = await fetcher.call({ url: `${base}/x`, method: 'POST', body: '{"a":1}', maxBytes: 1000 });
  assert.equal(refused.status, 403);
  assert.equal(refused.header('replay-nonce'), 'n1');
  assert.equal(refused.body.toString(), '{"type":"no"}');
  assert.equal((await fetcher.call({ url: `${base}/moved`, method: 'POST', body: 'b', maxBytes: 1000 })).status, 307);
  assert.deepEqual(seen, ['POST {"a":1}', 'POST b']);
  assert.equal(requests.length, 2);
  await assert.rejects(fetcher.call({ url: `${base}/large`, method: 'GET', maxBytes: 1000 }), /larger|more than/);
  await assert.rejects(
    createFetcher({ allowPrivateHosts: [] }).call({ url: base, method: 'POST', body: '', maxBytes: 10 }),
    (error) => error instanceof AppError && error.code === 'address_refused',
  );
});
