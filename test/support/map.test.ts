import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { glob, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';

test('every path that the map names exists, and every feature is on it', async () => {
  const map = await readFile('docs/map.md', 'utf8');
  const paths = [...map.matchAll(/`((?:src|test|docs|scripts)\/[\w./-]+|[\w-]+\.json)`/g)].map(
    (match) => match[1] ?? '',
  );
  assert.ok(paths.length > 30);
  assert.deepEqual(
    paths.filter((path) => !existsSync(path)),
    [],
  );
  for (const feature of await readdir('src/features'))
    assert.ok(map.includes(`\`src/features/${feature}\``), `${feature} is on the map`);
});

test('every relative link in the docs leads somewhere', async () => {
  const broken: string[] = [];
  for await (const file of glob(['*.md', 'docs/**/*.md', 'src/libvirt/README.md'])) {
    const text = await readFile(file, 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!/^[a-z]+:/.test(target) && !existsSync(join(dirname(file), target))) broken.push(`${file} → ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});
