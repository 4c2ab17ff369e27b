/** Hostile inputs to the image library, rows B1 to B15, through every way in: upload, import, download. After each, the oracle looks
 *  that nothing of it is left: no image, no row, no file, and nothing outside our folders touched. */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '#contract/client.ts';
import type { Operation } from '#contract/operations.ts';
import { runChecked } from '#platform/process.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
let daemon: TestDaemon;
let sentinel: string;
const MAX_IMAGE_BYTES = 64 * 2 ** 20;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-bad-images-'));
  sentinel = join(folder, 'secret');
  await writeFile(sentinel, 'canary-4711\n');
  daemon = await startDaemon({ waitFor: 'doors', config: { images: { maxBytes: MAX_IMAGE_BYTES } } });
  const isStarting = async () =>
    /starting/.test(
      (await overSocket(join(daemon.runtimeDir, 'admin.sock'), { method: 'GET', path: '/readyz' })).body.toString(),
    );
  while (await isStarting()) await sleep(20);
});
after(async () => {
  await daemon?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** The common oracle: nothing is left, the same daemon answers, no secret and no path went out. */
afterEach(async () => {
  const names = async (part: string) => readdir(join(daemon.stateDir, part));
  assert.deepEqual(await names('images'), [], 'no file is left among the images');
  for (const aside of await names('quarantine')) assert.deepEqual(await names(join('quarantine', aside)), []);
  assert.equal((await daemon.admin('GET /images')).total, 0);
  assert.equal((await daemon.admin('GET /images/uploads')).total, 0);
  assert.equal(await readFile(sentinel, 'utf8'), 'canary-4711\n');
  assert.doesNotMatch(daemon.output(), /canary-4711/);
});

interface Refusal {
  readonly code: string;
  readonly reason?: string;
}

function assertSafe(error: Operation['error']): void {
  const text = JSON.stringify(error);
  assert.doesNotMatch(text, /canary|\bat \w+ \(|node:internal|SELECT |INSERT /);
  assert.ok(!text.includes(daemon.stateDir) && !text.includes(folder), `a host path went out: ${text}`);
}

async function failing(operation: Operation, code: string): Promise<void> {
  const ended = await daemon.finish(operation, 'failed');
  assert.equal(ended.error?.code, code, JSON.stringify(ended.error));
  assertSafe(ended.error);
}

/** Sends bytes as one upload and returns the operation that looks at them. */
async function uploaded(name: string, bytes: Uint8Array, digest?: string): Promise<Operation> {
  const upload = await daemon.admin('POST /images/uploads', {
    body: { name, sizeBytes: bytes.length, ...(digest === undefined ? {} : { sha256: digest }) },
  });
  const answer = await patch(upload.id, { 'upload-offset': '0', 'content-length': String(bytes.length) }, bytes);
  assert.equal(answer.status, 200, answer.body.toString());
  const { operationId } = JSON.parse(answer.body.toString());
  return daemon.admin('GET /operations/{id}', { params: { id: operationId } });
}

const patch = (id: string, headers: Readonly<Record<string, string>>, body: Uint8Array) =>
  overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'PATCH',
    path: `/api/v1/images/uploads/${id}`,
    headers: { 'content-type': 'application/offset+octet-stream', ...headers },
    body,
  });

/** The same file by upload and by import must be refused with the same code. */
async function refusedEverywhere(path: string, { code }: Refusal): Promise<void> {
  await failing(await uploaded('bad', await readFile(path)), code);
  await failing(await daemon.admin('POST /images/import', { body: { path, name: 'bad' } }), code);
}

const qemuImg = (...args: readonly string[]) => runChecked(['qemu-img', ...args], { timeoutMs: 20_000 });

test('B1, B2: an image that refers to another file, by name or by json:, is refused and nothing of the other is read', async () => {
  const refused = { code: 'image_refused' };
  for (const [name, backing] of [
    ['plain', sentinel],
    ['relative', 'secret'],
    ['json', `json:{"driver":"raw","file":{"driver":"file","filename":"${sentinel}"}}`],
    ['nbd', 'nbd://127.0.0.1:1/x'],
    ['http', 'http://127.0.0.1:1/x'],
  ] as const) {
    const path = join(folder, `backing-${name}.qcow2`);
    await qemuImg('create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', backing, path, '1M');
    await refusedEverywhere(path, refused);
  }
});

test('B3: an image with an external data file is refused', async () => {
  const path = join(folder, 'external.qcow2');
  await qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${join(folder, 'external.data')}`, path, '1M');
  await refusedEverywhere(path, { code: 'image_refused' });
});

test('B4: a VMDK descriptor with a flat extent is refused', async () => {
  const path = join(folder, 'flat.vmdk');
  await writeFile(
    path,
    `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "${sentinel}" 0\n`,
  );
  await refusedEverywhere(path, { code: 'image_refused' });
});

test('B5: a disk that begins like a qcow2 is never taken as raw, even if it is said to be a disk', async () => {
  const path = join(folder, 'lying.img');
  await qemuImg('create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', sentinel, path, '1M');
  await truncate(path, 4 * 2 ** 20);
  await failing(
    await daemon.admin('POST /images/import', { body: { path, name: 'bad', kind: 'disk' } }),
    'image_refused',
  );
  await failing(
    await daemon.admin('POST /images/import', { body: { path, name: 'bad', kind: 'iso' } }),
    'image_refused',
  );
  await failing(
    await daemon.admin('POST /images/import', { body: { path, name: 'bad', kind: 'kernel' } }),
    'image_kind_mismatch',
  );
});

test('B6: a virtual size beyond all measure in a small file is refused', async () => {
  const path = join(folder, 'huge.qcow2');
  await qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', path, '1P');
  assert.ok((await stat(path)).size < MAX_IMAGE_BYTES);
  await refusedEverywhere(path, { code: 'image_refused' });
});

test('B9: a label is a label: no file is made by its name, control characters are refused', async () => {
  const tree = join(folder, 'tree');
  await runChecked(['mkdir', tree], { timeoutMs: 1000 });
  for (const [index, label] of ['../../etc/cron.d/x', 'a/b', 'C:\\x', '%2e%2e%2f', '-rf'].entries()) {
    const path = join(folder, `label-${index}.iso`);
    await runChecked(
      ['xorriso', '-as', 'mkisofs', '-quiet', '-V', 'PLACEHOLDER_LABEL_OF_32_LETTERS_', '-o', path, tree],
      { timeoutMs: 20_000 },
    );
    const bytes = await readFile(path);
    bytes.write(label.padEnd(32), 16 * 2048 + 40, 'latin1');
    await writeFile(path, bytes);
    await daemon.finish(await daemon.admin('POST /images/import', { body: { path, name: `label-${index}` } }));
    const image = await daemon.admin('GET /images/{id}', { params: { id: `label-${index}` } });
    assert.deepEqual(await readdir(join(daemon.stateDir, 'images')), [`${image.id}.iso`]);
    await daemon.finish(await daemon.admin('DELETE /images/{id}', { params: { id: image.id } }));
  }
  const path = join(folder, 'label-0.iso');
  const bytes = await readFile(path);
  bytes.write('evil\x1b[2J\x00'.padEnd(32), 16 * 2048 + 40, 'latin1');
  await writeFile(path, bytes);
  await failing(await daemon.admin('POST /images/import', { body: { path, name: 'bad' } }), 'image_refused');
});

test('B12: a path that is swapped for a link between check and copy never gives the other file', async () => {
  const honest = join(folder, 'honest.img');
  const link = join(folder, 'link.img');
  const path = join(folder, 'swapped.img');
  const disk = randomBytes(2 ** 20);
  disk.writeUInt16LE(0xaa55, 510);
  disk.fill(0, 0x202, 0x206);
  let isSwapping = true;
  const swapper = (async () => {
    for (let round = 0; isSwapping; round += 1) {
      if (round % 2 === 0) {
        await writeFile(honest, disk);
        await rename(honest, path);
      } else {
        await symlink(sentinel, link);
        await rename(link, path);
      }
      await sleep(1);
    }
  })();
  await sleep(20);
  let taken = 0;
  // Chance decides which of the two a round meets: go on until the honest one was met too.
  for (let round = 0; round < 25 || (taken === 0 && round < 2000); round += 1) {
    try {
      const ended = await endOf(
        await daemon.admin('POST /images/import', { body: { path, name: `swapped-${round}` } }),
      );
      if (ended.state !== 'done') continue;
      taken += 1;
      const image = await daemon.admin('GET /images/{id}', { params: { id: `swapped-${round}` } });
      assert.equal(image.sha256, sha256(disk));
      await daemon.finish(await daemon.admin('DELETE /images/{id}', { params: { id: image.id } }));
    } catch (error) {
      assert.ok(error instanceof ApiProblem && error.problem.code === 'invalid_input', String(error));
    }
  }
  isSwapping = false;
  await swapper;
  assert.ok(taken > 0, 'the honest file was taken at least once');
});

async function endOf(operation: Operation): Promise<Operation> {
  let current = operation;
  while (current.finishedAt === null)
    current = await daemon.admin('GET /operations/{id}', { params: { id: operation.id }, query: { waitSeconds: 10 } });
  return current;
}

test('B13: sizes over the limit, over what was announced, and offsets that do not fit', async () => {
  const begin = (sizeBytes: number) => daemon.admin('POST /images/uploads', { body: { name: 'bad', sizeBytes } });
  const hasCode = (status: number, code: string) => (error: unknown) =>
    error instanceof ApiProblem && error.problem.status === status && error.problem.code === code;
  await assert.rejects(begin(MAX_IMAGE_BYTES + 1), hasCode(413, 'too_large'));
  await assert.rejects(begin(10 * 2 ** 40), hasCode(413, 'too_large'));
  for (const size of [0, -1, 1.5, 2 ** 60]) await assert.rejects(begin(size), hasCode(422, 'invalid_input'));

  const { id } = await begin(1000);
  const statusOf = async (headers: Readonly<Record<string, string>>, bytes: Uint8Array) => {
    const answer = await patch(id, headers, bytes);
    assert.match(String(answer.headers['content-type']), /problem\+json/);
    return answer.status;
  };
  assert.equal(await statusOf({ 'upload-offset': '0', 'content-length': '1001' }, Buffer.alloc(1001)), 413);
  assert.equal(await statusOf({ 'upload-offset': '0', 'transfer-encoding': 'chunked' }, Buffer.alloc(5000)), 413);
  const { offset } = await daemon.admin('GET /images/uploads/{id}', { params: { id } });
  assert.ok(offset <= 1000);
  assert.equal(await statusOf({ 'upload-offset': '999999' }, Buffer.alloc(1)), 409);
  for (const wrong of ['-1', 'x', '1e3', '', '0x10', '99999999999999999999'])
    assert.equal(await statusOf({ 'upload-offset': wrong }, Buffer.alloc(1)), 422, wrong);
  const asJson = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'PATCH',
    path: `/api/v1/images/uploads/${id}`,
    headers: { 'content-type': 'application/json', 'upload-offset': '0' },
    body: '{}',
  });
  assert.equal(asJson.status, 422);
  await daemon.admin('DELETE /images/uploads/{id}', { params: { id } });
  assert.equal(await statusOf({ 'upload-offset': '0' }, Buffer.alloc(1)), 404);
});

test('B13: two senders of one upload do not mix, and one that leaves at 99 % leaves what it sent, once', async () => {
  const bytes = randomBytes(100_000);
  const { id } = await daemon.admin('POST /images/uploads', { body: { name: 'bad', sizeBytes: bytes.length } });
  // A sender that stops talking holds the upload.
  const slow = connect(join(daemon.runtimeDir, 'admin.sock'));
  slow.on('error', () => undefined);
  slow.write(
    `PATCH /api/v1/images/uploads/${id} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/offset+octet-stream\r\nupload-offset: 0\r\ncontent-length: ${bytes.length}\r\n\r\n`,
  );
  slow.write(bytes.subarray(0, 99_000));
  await sleep(300);
  const second = await patch(id, { 'upload-offset': '0' }, bytes);
  assert.deepEqual([second.status, JSON.parse(second.body.toString()).code], [409, 'busy']);
  slow.destroy();
  let offset = 0;
  for (const deadline = performance.now() + 5_000; offset === 0 && performance.now() < deadline; await sleep(50)) {
    ({ offset } = await daemon.admin('GET /images/uploads/{id}', { params: { id } }));
  }
  assert.equal(offset, 99_000);
  // What was sent is told a moment before the sender has let go.
  const isHeld = async () => {
    try {
      await daemon.admin('DELETE /images/uploads/{id}', { params: { id } });
      return false;
    } catch (error) {
      if (error instanceof ApiProblem && error.problem.code === 'busy') return true;
      throw error;
    }
  };
  for (const deadline = performance.now() + 5_000; await isHeld(); await sleep(50))
    assert.ok(performance.now() < deadline, 'the upload is let go');
});

test('B15: content with a wrong checksum is never visible', async () => {
  const disk = randomBytes(2 ** 20);
  disk.writeUInt16LE(0xaa55, 510);
  const seen = new Set<string>();
  let isWatching = true;
  const watcher = (async () => {
    while (isWatching) {
      for (const { name } of (await daemon.admin('GET /images')).items) seen.add(name);
      await sleep(5);
    }
  })();
  await failing(await uploaded('bad', disk, sha256(Buffer.from('another'))), 'checksum_mismatch');
  const path = join(folder, 'wrong.img');
  await writeFile(path, disk);
  await failing(
    await daemon.admin('POST /images/import', { body: { path, name: 'bad', sha256: 'f'.repeat(64) } }),
    'checksum_mismatch',
  );
  isWatching = false;
  await watcher;
  assert.deepEqual([...seen], []);
});

test('C1: a download from a private or loopback address is refused unless it was allowed', async (t) => {
  let wasReached = false;
  const server = createServer((_request, response) => {
    wasReached = true;
    response.end('canary');
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  for (const host of ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0', '127.1', '2130706433', '[::ffff:127.0.0.1]']) {
    await failing(
      await daemon.admin('POST /images/download', { body: { url: `http://${host}:${port}/x.iso`, name: 'bad' } }),
      'address_refused',
    );
  }
  for (const url of ['file:///etc/shadow', 'ftp://example.org/x.iso', 'http://user:pw@example.org/x.iso']) {
    await assert.rejects(
      daemon.admin('POST /images/download', { body: { url, name: 'bad' } }),
      (error) => error instanceof ApiProblem && error.problem.status === 422,
      url,
    );
  }
  assert.equal(wasReached, false);
});

test('names of images: what does not fit the rule is refused with its field', async () => {
  for (const name of ['-rf', 'a/b', '../x', 'A', 'ｖｍ１', 'p3-web', '', 'a'.repeat(64), 'x\n', '<b>']) {
    await assert.rejects(
      daemon.admin('POST /images/uploads', { body: { name, sizeBytes: 10 } }),
      (error) =>
        error instanceof ApiProblem &&
        error.problem.status === 422 &&
        error.problem.fields?.some(({ path }) => path === 'name') === true,
      name,
    );
  }
});
