/** The dashboard as it is served: one bundle for all tests that open it. */

import { glob, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runChecked } from '#platform/process.ts';

const ROOT = join(import.meta.dirname, '../..');
const WEB = join(ROOT, 'src/web');

/** Builds the bundle when a source is newer, as the launcher does. */
export async function buildBundle(): Promise<void> {
  const built = await stat(join(WEB, 'dist/index.html')).catch(() => null);
  let isStale = built === null;
  for await (const path of glob('{web,contract,kernel}/**/*.{ts,tsx,css,html}', { cwd: join(ROOT, 'src') })) {
    if (isStale || path.startsWith('web/dist')) continue;
    isStale = (await stat(join(ROOT, 'src', path))).mtimeMs > (built?.mtimeMs ?? 0);
  }
  if (!isStale) return;
  const vite = join(ROOT, 'node_modules/vite/bin/vite.js');
  await runChecked([process.execPath, vite, 'build', '--config', join(WEB, 'vite.config.ts')], {
    timeoutMs: 120_000,
    cwd: ROOT,
  });
}
