/** Entry of hyperd: `node src/daemon/main.ts`. Sets up how Node loads and holds the program, then runs it; what it does is in hyperd.ts. */

import { statSync } from 'node:fs';
import { flushCompileCache, getCompileCacheDir } from 'node:module';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

const CACHE = 'NODE_COMPILE_CACHE';
const ARENAS = 'MALLOC_ARENA_MAX';
const LARGE = 'MALLOC_MMAP_THRESHOLD_';
const FILE_THREADS = 'UV_THREADPOOL_SIZE';
/** Set when the process began anew because something had to be compiled, so that it does so once. */
const RELOADED = 'HV_RELOADED';

// All are only read while a process begins. The cache lies where the command line has its own: below the home that the system
// knows, where nobody else can write. One arena for all threads saves 6 MiB (measured).
// glibc would soon take pieces as large as chunks of backups from its heap, which never shrinks between what is in use: given back to
// the kernel each time they cost a little processor time, and hyperd takes 65 MiB less while it restores (measured: 218 and 152 MiB).
// A file system that hangs (a share whose server is gone) keeps each thread that works on it: of Node's four a single copy takes all, and
// hyperd answers nobody any more.
if ([CACHE, ARENAS, LARGE, FILE_THREADS].some((name) => process.env[name] === undefined))
  beginAnew({
    [CACHE]: process.env[CACHE] ?? join(userInfo().homedir, '.cache/hyper-nixos/compiled'),
    [ARENAS]: process.env[ARENAS] ?? '1',
    [LARGE]: process.env[LARGE] ?? String(2 ** 18),
    [FILE_THREADS]: process.env[FILE_THREADS] ?? '32',
  });

// Node lets the space for young objects grow to 32 MiB while it loads the program, and never gives it back. Kept at its first
// size hyperd takes 35 MiB less (measured: 156 and 119 MiB resident). The size itself is only taken on the command line.
setFlagsFromString('--semi-space-growth-factor=1');

const startedMs = Date.now();
const { runHyperd } = await import('./hyperd.ts');
flushCompileCache();
// The compiler of TypeScript stays in memory once it was needed (measured: 36 MiB).
if (process.env[RELOADED] === undefined && hasCompiledSince(startedMs)) beginAnew({ [RELOADED]: '1' });
delete process.env[RELOADED];
await runHyperd();

function hasCompiledSince(ms: number): boolean {
  const folder = getCompileCacheDir();
  // What was compiled comes into the folder by a new name. Its files are not looked at: after some updates there are thousands.
  return folder !== undefined && statSync(folder).mtimeMs >= ms;
}

/** Replaces this process by a fresh one with the same id, arguments and open standard streams. */
function beginAnew(env: Readonly<Record<string, string>>): void {
  const { execPath, execArgv, argv } = process;
  process.execve?.(execPath, [execPath, ...execArgv, ...argv.slice(1)], { ...process.env, ...env });
}
