import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { backingChain } from './backing-chain.ts';
import { runChecked } from './process.ts';

const run = (...argv: [string, ...string[]]) => runChecked(argv, { timeoutMs: 20_000 });
const create = (...args: string[]) => run('qemu-img', 'create', '-q', '-f', 'qcow2', ...args);

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-backing-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test('the chain below an overlay is found, relative names too; a whole disk has none', async (t) => {
  const folder = await folderOf(t);
  const [base, middle, top] = [join(folder, 'base.qcow2'), join(folder, 'middle.qcow2'), join(folder, 'top.qcow2')];
  await create(base, '1M');
  await create('-F', 'qcow2', '-b', base, middle);
  await create('-F', 'qcow2', '-b', 'middle.qcow2', top);
  assert.deepEqual(await backingChain(top), [middle, base]);
  assert.deepEqual(await backingChain(base), []);
  await mkdir(join(folder, 'aside'));
  await rename(top, join(folder, 'aside', 'top.qcow2'));
  assert.deepEqual(await backingChain(join(folder, 'aside', 'top.qcow2'), top), [middle, base]);
});

test('a name as json: is a file too; a network address and what cannot be read are none', async (t) => {
  const folder = await folderOf(t);
  const base = join(folder, 'base.qcow2');
  const top = join(folder, 'top.qcow2');
  for (const [name, found] of [
    [`json:{"driver":"qcow2","file":{"driver":"file","filename":"${base}"}}`, [base]],
    [`json:{"driver":"qcow2","file.filename":"${base}"}`, [base]],
    [`json:{"driver":"file","filename":"${base}"}`, [base]],
    ['json:{"driver":"nbd","host":"127.0.0.1"}', []],
    ['json:{', []],
    ['nbd://127.0.0.1/x', []],
  ] as const) {
    await create('-u', '-F', 'qcow2', '-b', name, top, '1M');
    assert.deepEqual(await backingChain(top), found, name);
  }
});

test('what is missing, a pipe, no qcow2, cut off or builds upon itself ends the search', {
  timeout: 20_000,
}, async (t) => {
  const folder = await folderOf(t);
  const loop = join(folder, 'loop.qcow2');
  await create(loop, '1M');
  await run('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', loop, loop);
  assert.deepEqual(await backingChain(loop), [loop]);
  await writeFile(join(folder, 'short'), 'QFI');
  assert.deepEqual(await backingChain(join(folder, 'short')), []);
  assert.deepEqual(await backingChain(join(folder, 'nothing')), []);
  assert.deepEqual(await backingChain(folder), []);
  await run('mkfifo', join(folder, 'pipe'));
  assert.deepEqual(await backingChain(join(folder, 'pipe')), []);
});
