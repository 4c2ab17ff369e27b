/** The image library of a real daemon: uploads with breaks, downloads from a real web server with kills, imports, deletes. */

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '#contract/client.ts';
import type { Image, Upload } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import { runChecked } from '#platform/process.ts';
import { overSocket, startDaemon, type TestDaemon, type TestDaemonOptions } from '../support/daemon.ts';
import { missingForLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const isProblem = (code: string) => (error: unknown) => error instanceof ApiProblem && error.problem.code === code;

let folder: string;
let daemon: TestDaemon;
let web: Awaited<ReturnType<typeof startWeb>>;
/** A disk with a partition table: 3 MiB that do not compress. */
let disk: Buffer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-images-'));
  disk = randomBytes(3 * 2 ** 20);
  disk.writeUInt16LE(0xaa55, 510);
  disk.fill(0, 0x202, 0x206);
  web = await startWeb();
  daemon = await begin();
});
after(async () => {
  await daemon?.close();
  web?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** A daemon without libvirt, which the library does not need, once its features have started. */
async function begin(options: TestDaemonOptions = {}): Promise<TestDaemon> {
  const started = await startDaemon({
    waitFor: 'doors',
    stateDir: join(folder, 'state'),
    config: { images: { allowPrivateHosts: [web.host] } },
    ...options,
  });
  const socketPath = join(started.runtimeDir, 'admin.sock');
  const state = async () => (await overSocket(socketPath, { method: 'GET', path: '/readyz' })).body.toString();
  while (/starting/.test(await state())) await sleep(20);
  return started;
}

/** A web server with Range that can be told to break off, to crawl, or to forget. */
async function startWeb() {
  const files = new Map<string, Buffer>();
  const requests: { path: string; range: string | undefined }[] = [];
  const state = { breakAfterBytes: 0, pauseAfterBytes: 0 };
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '';
    const bytes = files.get(path);
    requests.push({ path, range: request.headers.range });
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    const begin = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const body = bytes.subarray(begin);
    response.writeHead(begin > 0 ? 206 : 200, {
      etag: `"${sha256(bytes).slice(0, 16)}"`,
      'content-length': body.length,
      ...(begin > 0 ? { 'content-range': `bytes ${begin}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    if (state.breakAfterBytes > 0 && body.length > state.breakAfterBytes) {
      response.write(body.subarray(0, state.breakAfterBytes), () => setTimeout(() => response.destroy(), 50));
      state.breakAfterBytes = 0;
    } else if (state.pauseAfterBytes > 0 && body.length > state.pauseAfterBytes) {
      response.write(body.subarray(0, state.pauseAfterBytes));
    } else response.end(body);
  };
  const server = createServer(serve).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    files,
    requests,
    state,
    host: `127.0.0.1:${port}`,
    url: (path: string) => `http://127.0.0.1:${port}${path}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** One PATCH of an upload; `breakAfter` drops the connection after so many bytes. */
async function patch(
  upload: string,
  offset: number,
  bytes: Uint8Array,
): Promise<{ status: number; body: Upload & { code?: string; params?: { offset: number } } }> {
  const answer = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'PATCH',
    path: `/api/v1/images/uploads/${upload}`,
    headers: {
      'content-type': 'application/offset+octet-stream',
      'upload-offset': String(offset),
      'content-length': String(bytes.length),
    },
    body: bytes,
  });
  return { status: answer.status, body: JSON.parse(answer.body.toString()) };
}

function breakOff(upload: string, offset: number, bytes: Uint8Array, announced: number): Promise<void> {
  return new Promise((resolve) => {
    const outgoing = httpRequest({
      socketPath: join(daemon.runtimeDir, 'admin.sock'),
      method: 'PATCH',
      path: `/api/v1/images/uploads/${upload}`,
      headers: {
        host: 'localhost',
        'content-type': 'application/offset+octet-stream',
        'upload-offset': String(offset),
        'content-length': String(announced),
      },
    });
    outgoing.on('error', () => undefined);
    outgoing.on('close', resolve);
    outgoing.write(bytes, () => setTimeout(() => outgoing.destroy(), 200));
  });
}

const imagePath = async (image: Image): Promise<string> => {
  const names = await readdir(join(daemon.stateDir, 'images'));
  const name = names.find((candidate) => candidate.startsWith(`${image.id}.`));
  assert.ok(name, `no file of ${image.id} among ${names.join(', ')}`);
  return join(daemon.stateDir, 'images', name);
};

async function assertNoParts(): Promise<void> {
  assert.deepEqual(
    (await readdir(join(daemon.stateDir, 'images'))).filter((name) => name.endsWith('.part')),
    [],
  );
}

test('an upload goes on after a break, is checked, and becomes a read-only image', async () => {
  const upload = await daemon.admin('POST /images/uploads', {
    body: { name: 'up1', sizeBytes: disk.length, sha256: sha256(disk) },
  });
  assert.equal(upload.state, 'receiving');
  assert.equal((await patch(upload.id, 0, disk.subarray(0, 1_000_000))).body.offset, 1_000_000);
  await breakOff(upload.id, 1_000_000, disk.subarray(1_000_000, 1_500_000), disk.length - 1_000_000);
  let offset = 0;
  while (offset < 1_000_001) {
    ({ offset } = await daemon.admin('GET /images/uploads/{id}', { params: { id: upload.id } }));
    await sleep(50);
  }
  assert.ok(offset > 1_000_000 && offset <= 1_500_000, `what came before the break is kept: ${offset}`);

  const wrong = await patch(upload.id, 0, disk.subarray(0, 10));
  assert.deepEqual([wrong.status, wrong.body.code, wrong.body.params?.offset], [409, 'upload_offset', offset]);
  const tooMuch = await patch(upload.id, offset, Buffer.concat([disk.subarray(offset), Buffer.of(0)]));
  assert.deepEqual([tooMuch.status, tooMuch.body.code], [413, 'too_large']);

  const last = await patch(upload.id, offset, disk.subarray(offset));
  assert.equal(last.status, 200);
  assert.ok(last.body.operationId);
  await daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: last.body.operationId } }));

  const image = await daemon.admin('GET /images/{id}', { params: { id: 'up1' } });
  assert.deepEqual(
    [image.kind, image.format, image.state, image.verified, image.sha256, image.sizeBytes],
    ['disk', 'raw', 'ready', 'given_checksum', sha256(disk), disk.length],
  );
  const path = await imagePath(image);
  assert.equal((await stat(path)).mode & 0o777, 0o444);
  assert.deepEqual(await readFile(path), disk);
  assert.deepEqual((await daemon.admin('GET /images/uploads')).items, []);
  await assertNoParts();
});

test('an upload goes on after kill -9 of the daemon, from bytes that are safe', async () => {
  const upload = await daemon.admin('POST /images/uploads', { body: { name: 'up2', sizeBytes: disk.length } });
  await patch(upload.id, 0, disk.subarray(0, 700_000));
  await daemon.kill('SIGKILL');
  daemon = await begin();
  const { offset } = await daemon.admin('GET /images/uploads/{id}', { params: { id: upload.id } });
  assert.equal(offset, 700_000);
  const last = await patch(upload.id, offset, disk.subarray(offset));
  await daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: last.body.operationId ?? '' } }));
  assert.equal((await daemon.admin('GET /images/{id}', { params: { id: 'up2' } })).sha256, sha256(disk));
});

test('an upload that is given up leaves nothing', async () => {
  const upload = await daemon.admin('POST /images/uploads', { body: { name: 'up3', sizeBytes: 1000 } });
  await patch(upload.id, 0, disk.subarray(0, 500));
  await daemon.admin('DELETE /images/uploads/{id}', { params: { id: upload.id } });
  await assert.rejects(daemon.admin('GET /images/uploads/{id}', { params: { id: upload.id } }), isProblem('not_found'));
  await assertNoParts();
});

test('a download that breaks off goes on by Range and is checked against its checksum file', async () => {
  web.files.set('/d/disk.img', disk);
  web.files.set('/d/SHA256SUMS', Buffer.from(`${sha256(disk)}  disk.img\n${'0'.repeat(64)}  other.img\n`));
  web.state.breakAfterBytes = 1_200_000;
  const begun = await daemon.admin('POST /images/download', {
    body: { url: web.url('/d/disk.img'), name: 'down1', checksumUrl: web.url('/d/SHA256SUMS') },
  });
  await daemon.finish(begun);
  const image = await daemon.admin('GET /images/{id}', { params: { id: 'down1' } });
  assert.deepEqual([image.sha256, image.verified, image.source], [sha256(disk), 'checksum', web.url('/d/disk.img')]);
  const ranges = web.requests.filter(({ path }) => path === '/d/disk.img').map(({ range }) => range);
  assert.equal(ranges.length, 2);
  assert.match(ranges[1] ?? '', /^bytes=[1-9]\d+-$/);
});

test('a download goes on after a restart of the daemon', async () => {
  web.files.set('/r/disk.img', disk);
  web.state.pauseAfterBytes = 1_000_000;
  const begun = await daemon.admin('POST /images/download', {
    body: { url: web.url('/r/disk.img'), name: 'down2', sha256: sha256(disk) },
  });
  for (;;) {
    const now = await daemon.admin('GET /operations/{id}', { params: { id: begun.id } });
    if ((now.progress?.doneBytes ?? 0) >= 1_000_000) break;
    await sleep(50);
  }
  await daemon.stop();
  web.state.pauseAfterBytes = 0;
  daemon = await begin();
  await daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: begun.id } }));
  assert.equal((await daemon.admin('GET /images/{id}', { params: { id: 'down2' } })).verified, 'given_checksum');
  assert.equal(web.requests.filter(({ path }) => path === '/r/disk.img').at(-1)?.range, 'bytes=1000000-');
});

test('a wrong checksum removes the file and tells both', async () => {
  web.files.set('/w/disk.img', disk);
  const begun = await daemon.admin('POST /images/download', {
    body: { url: web.url('/w/disk.img'), name: 'wrong', sha256: 'a'.repeat(64) },
  });
  const ended = await daemon.finish(begun, 'failed');
  assert.equal(ended.error?.code, 'checksum_mismatch');
  assert.match(ended.error?.detail ?? '', new RegExp(`${sha256(disk)}.*${'a'.repeat(64)}`));
  await assert.rejects(daemon.admin('GET /images/{id}', { params: { id: 'wrong' } }), isProblem('not_found'));
  await assertNoParts();
});

test('a cancelled download leaves nothing', async () => {
  web.files.set('/c/disk.img', disk);
  web.state.pauseAfterBytes = 500_000;
  const begun = await daemon.admin('POST /images/download', {
    body: { url: web.url('/c/disk.img'), name: 'cancelled' },
  });
  await sleep(300);
  await daemon.admin('POST /operations/{id}/cancel', { params: { id: begun.id } });
  await daemon.finish(begun, 'cancelled');
  web.state.pauseAfterBytes = 0;
  await assertNoParts();
});

test('a local file is imported, an outside VMDK becomes qcow2, an ISO keeps its label', async () => {
  const raw = join(folder, 'Some Disk.img');
  await writeFile(raw, disk);
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: raw } }));
  assert.equal((await daemon.admin('GET /images/{id}', { params: { id: 'some-disk' } })).source, 'import');

  const vmdk = join(folder, 'foreign.vmdk');
  await runChecked(['qemu-img', 'convert', '-f', 'raw', '-O', 'vmdk', raw, vmdk], { timeoutMs: 20_000 });
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: vmdk } }));
  const converted = await daemon.admin('GET /images/{id}', { params: { id: 'foreign' } });
  assert.deepEqual([converted.format, converted.kind, converted.virtualSizeBytes], ['qcow2', 'disk', disk.length]);
  const back = join(folder, 'back.img');
  await runChecked(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', await imagePath(converted), back], {
    timeoutMs: 20_000,
  });
  assert.equal(sha256(await readFile(back)), sha256(disk));

  const tree = join(folder, 'tree');
  await runChecked(['mkdir', tree], { timeoutMs: 1000 });
  await writeFile(join(tree, 'hello.txt'), 'hello');
  const iso = join(folder, 'label.iso');
  await runChecked(['xorriso', '-as', 'mkisofs', '-quiet', '-V', 'HELLO_DISC', '-o', iso, tree], { timeoutMs: 20_000 });
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: iso, name: 'disc' } }));
  const disc = await daemon.admin('GET /images/{id}', { params: { id: 'disc' } });
  assert.deepEqual([disc.kind, disc.format, disc.label], ['iso', 'iso', 'HELLO_DISC']);
  await assertNoParts();
});

test('names are unique, and paths that are no plain files are refused at once', async () => {
  const path = join(folder, 'plain.img');
  await writeFile(path, disk);
  await assert.rejects(
    daemon.admin('POST /images/import', { body: { path, name: 'disc' } }),
    isProblem('already_exists'),
  );
  await assert.rejects(
    daemon.admin('POST /images/uploads', { body: { name: 'disc', sizeBytes: 10 } }),
    isProblem('already_exists'),
  );
  await symlink(path, join(folder, 'link.img'));
  for (const wrong of [join(folder, 'link.img'), folder, join(folder, 'absent.img'), '/dev/zero']) {
    await assert.rejects(
      daemon.admin('POST /images/import', { body: { path: wrong, name: 'nothing' } }),
      isProblem('invalid_input'),
      wrong,
    );
  }
});

test('a name that an unfinished operation holds is taken, and what has no name of its own gets a free one', async () => {
  web.files.set('/n/disk.img', disk);
  web.state.pauseAfterBytes = 500_000;
  const url = web.url('/n/disk.img');
  const begun = await daemon.admin('POST /images/download', { body: { url, name: 'held' } });
  const path = join(folder, 'Held.img');
  await writeFile(path, disk);
  await assert.rejects(
    daemon.admin('POST /images/uploads', { body: { name: 'held', sizeBytes: 10 } }),
    isProblem('already_exists'),
  );
  await assert.rejects(
    daemon.admin('POST /images/import', { body: { path, name: 'held' } }),
    isProblem('already_exists'),
  );
  const unnamed = await Promise.all([1, 2, 3].map(() => daemon.admin('POST /images/import', { body: { path } })));
  assert.deepEqual(unnamed.map(({ objectName }) => objectName).sort(), ['held-2', 'held-3', 'held-4']);
  for (const operation of unnamed) await daemon.finish(operation);
  await daemon.admin('POST /operations/{id}/cancel', { params: { id: begun.id } });
  await daemon.finish(begun, 'cancelled');
  web.state.pauseAfterBytes = 0;

  // Free again, for one of many who want it at once.
  const begins = await Promise.allSettled(
    Array.from({ length: 12 }, () => daemon.admin('POST /images/uploads', { body: { name: 'held', sizeBytes: 10 } })),
  );
  const [won, ...others] = begins.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  assert.deepEqual(others, []);
  for (const end of begins) assert.ok(end.status === 'fulfilled' || isProblem('already_exists')(end.reason));
  await daemon.admin('DELETE /images/uploads/{id}', { params: { id: won?.id ?? '' } });
  await assertNoParts();
});

test('a request that comes twice with one key starts one import', async () => {
  const path = join(folder, 'twice.img');
  await writeFile(path, disk);
  const import_ = () =>
    overSocket(join(daemon.runtimeDir, 'admin.sock'), {
      method: 'POST',
      path: '/api/v1/images/import',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'twice-1' },
      body: JSON.stringify({ path, name: 'twice' }),
    });
  const answers = await Promise.all([import_(), import_(), import_()]);
  assert.deepEqual(
    answers.map(({ status }) => status),
    [202, 202, 202],
  );
  const [first, ...repeated] = answers.map(({ body }): Operation => JSON.parse(body.toString()));
  assert.ok(first);
  for (const { id } of repeated) assert.equal(id, first.id);
  await daemon.finish(first);
});

test('lists filter and page, and a deleted image is gone with its file', async () => {
  const all = await daemon.admin('GET /images');
  const isos = await daemon.admin('GET /images', { query: { kind: 'iso' } });
  assert.deepEqual(
    isos.items.map(({ name }) => name),
    ['disc'],
  );
  const names: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await daemon.admin('GET /images', {
      query: { limit: 2, ...(cursor === undefined ? {} : { cursor }) },
    });
    names.push(...page.items.map(({ name }) => name));
    if (page.next === null) break;
    cursor = page.next;
  }
  assert.deepEqual(
    names,
    all.items.map(({ name }) => name),
  );

  const image = await daemon.admin('GET /images/{id}', { params: { id: 'up2' } });
  const path = await imagePath(image);
  await daemon.finish(await daemon.admin('DELETE /images/{id}', { params: { id: 'up2' } }));
  await assert.rejects(stat(path), { code: 'ENOENT' });
  await assert.rejects(daemon.admin('GET /images/{id}', { params: { id: 'up2' } }), isProblem('not_found'));
});

test('an image whose file was taken away says so', async () => {
  const image = await daemon.admin('GET /images/{id}', { params: { id: 'up1' } });
  await rm(await imagePath(image));
  assert.equal((await daemon.admin('GET /images/{id}', { params: { id: 'up1' } })).state, 'missing');
});

test('an image in whose place lies something else is not deleted, and that is not touched', async () => {
  const path = join(folder, 'replaced.img');
  await writeFile(path, disk);
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path, name: 'replaced' } }));
  const image = await daemon.admin('GET /images/{id}', { params: { id: 'replaced' } });
  const file = await imagePath(image);
  await rm(file);
  for (const put of [() => mkdir(file), () => symlink(path, file)]) {
    await put();
    assert.equal((await daemon.admin('GET /images/{id}', { params: { id: 'replaced' } })).state, 'missing');
    await assert.rejects(
      daemon.admin('DELETE /images/{id}', { params: { id: 'replaced' } }),
      isProblem('foreign_file'),
    );
    await rm(file, { recursive: true, maxRetries: 20, retryDelay: 100 });
  }
  assert.deepEqual(await readFile(path), disk);
  await daemon.finish(await daemon.admin('DELETE /images/{id}', { params: { id: 'replaced' } }));
});

test('the catalogue lists, searches and names what is near', async () => {
  const all = await daemon.admin('GET /images/catalogue', { query: {} });
  assert.ok(all.total >= 30);
  const debian = await daemon.admin('GET /images/catalogue', { query: { q: 'debian cloud' } });
  assert.ok(debian.items.length < all.total);
  await assert.rejects(
    daemon.admin('POST /images/catalogue/{id}/download', { params: { id: 'nosuch' }, body: {} }),
    isProblem('not_found'),
  );
});

test('an online check says for each entry what it found, also that nothing was reached', {
  timeout: 100_000,
}, async () => {
  const before = (await daemon.admin('GET /images/catalogue', { query: {} })).items[0];
  assert.ok(before);
  await daemon.finish(await daemon.admin('POST /images/catalogue/check', { body: { ids: [before.id] } }));
  const [checked] = (await daemon.admin('GET /images/catalogue', { query: {} })).items;
  assert.equal(checked?.id, before.id);
  assert.ok(checked.lastChecked !== null && checked.lastResult !== null);
});

test('kill -9 at every step of an import loses nothing and leaves nothing', async () => {
  const path = join(folder, 'killed.img');
  await writeFile(path, disk);
  await appendFile(path, Buffer.alloc(512));
  for (const point of ['copy:after', 'check:after', 'publish:before', 'publish:after']) {
    const name = `killed-${point.replace(':', '-')}`;
    await daemon.stop();
    const killed = await begin({ env: { HV_KILL_POINT: `image.import:${point}` } });
    const begun = await killed.admin('POST /images/import', { body: { path, name } });
    assert.equal(await killed.exited, 'SIGKILL');
    daemon = await begin();
    await daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: begun.id } }));
    assert.equal((await daemon.admin('GET /images/{id}', { params: { id: name } })).state, 'ready');
    await assertNoParts();
  }
});

test('an image cannot be deleted while a VM is made from it, has it in its drive, or lies in the trash with it', {
  skip: missingForLibvirtd() ?? false,
}, async (t) => {
  const libvirtd = await startPrivateLibvirtd();
  t.after(() => libvirtd.close());
  const real = await startDaemon({ libvirtd });
  t.after(() => real.close());
  await real.finish(
    await real.admin('POST /images/import', { body: { path: join(folder, 'label.iso'), name: 'disc' } }),
  );
  const small = { firmware: 'bios' as const, accel: 'tcg' as const, memoryBytes: 64 * 2 ** 20, nics: [], start: false };
  const making = await real.admin('POST /vms', { body: { ...small, name: 'reader', isoId: 'disc' } });
  await assert.rejects(
    real.admin('DELETE /images/{id}', { params: { id: 'disc' } }),
    (error) =>
      error instanceof ApiProblem &&
      ['busy', 'image_in_use'].includes(error.problem.code) &&
      /reader/.test(error.problem.detail),
  );
  await real.finish(making);
  const vm = await real.admin('GET /vms/{id}', { params: { id: 'reader' } });
  const drive = vm.disks.find(({ device }) => device === 'cdrom');
  const disc = await real.admin('GET /images/{id}', { params: { id: 'disc' } });
  assert.deepEqual(
    [drive?.imageId, disc.usedBy],
    [disc.id, [{ vmId: vm.id, name: 'reader', project: 'default', place: 'host' }]],
  );
  await assert.rejects(
    real.admin('DELETE /images/{id}', { params: { id: 'disc' } }),
    (error) =>
      error instanceof ApiProblem && error.problem.code === 'image_in_use' && /reader/.test(error.problem.detail),
  );
  const cdrom = { target: drive?.target ?? '', imageId: null };
  await real.finish(await real.admin('PATCH /vms/{id}', { params: { id: vm.id }, body: { cdrom } }));

  await real.finish(await real.admin('POST /vms', { body: { ...small, name: 'second', isoId: 'disc' } }));
  await real.finish(await real.admin('DELETE /vms/{id}', { params: { id: 'second' }, query: {} }));
  await assert.rejects(
    real.admin('DELETE /images/{id}', { params: { id: 'disc' } }),
    (error) => error instanceof ApiProblem && /second \(in the trash\)/.test(error.problem.detail),
  );
  const [trashed] = (await real.admin('GET /trash', { query: {} })).items;
  await real.finish(await real.admin('DELETE /trash/{id}', { params: { id: trashed?.id ?? '' } }));
  await real.finish(await real.admin('DELETE /images/{id}', { params: { id: 'disc' } }));
});

test('an image cannot be deleted while a disk of a VM builds upon it, whoever made the VM', {
  skip: missingForLibvirtd() ?? false,
}, async (t) => {
  const libvirtd = await startPrivateLibvirtd();
  t.after(() => libvirtd.close());
  const real = await startDaemon({ libvirtd });
  t.after(() => real.close());
  const source = join(folder, 'base.qcow2');
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', source, '4M'], { timeoutMs: 20_000 });
  const body = { path: source, name: 'base', kind: 'disk' as const };
  await real.finish(await real.admin('POST /images/import', { body }));
  const base = await real.admin('GET /images/{id}', { params: { id: 'base' } });
  const file = join(real.stateDir, 'images', `${base.id}.qcow2`);
  const middle = join(libvirtd.dir, 'middle.qcow2');
  const overlay = join(libvirtd.dir, 'overlay.qcow2');
  for (const [below, above] of [
    [file, middle],
    [middle, overlay],
  ] as const) {
    await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', below, above], {
      timeoutMs: 20_000,
    });
  }
  const definition = join(libvirtd.dir, 'overlay.xml');
  await writeFile(
    definition,
    `<domain type='qemu'><name>foreign</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
       <devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${overlay}'/>
       <target dev='vda'/></disk></devices></domain>`,
  );
  await libvirtd.virsh('define', definition);
  const usersOf = async () =>
    (await real.admin('GET /images/{id}', { params: { id: 'base' } })).usedBy.map(({ name }) => name);
  const isRefused = (error: unknown) =>
    error instanceof ApiProblem && error.problem.code === 'image_in_use' && /foreign/.test(error.problem.detail);
  for (const end = performance.now() + 10_000; (await usersOf()).length === 0 && performance.now() < end; )
    await sleep(100);
  assert.deepEqual(await usersOf(), ['foreign']);
  await assert.rejects(real.admin('DELETE /images/{id}', { params: { id: 'base' } }), isRefused);

  const { id } = await real.admin('GET /vms/{id}', { params: { id: 'foreign' } });
  await real.finish(await real.admin('DELETE /vms/{id}', { params: { id }, query: {} }));
  await assert.rejects(real.admin('DELETE /images/{id}', { params: { id: 'base' } }), isRefused);
  const [trashed] = (await real.admin('GET /trash', { query: {} })).items;
  await real.finish(await real.admin('DELETE /trash/{id}', { params: { id: trashed?.id ?? '' } }));
  await real.finish(await real.admin('DELETE /images/{id}', { params: { id: 'base' } }));
});
