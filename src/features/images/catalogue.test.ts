import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import {
  type CatalogueEntry,
  catalogue,
  findCatalogueEntry,
  knownUrl,
  nearestCatalogueId,
  searchCatalogue,
  verificationOf,
} from './catalogue.ts';
import { resolveCatalogueEntry, verifyCatalogueEntry } from './catalogue-online.ts';
import { CLEARSIGNED, DETACHED, OTHER_SIGNER, SIGNER, SIGNER_KEY, SUMS } from './openpgp-fixture.test-data.ts';

test('every entry is complete and consistent', () => {
  assert.ok(catalogue.length >= 30);
  assert.equal(new Set(catalogue.map((entry) => entry.id)).size, catalogue.length, 'ids are unique');
  assert.equal(new Set(catalogue.map(knownUrl)).size, catalogue.length, 'addresses are unique');
  for (const entry of catalogue) {
    assert.match(entry.id, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
    assert.match(entry.folderUrl, /^https:\/\/[^?#]+\/$/, entry.id);
    const urls = [knownUrl(entry), entry.checksum.url, entry.homepage, entry.signature?.url ?? null].filter(
      (url) => url !== null,
    );
    for (const url of urls) {
      assert.ok(URL.canParse(url) && url.startsWith('https://'), url);
      assert.doesNotMatch(url, /undefined|\/\/[^/]+\/.*\/\//, url);
    }
    if ('pattern' in entry.file) {
      assert.match(entry.file.example, entry.file.pattern);
      assert.ok(entry.file.pattern.source.startsWith('^') && entry.file.pattern.source.endsWith('$'), entry.id);
      assert.equal(entry.checksum.line, 'by_name');
    }
    if (entry.signature?.scheme === 'openpgp') {
      assert.match(entry.signature.fingerprint, /^[0-9A-F]{40}$/);
      assert.ok(entry.signature.keyUrl.startsWith('https://'));
      assert.equal(entry.signature.url === null, entry.signature.covers === 'image');
      if (entry.signature.form === 'clearsigned') assert.equal(entry.signature.url, entry.checksum.url);
    }
    assert.equal(entry.defaultUser === null, entry.kind === 'iso', entry.id);
    assert.ok(
      entry.suggested.memoryBytes >= 256 * MIB && entry.suggested.diskBytes % MIB === 0 && entry.suggested.vcpus >= 1,
    );
  }
});

test('nothing claims to have been checked that was not', () => {
  for (const entry of catalogue) assert.equal(entry.lastChecked, null, entry.id);
});

test('the systems that people look for are there', () => {
  for (const word of [
    'nixos',
    'debian',
    'ubuntu',
    'fedora',
    'alpine',
    'rocky',
    'almalinux',
    'centos',
    'arch',
    'opensuse',
    'freebsd',
    'openbsd',
    'netbsd',
    'void',
  ]) {
    assert.ok(searchCatalogue(word).length > 0, word);
  }
  assert.ok(searchCatalogue('debian 13 cloud aarch64').every((entry) => entry.arch === 'aarch64'));
  assert.equal(searchCatalogue('').length, catalogue.length);
  assert.equal(searchCatalogue('plan9').length, 0);
  assert.equal(findCatalogueEntry('debian-13-cloud')?.defaultUser, 'debian');
  assert.equal(findCatalogueEntry('debian-31-cloud'), null);
  assert.equal(nearestCatalogueId('debian-13-clod'), 'debian-13-cloud');
});

interface Site {
  readonly base: string;
  files: Record<string, string>;
}

async function site(t: TestContext, files: Record<string, string>): Promise<Site> {
  const shared = { files };
  const server = createServer((request, response) => {
    const content = shared.files[request.url ?? ''];
    if (content === undefined) response.writeHead(404).end();
    else
      response
        .writeHead(200, { 'content-length': Buffer.byteLength(content) })
        .end(request.method === 'HEAD' ? undefined : content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return Object.assign(shared, { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

const fetcher = createFetcher({ allowPrivateHosts: ['127.0.0.1'] });
const clock = new TestClock();

function entryAt(base: string, changes: Partial<CatalogueEntry> = {}): CatalogueEntry {
  const template = findCatalogueEntry('debian-13-cloud');
  assert.ok(template);
  return {
    ...template,
    id: 'test',
    folderUrl: `${base}/`,
    file: { pattern: /^image-\d\.\d\.iso$/, example: 'image-1.0.iso' },
    checksum: { kind: 'sha256', url: `${base}/SUMS`, line: 'by_name' },
    signature: null,
    ...changes,
  };
}

const openpgp = (base: string, fingerprint = SIGNER) =>
  ({
    scheme: 'openpgp',
    form: 'detached',
    covers: 'checksum',
    url: `${base}/SUMS.asc`,
    keyUrl: `${base}/key`,
    fingerprint,
  }) as const;

test('an entry is resolved to address and digest, with the level that was really reached', async (t) => {
  const { base } = await site(t, {
    '/SUMS': SUMS,
    '/SUMS.asc': DETACHED,
    '/CLEAR': CLEARSIGNED,
    '/key': SIGNER_KEY,
    '/image-1.2.iso': 'content',
  });
  const expected = {
    url: `${base}/image-1.2.iso`,
    fileName: 'image-1.2.iso',
    digest: { kind: 'sha256', value: 'a'.repeat(64) },
  };

  const plain = await resolveCatalogueEntry(entryAt(base), fetcher);
  assert.deepEqual({ ...plain, levelReason: null }, { ...expected, level: 'checksum', levelReason: null });
  assert.match(plain.levelReason ?? '', /no signature/);

  const signed = await resolveCatalogueEntry(entryAt(base, { signature: openpgp(base) }), fetcher);
  assert.deepEqual(signed, { ...expected, level: 'signature', levelReason: null });

  const clear = entryAt(base, {
    checksum: { kind: 'sha256', url: `${base}/CLEAR`, line: 'by_name' },
    signature: { ...openpgp(base), form: 'clearsigned', url: `${base}/CLEAR` },
  });
  assert.deepEqual(await resolveCatalogueEntry(clear, fetcher), { ...expected, level: 'signature', levelReason: null });
});

test('a missing key or signature lowers the level, a wrong one refuses the image', async (t) => {
  const there = await site(t, { '/SUMS': SUMS, '/SUMS.asc': DETACHED, '/key': SIGNER_KEY });
  const { base } = there;
  const entry = entryAt(base, { signature: openpgp(base) });
  there.files = { '/SUMS': SUMS, '/SUMS.asc': DETACHED };
  assert.deepEqual(
    [
      (await resolveCatalogueEntry(entry, fetcher)).level,
      (await resolveCatalogueEntry(entry, fetcher)).levelReason?.includes('404'),
    ],
    ['checksum', true],
  );
  there.files = { '/SUMS': SUMS.replace('aaaa', 'bbbb'), '/SUMS.asc': DETACHED, '/key': SIGNER_KEY };
  await assert.rejects(resolveCatalogueEntry(entry, fetcher), (error: AppError) => error.code === 'signature_invalid');
  there.files = { '/SUMS': SUMS, '/SUMS.asc': DETACHED, '/key': SIGNER_KEY };
  await assert.rejects(
    resolveCatalogueEntry(entryAt(base, { signature: openpgp(base, OTHER_SIGNER) }), fetcher),
    (error: AppError) => error.code === 'signature_invalid',
  );
});

test('an online check reports what it found instead of failing', async (t) => {
  const there = await site(t, {});
  const { base } = there;
  const check = async (files: Record<string, string>, changes: Partial<CatalogueEntry> = {}) => {
    there.files = files;
    return await verifyCatalogueEntry(entryAt(base, changes), fetcher, clock);
  };
  const ok = await check({ '/SUMS': SUMS, '/image-1.2.iso': 'content' });
  assert.deepEqual(
    [ok.status, ok.sizeBytes, ok.level, ok.url, ok.checkedAt],
    ['ok', 7, 'checksum', `${base}/image-1.2.iso`, '2026-01-01T00:00:00.000Z'],
  );
  assert.equal((await check({ '/SUMS': SUMS })).status, 'image_missing');
  assert.equal((await check({})).status, 'checksum_missing');
  assert.equal((await check({ '/SUMS': 'nothing of use' })).status, 'checksum_missing');
  const forged = { '/SUMS': SUMS.replace('aaaa', 'bbbb'), '/SUMS.asc': DETACHED, '/key': SIGNER_KEY };
  assert.equal((await check(forged, { signature: openpgp(base) })).status, 'signature_invalid');

  const closed = entryAt('http://127.0.0.1:1');
  assert.equal((await verifyCatalogueEntry(closed, fetcher, clock)).status, 'unreachable');
  assert.equal(
    (await verifyCatalogueEntry(entryAt(base), createFetcher({ allowPrivateHosts: [] }), clock)).status,
    'refused',
  );
  const aborted = AbortSignal.abort(new AppError('cancelled'));
  await assert.rejects(
    verifyCatalogueEntry(entryAt(base), fetcher, clock, aborted),
    (error: AppError) => error.code === 'cancelled',
  );
});

test('a signature that is not verified here is never counted as one', () => {
  assert.equal(verificationOf(entryAt('https://x')), 'checksum');
  assert.equal(verificationOf(entryAt('https://x', { signature: openpgp('https://x') })), 'signature');
  for (const id of ['openbsd-7-9', 'void-base', 'arch-installer', 'nixos-26-05-minimal']) {
    const entry = findCatalogueEntry(id);
    assert.ok(entry && verificationOf(entry) === 'checksum', id);
  }
});
