/** Remakes every committed generated file. `node scripts/generate.ts --check` fails when one differs instead. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cliReference } from '#cli/reference.ts';
import { RULE_FILES } from '#contract/fence.ts';
import { openApiDocument } from '#daemon/http/openapi.ts';
import { generatedDenyRules, generatedRules } from '#features/fence/index.ts';
import { configJsonSchema, configReference } from './generate/config.ts';
import { errorReference } from './generate/errors.ts';
import { healthReference } from './generate/health.ts';
import { metricReference } from './generate/metrics.ts';
import { permissionReference } from './generate/permissions.ts';
import { preflightReference } from './generate/preflight.ts';

const VERSION_IN_DOCUMENTS = '1';

const files: Readonly<Record<string, () => string>> = {
  'docs/reference/openapi.json': () => `${JSON.stringify(openApiDocument(VERSION_IN_DOCUMENTS), null, 1)}\n`,
  'docs/reference/errors.md': errorReference,
  'docs/reference/config.md': configReference,
  'docs/reference/metrics.md': metricReference,
  'docs/reference/config.schema.json': configJsonSchema,
  'docs/reference/cli.md': cliReference,
  'docs/reference/permissions.md': permissionReference,
  'docs/reference/preflight.md': preflightReference,
  'docs/reference/health.md': healthReference,
  [RULE_FILES.rules.source]: generatedRules,
  [RULE_FILES.deny.source]: generatedDenyRules,
};

async function current(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

const isCheck = process.argv.includes('--check');
let stale = 0;
for (const [path, make] of Object.entries(files)) {
  const text = make();
  if ((await current(path)) === text) continue;
  stale += 1;
  if (isCheck) {
    console.error(`${path} is out of date: run npm run gen and commit it`);
  } else {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    console.log(`wrote ${path}`);
  }
}
if (isCheck && stale > 0) process.exit(1);
