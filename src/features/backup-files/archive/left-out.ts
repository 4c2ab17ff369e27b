/** The last entry of an archive in which something is missing, so that nobody takes it for whole. */

import type { LeftOut } from '../tree.ts';

export const LEFT_OUT_NAME = 'LEFT-OUT-BY-HYPERD.txt';

/** Null = nothing was left out. */
export function leftOutText(items: readonly LeftOut[]): Buffer | null {
  if (items.length === 0) return null;
  const lines = items.map(({ path, why }) => `${path}: ${why}\n`);
  return Buffer.from(`Not in this archive, because it could not be read or is no file:\n\n${lines.join('')}`);
}
