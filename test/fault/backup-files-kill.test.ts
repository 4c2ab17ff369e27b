/** Kills while single files are read: of QEMU, and of hyperd. A download that is broken off is never taken for a whole one, nothing is left, and
 *  the next question is answered. */

import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathOf } from '#contract/client.ts';
import { MIB } from '#kernel/units.ts';
import { type FilePoints, startFilePoints } from '../support/file-points.ts';
import { CONTENT, contentTree, fileSystemImage } from '../support/file-systems.ts';

const LARGE_BYTES = 30 * MIB;

let folder: string;
let points: FilePoints;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-kill-files-'));
  const tree = await contentTree(join(folder, 'tree'));
  const large = await open(join(tree, 'large'), 'w');
  await large.write(Buffer.alloc(LARGE_BYTES, 0x42));
  await large.close();
  const disk = await fileSystemImage(join(folder, 'disk'), 'ext4', tree);
  points = await startFilePoints(folder, new Map([['web1', disk]]));
});

after(async () => {
  await points?.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

/** Processes of QEMU that read this test's restore points. */
async function readers(): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // Gone since the listing.
    const line = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '');
    if (line.startsWith('qemu-system') && line.includes(join(folder, 'state', 'reading'))) found.push(Number(name));
  }
  return found;
}

/** Begins to read the large file; `ended` tells how it went on. */
async function beginDownload(): Promise<{ readonly ended: Promise<'whole' | 'broken'>; goOn(): void }> {
  const path = pathOf(
    'GET /restore-points/{id}/file',
    { id: points.pointOf('web1') },
    { volume: 'vda', path: '/large' },
  );
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { socketPath: join(points.daemon().runtimeDir, 'admin.sock'), path, headers: { host: 'localhost' } },
      (answer) => {
        assert.equal(answer.statusCode, 200);
        let bytes = 0;
        const ended = new Promise<'whole' | 'broken'>((tell) => {
          answer.on('data', (part: Buffer) => {
            bytes += part.length;
          });
          answer.on('error', () => tell('broken'));
          answer.on('close', () => tell(bytes === LARGE_BYTES ? 'whole' : 'broken'));
        });
        answer.pause();
        resolve({ ended, goOn: () => void answer.resume() });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}

const isAnswered = async () => {
  const { status, body } = await points.download('web1', 'vda', '/etc/hostname');
  assert.equal(status, 200, body.toString());
  assert.equal(body.toString(), CONTENT.text);
};

/** A question that meets one that is just ending is told to be asked again. */
async function isAnsweredSoon(): Promise<void> {
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; await sleep(50)) {
    const { status, body } = await points.download('web1', 'vda', '/etc/hostname');
    if (status === 200) break;
    assert.equal(JSON.parse(body.toString()).code, 'file_reader_failed');
  }
  await isAnswered();
}

async function gone(pids: readonly number[]): Promise<void> {
  for (const deadline = performance.now() + 20_000; ; await sleep(50)) {
    const left = (await readers()).filter((pid) => pids.includes(pid));
    if (left.length === 0) return;
    assert.ok(performance.now() < deadline, `QEMU ${left} is still there`);
  }
}

test('a reader that is killed breaks the download off, and the next question gets another one', async () => {
  await isAnswered();
  const pids = await readers();
  assert.equal(pids.length, 1);
  const { ended, goOn } = await beginDownload();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  goOn();
  assert.equal(await ended, 'broken');
  await gone(pids);
  await isAnsweredSoon();
});

test('a hyperd that is killed takes its readers with it, and leaves nothing', async () => {
  const { ended, goOn } = await beginDownload();
  const pids = await readers();
  assert.equal(pids.length, 1);
  const crash = points.crash();
  goOn();
  assert.equal(await ended, 'broken');
  await crash;
  await gone(pids);
  assert.deepEqual(await readdir(join(folder, 'state', 'reading')), []);
  await isAnswered();
});
