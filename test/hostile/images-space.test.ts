/** The image library on a file system that is nearly full: a real one in memory, whose size the test changes. */

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Image, Upload } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import { runChecked } from '#platform/process.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const MIB = 2 ** 20;
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
const follow = async (id: string | null | undefined): Promise<Operation> =>
  daemon.finish(await daemon.admin('GET /operations/{id}', { params: { id: id ?? '' } }));
const image = (name: string): Promise<Image> => daemon.admin('GET /images/{id}', { params: { id: name } });

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
