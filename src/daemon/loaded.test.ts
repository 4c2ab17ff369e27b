/** What the programs must not carry in memory before somebody asks for it. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runChecked } from '#platform/process.ts';

const SRC = join(import.meta.dirname, '..');

const PROGRAMS = [
  {
    name: 'hyperd, with a server',
    script: `await import('${SRC}/daemon/hyperd.ts');
      const { createServer } = await import('${SRC}/daemon/http/server.ts');
      await (await createServer({ door: { name: 'local' }, routes: [], tls: null, webFolder: null })).ready();`,
  },
  {
    name: 'the command line',
    script: `await import('${SRC}/cli/transport.ts'); await import('${SRC}/cli/remote.ts');`,
  },
];

for (const { name, script } of PROGRAMS)
  test(`${name}, loads neither the client behind fetch nor what checks JSON schemas`, async () => {
    const tell = `const { default: { _cache } } = await import('node:module');
      console.log(JSON.stringify([...process.moduleLoadList, ...Object.keys(_cache)]))`;
    const argv = [process.execPath, '--input-type=module', '-e', `${script};${tell}`];
    const loaded: string[] = JSON.parse((await runChecked(argv, { timeoutMs: 30_000 })).stdout);
    assert.ok(loaded.includes('NativeModule http'), 'the list is that of what is loaded');
    assert.deepEqual(
      loaded.filter((path) => /deps\/undici|node_modules\/(undici|ajv|fast-json-stringify\/index)/.test(path)),
      [],
    );
  });
