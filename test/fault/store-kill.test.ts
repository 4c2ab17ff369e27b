/** Processes that write, prune, check and repair a repository of backups are killed at every kind of moment, beside others that go on:
 *  what was published restores, and the next one leaves nothing of them. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRepository, openRepository, type Repository } from '#features/backups/store/index.ts';
import { CHUNK_BYTES, diskAfter, readDisk, vmOf } from '../support/backup-points.ts';
import { randomOf } from '../support/worker-life.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const LIVES = isFull ? 400 : 16;
const WORKER = new URL('../support/store-worker.ts', import.meta.url).pathname;
const MOMENTS = ['before', 'after', 'half'] as const;
/** Everything takes longer on a busy machine; only a worker that hangs takes this long. */
const LONGEST_LIFE_MS = 120_000;

interface Life {
  readonly published: readonly string[];
  readonly removing: readonly string[];
  /** Changes of the file system; null when it was killed. */
  readonly changes: number | null;
}

/** @param killAfterMs from its first output to SIGKILL by us; otherwise it ends by itself, or kills itself */
async function live(args: readonly string[], killAfterMs: number | null): Promise<Life> {
  const child = spawn(process.execPath, [WORKER, ...args]);
  let said = '';
  let complaint = '';
  child.stdout.on('data', (data: Buffer) => {
    said += data.toString();
  });
  child.stderr.on('data', (data: Buffer) => {
    complaint += data.toString();
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs ?? LONGEST_LIFE_MS);
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  assert.equal(complaint, '');
  assert.ok(code === 0 || signal === 'SIGKILL');
  const lines = said.split('\n').slice(0, -1);
  const named = (word: string) =>
    lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1));
  const [changes] = named('changes');
  return {
    published: named('published'),
    removing: named('removing'),
    changes: changes === undefined ? null : Number(changes),
  };
}

test(`${LIVES} processes killed in a repository of backups lose nothing that was published`, async () => {
  const parent = await mkdtemp(join(tmpdir(), 'hv-store-kill-'));
  const random = randomOf(seed);
  const folder = join(parent, 'first');
  const second = join(parent, 'second');
  try {
    await createRepository(folder, { compression: 'default', encryption: null, chunkSizeBytes: CHUNK_BYTES });
    const kept = new Set<string>();
    let version = 0;
    const next = () => String(version++);
    const note = ({ published, removing }: Life) => {
      for (const id of published) kept.add(id);
      for (const id of removing) kept.delete(id);
    };
    // As long as nobody is killed, to know how many moments there are.
    for (let n = 0; n < 3; n += 1) note(await live([folder, second, 'write', vmOf(1), next()], null));
    const whole = await live([folder, second, 'write', vmOf(1), next()], null);
    note(whole);
    assert.ok(whole.changes !== null && whole.changes > 60, `${whole.changes} changes`);
    await cp(folder, second, { recursive: true });
    const wholeRepair = await live([folder, second, 'repair', vmOf(1), '0'], null);
    assert.ok(wholeRepair.changes !== null && wholeRepair.changes > 20, `${wholeRepair.changes} changes`);

    let [injected, atRandom, besides] = [0, 0, 0];
    for (let n = 0; n < LIVES; n += 1) {
      const does = n % 4 === 3 ? 'repair' : 'write';
      const isInjected = random() < 0.75;
      const most = (does === 'repair' ? wholeRepair : whole).changes ?? 1;
      // Spread over the whole of it, with some chance in each part.
      const killAt = 1 + Math.floor(((n % 8) + random()) * (most / 8));
      const moment = MOMENTS[Math.floor(random() * MOMENTS.length)] ?? 'before';
      if (does === 'repair') await makeSecond(folder, second);
      const args = [folder, second, does, vmOf(1), next()];
      const where = `seed ${seed}, life ${n}: ${does}, ${isInjected ? `${moment} change ${killAt}` : 'at random'}`;
      const isBeside = does === 'write' && n % 3 === 0;
      const [life, other] = await Promise.all([
        live(isInjected ? [...args, String(killAt), moment] : args, isInjected ? null : 300 + random() * 900),
        isBeside ? live([folder, second, 'write', vmOf(2), next()], null) : null,
      ]);
      note(life);
      if (other) note(other);
      if (other) besides += 1;
      if (life.changes === null && isInjected) injected += 1;
      else if (life.changes === null) atRandom += 1;
      await assertIntact({ folder, second: does === 'repair' ? second : null, kept, where });
    }
    assert.ok(injected >= LIVES / 3, `${injected} were killed at a chosen moment`);
    console.log(
      `# count: seed ${seed}: ${injected} kills at chosen changes of the file system and ${atRandom} at random (${besides} lives beside another process), ${kept.size} points kept, all intact, nothing left behind`,
    );
  } finally {
    await rm(parent, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
});

async function makeSecond(folder: string, second: string): Promise<void> {
  await rm(second, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  await cp(folder, second, { recursive: true });
}

async function assertIntact(after: {
  readonly folder: string;
  /** When objects were lost on purpose. */
  readonly second: string | null;
  readonly kept: Set<string>;
  readonly where: string;
}): Promise<void> {
  const { folder, second, kept, where } = after;
  const repository: Repository = await openRepository(folder);
  // The next one who writes puts things in order.
  await (await repository.writer()).close();
  assert.deepEqual(await readdir(join(folder, 'tmp')), [], where);
  const locks = await readdir(join(folder, 'locks'));
  assert.deepEqual(
    locks.filter((name) => /^[0-9a-f]{16}\.json$/.test(name)),
    [],
    where,
  );
  if (second !== null) {
    const { after: left } = await repository.repair(await openRepository(second));
    assert.deepEqual(left.problems, [], where);
  }
  const { problems } = await repository.check({ isDataRead: true });
  assert.deepEqual(problems, [], where);
  const there = new Set<string>();
  const anchor = await keepThreads(repository);
  for await (const { pointId, manifest } of repository.points()) {
    assert.ok(manifest, where);
    there.add(pointId);
    assert.ok((await readDisk(repository, pointId)).equals(diskAfter(manifest.op)), `${pointId} restores; ${where}`);
  }
  await anchor?.close();
  for (const id of kept) assert.ok(there.has(id), `${id} is there; ${where}`);
}

/** An open disk, so that each of many restores does not begin threads anew. */
async function keepThreads(repository: Repository) {
  for await (const { pointId } of repository.points()) return await repository.openDisk(pointId, 'vda');
  return null;
}
