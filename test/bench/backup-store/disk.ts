/** A disk like those of people: an ext4 file system with the files of this machine, and room that was never used. */

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { GIB, MIB } from '#kernel/units.ts';
import { run, runChecked } from '#platform/process.ts';

export const DISK_BYTES = GIB;
const MINUTES_MS = 60_000;
export const SOURCES = ['doc', 'locale', 'fonts']
  .map((name) => `/usr/share/${name}`)
  .concat(['/usr/bin', '/usr/sbin', '/usr/lib/python3']);

/** Makes the raw image below `folder`: some 700 MiB of documents, libraries and programs, no journal.
 *  @param sources files and folders; what is not there, or does not fit any more, is left out */
export async function mixedDisk(folder: string, sources: readonly string[] = SOURCES): Promise<string> {
  const root = join(folder, 'root');
  const image = join(folder, 'disk.raw');
  // Files of both kinds until there is no more than fits.
  await runChecked(['mkdir', '-p', root], { timeoutMs: MINUTES_MS });
  // Not all of them are on every machine; du tells those that are.
  const sizes = await run(['du', '-s', '-m', ...sources], { timeoutMs: 5 * MINUTES_MS });
  let left = (DISK_BYTES * 0.68) / MIB;
  for (const line of sizes.stdout.split('\n')) {
    const [mib = '0', path = ''] = line.split('\t');
    if (path === '' || Number(mib) > left) continue;
    left -= Number(mib);
    await runChecked(['cp', '-a', path, root], { timeoutMs: 10 * MINUTES_MS });
  }
  await runChecked(['mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-d', root, image, `${DISK_BYTES / MIB}M`], {
    timeoutMs: 10 * MINUTES_MS,
  });
  await runChecked(['rm', '-rf', root], { timeoutMs: MINUTES_MS });
  return image;
}

/** The chunks of an image in order. */
export async function* chunksOf(path: string): AsyncGenerator<Buffer> {
  const file = await open(path);
  try {
    for (let at = 0; at < DISK_BYTES; at += MIB) {
      const chunk = Buffer.from(new ArrayBuffer(MIB));
      await file.read(chunk, 0, MIB, at);
      yield chunk;
    }
  } finally {
    await file.close();
  }
}
