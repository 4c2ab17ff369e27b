import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runChecked } from '#platform/process.ts';
import { backingChain } from './backing-files.ts';

const create = (...args: string[]) =>
  runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', ...args], { timeoutMs: 20_000 });

test('the chain below an overlay is found, relative names too; a whole disk has none', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-backing-'));
  try {
    const [base, middle, top] = ['base.qcow2', 'middle.qcow2', 'top.qcow2'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    await create(base, '1M');
    await create('-F', 'qcow2', '-b', base, middle);
    await create('-F', 'qcow2', '-b', 'middle.qcow2', top);
    assert.deepEqual(await backingChain(top), [middle, base]);
    assert.deepEqual(await backingChain(base), []);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('what is missing, no qcow2, cut off or builds upon itself ends the search', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-backing-'));
  try {
    const loop = join(dir, 'loop.qcow2');
    await create(loop, '1M');
    await runChecked(['qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', loop, loop], {
      timeoutMs: 20_000,
    });
    assert.deepEqual(await backingChain(loop), [loop]);
    await writeFile(join(dir, 'short'), 'QFI');
    assert.deepEqual(await backingChain(join(dir, 'short')), []);
    assert.deepEqual(await backingChain(join(dir, 'nothing')), []);
  } finally {
    await rm(dir, { recursive: true });
  }
});
