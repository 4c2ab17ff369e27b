/** What belongs to a VM beside its disks: its definition, firmware variables, the state of its TPM, and what we know of it. Each is one
 *  object of the restore point. */

import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { hasErrno, messageOf } from '#kernel/errors.ts';

/** What hyperd knows of a VM beside libvirt. */
export const vmMetaSchema = z.object({
  name: z.string(),
  project: z.string(),
  tags: z.array(z.string()),
  isProtected: z.boolean(),
  isAutostart: z.boolean(),
  isManaged: z.boolean(),
});
export type VmMeta = z.infer<typeof vmMetaSchema>;

/** Files of a folder, as they go into one object. */
export const filesSchema = z.object({
  files: z.array(z.object({ path: z.string(), mode: z.number(), data: z.base64() })),
});

const MAX_NVRAM_BYTES = 64 * 2 ** 20;
const MAX_TPM_BYTES = 16 * 2 ** 20;
const TRIES = 5;
/** Where libvirt keeps the state of software TPMs, by UUID. */
const TPM_FOLDER = '/var/lib/libvirt/swtpm';

export const tpmFolder = (vmId: string): string => join(TPM_FOLDER, vmId);

export interface ReadBlob {
  readonly bytes: Buffer | null;
  /** Why it is missing, for people; null when nothing is. */
  readonly problem: string | null;
}

/** Firmware variables. The guest writes to them while they are read: two readings have to agree. */
export async function readNvram(path: string): Promise<ReadBlob> {
  try {
    let before = await readBounded(path, MAX_NVRAM_BYTES);
    for (let tries = 0; tries < TRIES; tries += 1) {
      const again = await readBounded(path, MAX_NVRAM_BYTES);
      if (again.equals(before)) return { bytes: again, problem: null };
      before = again;
    }
    return { bytes: null, problem: 'The firmware variables changed at each look and are not in the restore point.' };
  } catch (error) {
    return {
      bytes: null,
      // Firmware that was never started has none yet.
      problem: hasErrno(error, 'ENOENT')
        ? null
        : `The firmware variables could not be read and are not in the restore point: ${messageOf(error)}.`,
    };
  }
}

/** State of the TPM. */
export async function readTpm(vmId: string): Promise<ReadBlob> {
  const folder = tpmFolder(vmId);
  try {
    const files: z.infer<typeof filesSchema>['files'] = [];
    let size = 0;
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || entry.name.endsWith('.lock')) continue;
      const path = join(entry.parentPath, entry.name);
      const bytes = await readBounded(path, MAX_TPM_BYTES - size);
      size += bytes.length;
      files.push({
        path: relative(folder, path),
        mode: (await lstat(path)).mode & 0o777,
        data: bytes.toString('base64'),
      });
    }
    if (files.length === 0) return { bytes: null, problem: null };
    files.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { bytes: Buffer.from(JSON.stringify({ files })), problem: null };
  } catch (error) {
    return {
      bytes: null,
      problem: hasErrno(error, 'ENOENT')
        ? null
        : `The state of the TPM could not be read and is not in the restore point: ${messageOf(error)}.`,
    };
  }
}

async function readBounded(path: string, maxBytes: number): Promise<Buffer> {
  const { size } = await lstat(path);
  if (size > maxBytes) throw new Error(`it has ${size} bytes, at most ${maxBytes} are kept`);
  return readFile(path);
}
