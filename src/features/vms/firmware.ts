/** Finds UEFI firmware by the descriptors that distributions install for QEMU (docs/interop/firmware.json of QEMU). */

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';

/** Folders in the order of precedence: a file in an earlier one replaces the file of the same name in a later one. */
const DESCRIPTOR_FOLDERS = [
  '/etc/qemu/firmware',
  '/run/current-system/sw/share/qemu/firmware',
  '/usr/share/qemu/firmware',
];

export interface UefiFirmware {
  /** Read-only code image. */
  readonly codePath: string;
  /** Empty variable store that each VM gets a copy of. */
  readonly varsTemplatePath: string;
  readonly isSecureBoot: boolean;
}

const descriptorSchema = z.object({
  'interface-types': z.array(z.string()),
  mapping: z.object({
    device: z.literal('flash'),
    executable: z.object({ filename: z.string(), format: z.literal('raw') }),
    'nvram-template': z.object({ filename: z.string(), format: z.literal('raw') }),
  }),
  targets: z.array(z.object({ architecture: z.string(), machines: z.array(z.string()) })),
  features: z.array(z.string()),
});

export interface FirmwareWish {
  /** As `x86_64`. */
  readonly arch: string;
  /** As `pc-q35-7.2`; `q35` means the newest. */
  readonly machine: string;
  readonly secureBoot: boolean;
}

/** The first firmware that fits, in the distribution's own order; null when none is installed. */
export async function findUefi(
  wish: FirmwareWish,
  folders: readonly string[] = DESCRIPTOR_FOLDERS,
): Promise<UefiFirmware | null> {
  for (const path of await descriptorPaths(folders)) {
    const parsed = descriptorSchema.safeParse(await readJson(path));
    // Other kinds of firmware (BIOS, memory-mapped, encrypted guests) have other shapes: not for us.
    if (!parsed.success) continue;
    const { mapping, targets, features } = parsed.data;
    const enforcesKeys = features.includes('secure-boot') && features.includes('enrolled-keys');
    if (!parsed.data['interface-types'].includes('uefi') || enforcesKeys !== wish.secureBoot) continue;
    if (!wish.secureBoot && features.includes('requires-smm')) continue;
    if (
      !targets.some(
        (target) => target.architecture === wish.arch && target.machines.some((pattern) => fits(pattern, wish.machine)),
      )
    )
      continue;
    return {
      codePath: mapping.executable.filename,
      varsTemplatePath: mapping['nvram-template'].filename,
      isSecureBoot: wish.secureBoot,
    };
  }
  return null;
}

function fits(pattern: string, machine: string): boolean {
  const full = machine === 'q35' ? 'pc-q35-' : machine;
  return pattern.endsWith('*') ? full.startsWith(pattern.slice(0, -1)) : pattern === full;
}

async function descriptorPaths(folders: readonly string[]): Promise<string[]> {
  const byName = new Map<string, string>();
  for (const folder of folders) {
    for (const name of await namesIn(folder))
      if (name.endsWith('.json') && !byName.has(name)) byName.set(name, join(folder, name));
  }
  return [...byName.values()].sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    // No machine has all of these folders.
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    // A damaged or empty descriptor (an empty one hides that of the distribution) offers no firmware.
    if (error instanceof SyntaxError || hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}
