/** Small files that are there complete or not at all, also after a power cut. */

import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces what is there; readable by its owner alone. The folder has to exist. */
export async function writeDurably(path: string, bytes: Uint8Array | string): Promise<void> {
  const half = `${path}.part`;
  const file = await open(half, 'w', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(half, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
