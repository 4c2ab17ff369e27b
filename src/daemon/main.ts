/** Entry of hyperd: `node src/daemon/main.ts`. Sets up how Node loads and holds the program, then runs it; what it does is in hyperd.ts. */

import { readdirSync, statSync } from 'node:fs';
import { enableCompileCache, flushCompileCache, getCompileCacheDir } from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

/** Set in the second life of the process, so that there is no third. */
const RELOADED = 'HV_RELOADED';

// Node lets the space for young objects grow to 32 MiB while it loads the program, and never gives it back. Kept at its first
// size hyperd takes 35 MiB less (measured: 156 and 119 MiB resident). The size itself is only taken on the command line.
setFlagsFromString('--semi-space-growth-factor=1');
// As the command line does it: below the home that the system knows, where nobody else can write.
enableCompileCache(join(userInfo().homedir, '.cache/hyper-nixos/compiled'));

const startedMs = Date.now();
const { runHyperd } = await import('./hyperd.ts');
keepCompiled();
await runHyperd();

/** The compiler of TypeScript stays in memory once it was needed (measured: 36 MiB). So a process that needed it begins anew, with the
 *  same id, and finds everything compiled. */
function keepCompiled(): void {
  const isSecondLife = process.env[RELOADED] !== undefined;
  delete process.env[RELOADED];
  flushCompileCache();
  const folder = getCompileCacheDir();
  if (isSecondLife || folder === undefined || process.execve === undefined) return;
  const hasNew = readdirSync(folder).some((name) => statSync(join(folder, name)).mtimeMs >= startedMs);
  if (!hasNew) return;
  const { execPath, execArgv, argv } = process;
  process.execve(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...process.env, [RELOADED]: '1' });
}
