/** Gets the parts of the small guests from the distribution's own signed packages. Nothing is installed on the host: a
 *  kernel would become a boot entry and the agent a service. Packages are downloaded and unpacked into a cache folder. */

import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import { run, runChecked } from '../process.ts';

export interface PackageSource {
  /** Folder that is ours alone; kept between calls, at most about 30 MB. */
  readonly cacheDir: string;
  readonly signal?: AbortSignal;
}

const DOWNLOAD_TIMEOUT_MS = 240_000;
const LOOKUP_TIMEOUT_MS = 30_000;

/** One try and a short wait: by itself apt tries each file four times with growing pauses, and waits half a minute for a mirror. */
const ONE_TRY = [
  ...['-o', 'Acquire::Retries=0'],
  ...['-o', 'Acquire::http::Timeout=10', '-o', 'Acquire::https::Timeout=10'],
];

/** What apt says where there is no way to the mirror: neither newer lists nor another package would help. */
const NO_WAY =
  /Temporary failure resolving|Could not resolve|Could not connect|Unable to connect|Connection (?:refused|timed out|failed)|Network is unreachable|No route to host/;

/** Long enough for the tries of one operation, too short for somebody who plugs the cable in. */
const NO_WAY_KEPT_MS = 20_000;
let noWay: { readonly why: string; readonly untilMs: number } | null = null;

/** Fills the cache entry `<prefix><suffix>` once: `fill` works in a scratch folder that becomes the entry when it is complete.
 *  Two callers at once do the work twice and one result stays. */
export async function cached(
  { cacheDir }: PackageSource,
  prefix: string,
  fill: (folder: string, scratch: string) => Promise<{ readonly suffix: string }>,
): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  const known = (await readdir(cacheDir)).filter((name) => name.startsWith(prefix)).sort();
  const newest = known.at(-1);
  if (newest !== undefined) return join(cacheDir, newest);

  const scratch = await mkdtemp(join(cacheDir, '.making-'));
  try {
    const folder = join(scratch, 'result');
    await mkdir(folder);
    const { suffix } = await fill(folder, scratch);
    const entry = join(cacheDir, `${prefix}${suffix}`);
    try {
      await rename(folder, entry);
    } catch (error) {
      // Somebody else finished the same entry first; theirs is as good.
      if (!hasErrno(error, 'ENOTEMPTY', 'EEXIST')) throw error;
    }
    return entry;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Downloads packages and unpacks them all over each other below `folder`.
 *  @throws unavailable when a package cannot be had; program_missing where there is no apt */
export async function unpackPackages(source: PackageSource, names: readonly string[], folder: string): Promise<void> {
  const downloads = join(folder, '.deb');
  await mkdir(downloads, { recursive: true });
  await downloadPackages(source, names, downloads);
  const archives = (await readdir(downloads)).filter((name) => name.endsWith('.deb'));
  if (archives.length !== names.length)
    throw notAvailable(names, `apt-get download left ${archives.length} of ${names.length} packages`);
  for (const archive of archives) {
    await runChecked(['dpkg-deb', '-x', join(downloads, archive), folder], { timeoutMs: 120_000, ...signalOf(source) });
  }
  await rm(downloads, { recursive: true });
}

/** The packages of the newest kernel that suits a guest: the image and, where the distribution splits them off, its modules.
 *  @throws unavailable */
export async function kernelPackages(source: PackageSource): Promise<string[]> {
  for (const name of ['linux-image-cloud-amd64', 'linux-image-virtual', 'linux-image-amd64', 'linux-image-generic']) {
    const images = await dependencies(source, [name], /^linux-image-(?:unsigned-)?[0-9]/);
    const image = images[0];
    if (image === undefined) continue;
    const modules = await dependencies(source, [image], /^linux-modules-[0-9]/);
    return [image, ...modules.slice(0, 1)];
  }
  throw notAvailable(['linux-image-cloud-amd64'], 'no known kernel package in the package lists');
}

/** Packages, and the library packages that they need, theirs too.
 *  @param without names of libraries that are not wanted */
export async function requiredPackages(
  source: PackageSource,
  names: readonly string[],
  without: RegExp,
): Promise<string[]> {
  const found = new Set(names);
  for (let next = [...names]; next.length > 0; ) {
    const libraries = (await dependencies(source, next, /^lib[a-z]/)).filter((name) => !without.test(name));
    next = [...new Set(libraries)].filter((name) => !found.has(name));
    for (const name of next) found.add(name);
  }
  return [...found];
}

async function dependencies(source: PackageSource, names: readonly string[], pattern: RegExp): Promise<string[]> {
  const { code, stdout } = await run(['apt-cache', 'depends', '--important', ...names], {
    timeoutMs: LOOKUP_TIMEOUT_MS,
    ...signalOf(source),
  });
  if (code !== 0) return [];
  return [...stdout.matchAll(/^\s*\|?(?:Pre)?Depends:\s*(\S+)/gm)]
    .map((match) => match[1] ?? '')
    .filter((found) => pattern.test(found));
}

async function downloadPackages(source: PackageSource, names: readonly string[], folder: string): Promise<void> {
  if (noWay !== null && performance.now() < noWay.untilMs) throw notAvailable(names, noWay.why);
  // The download helper's own user cannot enter our folder; apt still checks the signed hashes.
  const argv = ['apt-get', 'download', '-q', ...ONE_TRY, '-o', 'APT::Sandbox::User=root', ...names];
  const options = { timeoutMs: DOWNLOAD_TIMEOUT_MS, cwd: folder, ...signalOf(source) };
  const first = await run(argv, options);
  if (first.code === 0) return;
  if (NO_WAY.test(first.stderr)) {
    const why = first.stderr.trim();
    noWay = { why, untilMs: performance.now() + NO_WAY_KEPT_MS };
    throw notAvailable(names, why);
  }
  // Lists that are missing or older than the mirror are the usual cause; only root may renew them.
  if (process.getuid?.() === 0) {
    await run(['apt-get', 'update', '-q', ...ONE_TRY], { timeoutMs: DOWNLOAD_TIMEOUT_MS, ...signalOf(source) });
    if ((await run(argv, options)).code === 0) return;
  }
  throw notAvailable(names, first.stderr.trim());
}

function notAvailable(names: readonly string[], why: string): AppError {
  return new AppError('unavailable', {
    detail: `The packages for the guest could not be downloaded: ${names.join(', ')}`,
    hint: 'Connect the machine to its package mirror, run `apt-get update`, and try again.',
    params: { packages: names },
    cause: new Error(why),
  });
}

/** The libraries that a program needs, as absolute paths with the loader among them; none when it is linked statically.
 *  Only for programs from the distribution: asking runs their loader.
 *  @param libraryPath folders to look into first, as the loader takes them
 *  @throws unavailable naming the first library that the host lacks */
export async function sharedLibrariesOf(
  program: string,
  source: PackageSource,
  libraryPath?: string,
): Promise<string[]> {
  const { code, stdout, stderr } = await run(['ldd', program], {
    timeoutMs: LOOKUP_TIMEOUT_MS,
    ...(libraryPath === undefined ? {} : { env: { LD_LIBRARY_PATH: libraryPath } }),
    ...signalOf(source),
  });
  if (code !== 0 && /not a dynamic executable/.test(stdout + stderr)) return [];
  const missing = /^\s*(\S+) => not found/m.exec(stdout)?.[1];
  if (missing !== undefined || code !== 0) {
    throw new AppError('unavailable', {
      detail: `A library that ${basename(program)} needs in a guest is not on this machine: ${missing ?? 'unknown'}`,
      hint: 'Install `qemu-utils`, which brings the same libraries.',
      cause: new Error(stderr.trim()),
    });
  }
  return [...stdout.matchAll(/(?:=>\s+|^\s+)(\/\S+)\s+\(0x/gm)].map((match) => match[1] ?? '');
}

/** True when the path is a file that we may read. */
export async function isReadableFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return false;
    throw new Error(messageOf(error), { cause: error });
  }
}

export function signalOf({ signal }: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
