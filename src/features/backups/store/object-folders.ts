/** What lies in a repository, whether anything names it or not. */

import { join } from 'node:path';
import { namesIn } from './files.ts';
import { isObjectId, type Layout } from './layout.ts';

export interface ObjectFolder {
  readonly path: string;
  /** In hex. */
  readonly ids: readonly string[];
}

/** The folders of objects whose first 16 bits lie from `low` up to and without `high`. */
export async function* objectFolders({ chunks }: Layout, low: number, high: number): AsyncGenerator<ObjectFolder> {
  for (const first of await namesIn(chunks)) {
    const firstByte = Number.parseInt(first, 16);
    if (!isByte(first) || firstByte < low >> 8 || firstByte > (high - 1) >> 8) continue;
    for (const second of await namesIn(join(chunks, first))) {
      const prefix = Number.parseInt(`${first}${second}`, 16);
      if (!isByte(second) || prefix < low || prefix >= high) continue;
      const path = join(chunks, first, second);
      yield { path, ids: (await namesIn(path)).filter(isObjectId) };
    }
  }
}

const isByte = (name: string) => /^[0-9a-f]{2}$/.test(name);
