import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, test } from 'node:test';
import { createRedirect, secureOriginOf } from './redirect.ts';

const allowed = new Set(['box.lan:8080', 'box.lan', '[::1]:8080']);
const redirect = createRedirect((host) => secureOriginOf(host, 8080, allowed, 'https://box.lan:8080'));
let port = 0;

before(async () => {
  port = await redirect.listen({ host: '127.0.0.1', port: 0 });
});
after(() => redirect.close());

function ask(
  path: string,
  host = 'box.lan',
  method = 'GET',
): Promise<{ status: number; location: string; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ port, host: '127.0.0.1', path, method, headers: { host } }, (response) => {
      let body = '';
      response.on('data', (part: Buffer) => {
        body += part.toString();
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, location: response.headers.location ?? '', body }),
      );
    });
    call.on('error', reject).end();
  });
}

test('browsers are sent on to the same path under HTTPS, and never to a host that is not ours', async () => {
  assert.deepEqual(await ask('/vms?x=1'), { status: 308, location: 'https://box.lan:8080/vms?x=1', body: '' });
  assert.equal((await ask('/', '[::1]:80')).location, 'https://[::1]:8080/');
  assert.equal((await ask('/a', 'evil.example')).location, 'https://box.lan:8080/a');
  assert.equal((await ask('//evil.example/')).location, 'https://box.lan:8080//evil.example/');
  assert.equal((await ask('/@evil.example')).location, 'https://box.lan:8080/@evil.example');
  assert.equal((await ask('http://evil.example/')).status, 400);
});

test('a port that is taken is named with its mend', async () => {
  const second = createRedirect(() => '');
  await assert.rejects(
    second.listen({ host: '127.0.0.1', port }),
    /tls\.redirectListen: port \d+ .*EADDRINUSE.*Mend: /,
  );
});

test('nothing but reading is answered', async () => {
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
    assert.equal((await ask('/', 'box.lan', method)).status, 405);
});

test('a proof is shown under its token as long as it is wanted, and nowhere else', async () => {
  const path = '/.well-known/acme-challenge/token_token_token';
  assert.equal((await ask(path)).status, 308);
  redirect.showProof('token_token_token', 'token.print');
  assert.deepEqual(await ask(path), { status: 200, location: '', body: 'token.print' });
  assert.equal((await ask(`${path}/../x`)).status, 308);
  assert.equal((await ask('/.well-known/acme-challenge/__proto__')).status, 308);
  redirect.showProof('token_token_token', null);
  assert.equal((await ask(path)).status, 308);
});
