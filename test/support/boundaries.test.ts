import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const FIXTURES = 'test/support/boundaries';

// A lint rule that silently stopped working is worse than none: each of these files breaks one import rule on purpose.
// The check of the whole tree leaves them out, so they are checked in a copy with the same rules.
test('every forbidden import of the fixtures is rejected', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-boundaries-'));
  try {
    const config = JSON.parse(await readFile('biome.json', 'utf8'));
    await writeFile(join(dir, 'biome.json'), JSON.stringify({ overrides: config.overrides }));
    await cp(FIXTURES, join(dir, FIXTURES), { recursive: true });
    const files = await Array.fromAsync(glob(`${FIXTURES}/**/*.ts`));
    assert.ok(files.length >= 9);
    for (const file of files) {
      const args = ['lint', '--only=style/noRestrictedImports', file];
      const output = await promisify(execFile)(resolve('node_modules/.bin/biome'), args, { cwd: dir }).then(
        () => 'accepted',
        (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
      );
      assert.match(output, /lint\/style\/noRestrictedImports/, `${file} should be rejected`);
    }
  } finally {
    await rm(dir, { recursive: true, maxRetries: 20, retryDelay: 100 });
  }
});
