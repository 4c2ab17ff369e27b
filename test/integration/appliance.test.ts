/** The appliance's start: a QEMU that ends at first is tried once more, and only once, and nothing of it stays behind. */

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { AppError } from '#kernel/errors.ts';
import { type Appliance, type ApplianceImage, applianceImage, startAppliance } from '#platform/appliance/index.ts';
import { applianceParts } from '../support/guest.ts';
import { missingForLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const isFull = process.env['HV_TEST_FULL'] === '1';

let scratch: string;
let real: ApplianceImage;

before(async () => {
  if (skip) return;
  scratch = await mkdtemp(join(tmpdir(), 'hva-'));
  real = await applianceImage({ cacheDir: await applianceParts() });
});
after(async () => {
  if (!skip) await rm(scratch, { recursive: true, force: true });
});

/** Processes of QEMU that hold a path on their command line, without the sandbox around them. */
function pidsOf(path: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return argv[0] === 'qemu-system-x86_64' && argv.some((word) => word.includes(path));
      } catch {
        return false; // it ended while we looked
      }
    })
    .map(Number);
}

/** Starts one. Without a kernel it is one that QEMU does not take. @param onFailedStart gets the path of that kernel */
async function start(
  onFailedStart: (kernel: string, error: AppError) => void,
  signal: AbortSignal = new AbortController().signal,
  from: string | null = null,
): Promise<Appliance> {
  const kernel = join(scratch, 'kernel');
  if (from === null) await writeFile(kernel, Buffer.alloc(64 * 1024));
  else copyFileSync(from, kernel);
  return startAppliance({
    image: { kernel, initrd: real.initrd },
    folder: join(scratch, 'appliance'),
    disks: new Map(),
    accel: 'tcg',
    memoryMib: 256,
    ports: 1,
    lifetimeMs: 300_000,
    signal,
    onFailedStart: (error) => onFailedStart(kernel, error),
    onReadError: (_disk, error) => assert.fail(String(error)),
  });
}

const leavesNothing = () => assert.equal(existsSync(join(scratch, 'appliance')), false);

test('a start that failed is tried once more', { skip }, async () => {
  let failures = 0;
  const appliance = await start((kernel) => {
    failures += 1;
    copyFileSync(real.kernel, kernel);
  });
  try {
    assert.equal(failures, 1);
    const lent = await appliance.take(AbortSignal.timeout(60_000));
    const answer = await lent.port.ask([Buffer.from('scan')], AbortSignal.timeout(60_000)).next();
    lent.release();
    assert.deepEqual([answer.done, answer.value], [true, '']);
  } finally {
    await appliance.close();
  }
  leavesNothing();
});

test('a guest that hangs is ended and started once more', {
  skip: skip || (!isFull && 'waits a minute: HV_TEST_FULL=1'),
}, async () => {
  const stopped: number[] = [];
  const stopping = setInterval(() => {
    if (stopped.length > 0) return;
    for (const pid of pidsOf(join(scratch, 'appliance'))) {
      process.kill(pid, 'SIGSTOP');
      stopped.push(pid);
    }
  }, 50);
  try {
    const appliance = await start(
      (_kernel, error) => assert.match(error.message, /did not start within 60 s/),
      undefined,
      real.kernel,
    );
    await appliance.close();
  } finally {
    clearInterval(stopping);
  }
  assert.ok(stopped.length > 0, 'it was stopped');
  for (const pid of stopped) assert.equal(existsSync(`/proc/${pid}`), false, `process ${pid} is gone`);
  leavesNothing();
});

test('a second failure is told with what QEMU said', { skip }, async () => {
  let failures = 0;
  const failed = start(() => {
    failures += 1;
  });
  await assert.rejects(failed, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'file_reader_failed');
    assert.match(String(error.cause), /^Error: qemu: .*kernel/);
    return true;
  });
  assert.equal(failures, 1);
  leavesNothing();
});

test('who left meanwhile is not waited for by a second start', { skip }, async () => {
  const leaving = new AbortController();
  let failures = 0;
  const failed = start(() => {
    failures += 1;
    leaving.abort(new Error('nobody waits any more'));
  }, leaving.signal);
  await assert.rejects(failed, /nobody waits any more/);
  assert.equal(failures, 1);
  leavesNothing();
});
