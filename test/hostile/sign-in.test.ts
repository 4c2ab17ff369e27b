/** One-time links over the wire (row D6): one session whatever is tried, and nothing but a POST of our own page spends a link. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mapLimit } from '#kernel/async.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { linkToken } from '#test/support/link-token.ts';
import { requestText, type Site, send, siteOf, spendLink } from '#test/support/wire.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';

// Each test has a daemon of its own: tries of one address are counted per minute.
async function withDaemon(work: (site: Site, daemon: TestDaemon) => Promise<void>): Promise<void> {
  const daemon = await startDaemon({ waitFor: 'doors' });
  try {
    await work(await siteOf(daemon), daemon);
  } finally {
    await daemon.close();
  }
}

const sessionCount = async (daemon: TestDaemon) => (await daemon.admin('GET /auth/sessions')).items.length;

test('D6: no GET, HEAD or OPTIONS spends a link, wherever a preview bot puts the token', () =>
  withDaemon(async (site, daemon) => {
    const token = await linkToken(daemon);
    const paths = [
      `/sign-in`,
      `/sign-in?token=${token}`,
      `/sign-in/${token}`,
      `/api/v1/auth/link?token=${token}`,
      '/api/v1/auth/link',
    ];
    for (const path of paths) {
      for (const method of ['GET', 'OPTIONS']) {
        const answer = await send(site, requestText(site, { method, path }));
        assert.equal(answer?.headers['set-cookie'], undefined, `${method} ${path}`);
      }
    }
    assert.equal(await sessionCount(daemon), 0);
    assert.equal((await spendLink(site, token))?.status, 200);
  }));

test('D6: a link works once, its cookie is closed to scripts, other sites and plain HTTP', () =>
  withDaemon(async (site, daemon) => {
    const token = await linkToken(daemon);
    const first = await spendLink(site, token);
    assert.equal(first?.status, 200);
    const cookie = first.headers['set-cookie'] ?? '';
    assert.match(cookie, /^__Host-/);
    for (const word of ['Secure', 'HttpOnly', 'SameSite=Strict', 'Path=/'])
      assert.match(cookie, new RegExp(`; ${word}(;|$)`));
    assert.doesNotMatch(cookie, /Domain=/i);
    const second = await spendLink(site, token);
    assert.equal(second?.status, 401);
    assert.equal(second.headers['set-cookie'], undefined);
    assert.equal(await sessionCount(daemon), 1);
  }));

test('D6: of many tries at once exactly one signs in', () =>
  withDaemon(async (site, daemon) => {
    const token = await linkToken(daemon);
    const tries = Array.from({ length: isFull ? 1000 : 100 }, (_, index) => index);
    const answers = await mapLimit(tries, 50, () => spendLink(site, token));
    const statuses = answers.map((answer) => answer?.status ?? 0);
    assert.equal(statuses.filter((status) => status === 200).length, 1);
    for (const status of statuses) assert.ok([200, 401, 429].includes(status), String(status));
    assert.equal(await sessionCount(daemon), 1);
  }));

test('D6: an invented, cut, longer or oddly typed token signs nobody in, and an unknown field is named', () =>
  withDaemon(async (site, daemon) => {
    const token = await linkToken(daemon);
    const tries: [unknown, number][] = [
      [{ token: token.slice(0, -1) }, 401],
      [{ token: `${token}A` }, 401],
      [{ token: token.toUpperCase() }, 401],
      [{ token: `${token.slice(0, -1)}\u0000` }, 401],
      [{ token: 'a'.repeat(101) }, 422],
      [{ token: '' }, 422],
      [{ token: [token] }, 422],
      [{ token: { $ne: '' } }, 422],
      [{ token: true }, 422],
      [{}, 422],
      [{ token, role: 'admin' }, 422],
      [{ token, second_factor: true, user_id: 0 }, 422],
    ];
    const lines = [`Origin: ${site.origin}`, 'Content-Type: application/json'];
    for (const [body, status] of tries) {
      const text = JSON.stringify(body);
      const answer = await send(
        site,
        requestText(site, { method: 'POST', path: '/api/v1/auth/link', lines, body: text }),
      );
      assert.equal(answer?.status, status, `${text}: ${answer?.body}`);
      assert.equal(answer?.headers['set-cookie'], undefined);
    }
    assert.equal(await sessionCount(daemon), 0);
    assert.equal((await spendLink(site, token))?.status, 200);
  }));

test('D6: a page of another site cannot spend a link for its visitor', () =>
  withDaemon(async (site, daemon) => {
    const token = await linkToken(daemon);
    for (const origin of ['Origin: https://evil.example', 'Origin: null', 'X-No-Origin: 1']) {
      const answer = await send(
        site,
        requestText(site, {
          method: 'POST',
          path: '/api/v1/auth/link',
          lines: [origin, 'Content-Type: application/json'],
          body: JSON.stringify({ token }),
        }),
      );
      assert.equal(answer?.status, 403, origin);
    }
    assert.equal(await sessionCount(daemon), 0);
  }));

test('guesses of one address are slowed, and another door stays open', () =>
  withDaemon(async (site, daemon) => {
    const token = await linkToken(daemon);
    let isSlowed = false;
    for (let attempt = 0; attempt < 200 && !isSlowed; attempt += 1)
      isSlowed = (await spendLink(site, `guess-${attempt}-${'x'.repeat(30)}`))?.status === 429;
    assert.ok(isSlowed);
    const { items } = await daemon.admin('GET /audit', { query: { action: 'POST /auth/link' } });
    assert.equal(items.length, 20, 'ten guesses with intent and refusal; the others are counted');
    assert.equal((await daemon.admin('GET /system/status')).pid > 0, true);
    // The link itself is not spent by others' guesses.
    assert.equal((await spendLink(site, token))?.status, 429);
    assert.equal(await sessionCount(daemon), 0);
  }));
