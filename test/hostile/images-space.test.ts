/** The image library on a file system that is nearly full: a real one in memory, whose size the test changes. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ApiProblem } from '#contract/client.ts';
import type { Image, Upload } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import { runChecked } from '#platform/process.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const MIB = 2 ** 20;
/** 2 GiB stay free. */
const FLOOR_MIB = 2048;
const skip = missingForLibvirtd() ?? false;

let libvirtd: PrivateLibvirtd;
let state: string;
let daemon: TestDaemon;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  state = join(libvirtd.dir, 'small');
  await inside('mkdir', state);
  await inside('mount', '-t', 'tmpfs', '-o', 'size=6G,mode=711', 'tmpfs', state);
  daemon = await startDaemon({ libvirtd, stateDir: state });
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

const inside = async (...argv: string[]): Promise<string> =>
  (await runChecked(libvirtd.enter(argv), { timeoutMs: 20_000 })).stdout;
const kib = async (what: 'used' | 'avail') =>
  Number((await inside('df', `--output=${what}`, '-k', state)).split('\n')[1]);
const freeMib = async () => Math.floor((await kib('avail')) / 1024);
/** So much stays free; what is there already stays. */
const leaveFree = async (mib: number) =>
  void (await inside('mount', '-o', `remount,size=${(await kib('used')) + Math.round(mib * 1024)}k`, state));

const begin = (name: string, sizeBytes: number) => daemon.admin('POST /images/uploads', { body: { name, sizeBytes } });
async function send(id: string, offset: number, bytes: Uint8Array) {
  const answer = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'PATCH',
    path: `/api/v1/images/uploads/${id}`,
    headers: { 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset) },
    body: bytes,
  });
  const body: Upload & { code?: string } = JSON.parse(answer.body.toString());
  return { status: answer.status, body };
}
const drop = (name: string) => daemon.admin('DELETE /images/uploads/{id}', { params: { id: name } });
const follow = async (id: string | null | undefined): Promise<Operation> =>
  daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: id ?? '' } }));
async function endOf(id: string): Promise<Operation> {
  for (;;) {
    const now = await daemon.admin('GET /operations/{id}', { params: { id }, query: { waitSeconds: 10 } });
    if (now.finishedAt !== null) return now;
  }
}
const image = (name: string): Promise<Image> => daemon.admin('GET /images/{id}', { params: { id: name } });
const isFull = (error: unknown) => error instanceof ApiProblem && error.problem.code === 'no_space';

const small = { memoryBytes: 64 * MIB, firmware: 'bios' as const, accel: 'tcg' as const, nics: [], start: false };

function diskOf(mib: number): Buffer {
  const bytes = randomBytes(mib * MIB);
  bytes.writeUInt16LE(0xaa55, 510);
  bytes.fill(0, 0x202, 0x206);
  return bytes;
}

test('an upload into a disk that fills up is told so, keeps what came, and goes on when there is room', {
  skip,
}, async () => {
  const bytes = diskOf(48);
  await leaveFree(6 * 1024);
  const { id } = await begin('filled', bytes.length);
  await leaveFree(20);
  const full = await send(id, 0, bytes);
  assert.deepEqual([full.status, full.body.code], [507, 'no_space']);
  const { offset } = await daemon.admin('GET /images/uploads/{id}', { params: { id } });
  assert.ok(offset > 12 * MIB && offset < 20 * MIB, `${offset} bytes are kept`);

  await daemon.kill('SIGKILL');
  await leaveFree(6 * 1024);
  daemon = await startDaemon({ libvirtd, stateDir: state });
  const safe = await daemon.admin('GET /images/uploads/{id}', { params: { id } });
  assert.equal(safe.offset, offset);
  const rest = await send(id, offset, bytes.subarray(offset));
  assert.equal(rest.status, 200);
  await follow(rest.body.operationId);
  const { id: imageId } = await image('filled');
  const copy = join(libvirtd.dir, 'copy');
  await inside('cp', join(state, 'images', `${imageId}.raw`), copy);
  assert.deepEqual(await readFile(copy), bytes);
});

test('uploads begun together are not promised the same bytes', { skip }, async () => {
  await leaveFree(FLOOR_MIB + 400);
  const begins = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => begin(`together-${n}`, 300 * MIB)));
  const won = begins.flatMap((end) => (end.status === 'fulfilled' ? [end.value.id] : []));
  assert.equal(won.length, 1);
  for (const end of begins) assert.ok(end.status === 'fulfilled' || isFull(end.reason), JSON.stringify(end));
  await drop(won[0] ?? '');
  await drop((await begin('after', 300 * MIB)).id);
});

test('imports at once leave the floor free', { skip }, async () => {
  const path = join(libvirtd.dir, 'big.img');
  await writeFile(path, diskOf(100));
  await leaveFree(FLOOR_MIB + 250);
  const begun = await Promise.all(
    [1, 2, 3, 4].map((n) => daemon.admin('POST /images/import', { body: { path, name: `big-${n}` } })),
  );
  const ends = await Promise.all(begun.map(({ id }) => endOf(id)));
  assert.deepEqual(ends.map(({ state, error }) => error?.code ?? state).sort(), [
    'done',
    'done',
    'no_space',
    'no_space',
  ]);
  assert.ok((await freeMib()) >= FLOOR_MIB);
});

test('an unfinished upload, an import and a create count on one and the same room, after a restart too', {
  skip,
}, async () => {
  await leaveFree(FLOOR_MIB + 250);
  const { id } = await begin('rest', 200 * MIB);
  await send(id, 0, diskOf(40));
  const source = (await daemon.admin('GET /images')).items.find(({ name }) => name.startsWith('big-'));
  assert.ok(source);
  const path = join(libvirtd.dir, 'big.img');
  const areRefused = async () => {
    await assert.rejects(
      daemon.admin('POST /vms', {
        body: { ...small, name: 'crowded', disks: [{ imageId: source.id, format: 'raw' }] },
      }),
      (error) =>
        error instanceof ApiProblem &&
        error.problem.status === 507 &&
        error.problem.code === 'no_space' &&
        typeof error.problem.params?.['freeBytes'] === 'number',
    );
    const refused = await endOf((await daemon.admin('POST /images/import', { body: { path, name: 'crowded' } })).id);
    assert.equal(refused.error?.code, 'no_space');
  };
  await areRefused();
  await daemon.stop();
  daemon = await startDaemon({ libvirtd, stateDir: state });
  await areRefused();

  await drop(id);
  const disks = [{ imageId: source.id, format: 'raw' as const }];
  const creates = await Promise.allSettled(
    [1, 2, 3, 4].map((n) => daemon.admin('POST /vms', { body: { ...small, name: `vm-${n}`, disks } })),
  );
  const started = creates.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  assert.equal(started.length, 2);
  for (const operation of started) await daemon.finish(operation);
  assert.ok((await freeMib()) >= FLOOR_MIB);
});
