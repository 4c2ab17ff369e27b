import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { keptSecret } from './kept-secret.ts';

const folder = mkdtempSync(join(tmpdir(), 'hv-kept-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('a secret is made once and stays; what a crash of the same process id left behind is no hindrance', () => {
  const path = join(folder, 'secret');
  writeFileSync(`${path}.${process.pid}`, 'half');
  assert.equal(
    keptSecret(path, () => 'one'),
    'one',
  );
  assert.equal(
    keptSecret(path, () => 'two'),
    'one',
  );
  assert.deepEqual(readdirSync(folder).sort(), ['secret', `secret.${process.pid}`]);
});
