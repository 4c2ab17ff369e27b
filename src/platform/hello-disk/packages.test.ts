import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '#kernel/errors.ts';

test('without a way to the mirror one short try is made, and what follows at once does not try again', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-apt-'));
  const before = process.env['PATH'];
  try {
    const calls = join(dir, 'calls');
    const fake = `#!/bin/sh\necho "$*" >>${calls}\necho "Temporary failure resolving 'deb.debian.org'" >&2\nexit 100\n`;
    await writeFile(join(dir, 'apt-get'), fake);
    await chmod(join(dir, 'apt-get'), 0o755);
    // Where programs are looked for is settled when the module is loaded.
    process.env['PATH'] = `${dir}:${before}`;
    const { unpackPackages } = await import('./packages.ts');
    for (const name of ['busybox-static', 'linux-image-cloud-amd64'])
      await assert.rejects(
        unpackPackages({ cacheDir: dir }, [name], join(dir, name)),
        (error: unknown) => error instanceof AppError && error.code === 'unavailable' && error.message.includes(name),
      );
    const [only, ...more] = (await readFile(calls, 'utf8')).trim().split('\n');
    assert.deepEqual(more, []);
    assert.match(only ?? '', /^download .*Acquire::Retries=0 .*Timeout=10 .*busybox-static$/);
  } finally {
    process.env['PATH'] = before;
    await rm(dir, { recursive: true });
  }
});
