/** The second opinion: what `qemu-img` itself makes of an image, asked in the sandbox where that one file is all there is. */

import { z } from 'zod';
import { AppError } from '#kernel/errors.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { runSandboxed } from '#platform/sandbox.ts';
import type { ImageFormat } from './detect.ts';
import { refused } from './refusal.ts';

/** QEMU's names for our formats. */
const QEMU_FORMAT: Readonly<Record<ImageFormat, string>> = {
  raw: 'raw',
  iso: 'raw',
  qcow2: 'qcow2',
  vmdk: 'vmdk',
  vhd: 'vpc',
  vhdx: 'vhdx',
  vdi: 'vdi',
};

const infoSchema = z.object({
  format: z.string(),
  'virtual-size': z.number().nonnegative(),
  'backing-filename': z.string().optional(),
  'full-backing-filename': z.string().optional(),
  encrypted: z.boolean().optional(),
  snapshots: z.array(z.unknown()).optional(),
  'format-specific': z
    .object({ data: z.looseObject({ 'data-file': z.unknown().optional(), corrupt: z.boolean().optional() }) })
    .optional(),
});

const checkSchema = z.object({
  corruptions: z.number().default(0),
  leaks: z.number().default(0),
  'check-errors': z.number().default(0),
});

const INFO_MS = 30_000;
const CHECK_MS = 10 * 60_000;

function parseJson<T>(schema: z.ZodType<T>, text: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw refused('corrupt', { detail: 'QEMU cannot make sense of it.', cause: error });
  }
}

async function ask(argv: readonly string[], path: string, timeoutMs: number, signal: AbortSignal | undefined) {
  try {
    return await runSandboxed([...argv, path], {
      readOnly: [path],
      timeoutMs,
      cpuSeconds: Math.ceil(timeoutMs / 1000),
      maxOutputBytes: MIB,
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    // An image that keeps QEMU busy for minutes is hostile or broken, not a failure of this machine.
    if (error instanceof AppError && (error.code === 'timeout' || error.code === 'program_output_too_large')) {
      throw refused('corrupt', { detail: 'QEMU does not get to the end of it.', cause: error });
    }
    throw error;
  }
}

/** Asks `qemu-img info` and refuses what it finds beyond our own reading. For raw and ISO it lets QEMU guess, which must find
 *  no container.
 *  @returns the virtual size in bytes as QEMU sees it */
export async function askInfo(path: string, format: ImageFormat, signal?: AbortSignal): Promise<number> {
  const mayGuess = format === 'raw' || format === 'iso';
  const answer = await ask(
    ['qemu-img', 'info', '--output=json', ...(mayGuess ? [] : ['-f', QEMU_FORMAT[format]])],
    path,
    INFO_MS,
    signal,
  );
  if (answer.code !== 0)
    throw refused('corrupt', { detail: 'QEMU cannot open it.', cause: new Error(answer.stderr.slice(0, 2000)) });
  const info = parseJson(infoSchema, answer.stdout);
  if (info.format !== QEMU_FORMAT[format])
    throw refused('format_mismatch', { params: { found: info.format.slice(0, 20), claimed: format } });
  if (info['backing-filename'] !== undefined || info['full-backing-filename'] !== undefined)
    throw refused('backing_file');
  if (info['format-specific']?.data['data-file'] !== undefined) throw refused('external_data_file');
  if (info['format-specific']?.data.corrupt === true) throw refused('corrupt');
  if (info.encrypted === true) throw refused('encrypted');
  if (info.snapshots !== undefined && info.snapshots.length > 0) throw refused('snapshots_inside');
  return info['virtual-size'];
}

/** Asks `qemu-img check`. Leaked clusters waste space only and are accepted.
 *  @throws AppError `image_refused` (corrupt) */
export async function askCheck(
  path: string,
  format: ImageFormat,
  signal?: AbortSignal,
): Promise<{ leakedClusters: number }> {
  const answer = await ask(['qemu-img', 'check', '--output=json', '-f', QEMU_FORMAT[format]], path, CHECK_MS, signal);
  if (answer.code !== 0 && answer.code !== 3)
    throw refused('corrupt', { cause: new Error(answer.stderr.slice(0, 2000)) });
  const result = parseJson(checkSchema, answer.stdout);
  if (result.corruptions > 0 || result['check-errors'] > 0) throw refused('corrupt');
  return { leakedClusters: result.leaks };
}

/** Rewrites an image as qcow2. `outPath` must exist and be empty.
 *  @param outBytes the most that may be written */
export async function runConvert(
  path: string,
  format: ImageFormat,
  outPath: string,
  { outBytes, timeoutMs, signal }: { outBytes: number; timeoutMs: number; signal?: AbortSignal },
): Promise<void> {
  const answer = await runSandboxed(
    ['qemu-img', 'convert', '-f', QEMU_FORMAT[format], '-O', 'qcow2', '-o', 'compat=1.1', path, outPath],
    {
      readOnly: [path],
      writable: [outPath],
      timeoutMs,
      cpuSeconds: Math.ceil(timeoutMs / 1000),
      fileSizeBytes: outBytes,
      memoryBytes: 2 * GIB,
      ...(signal === undefined ? {} : { signal }),
    },
  );
  if (answer.code === 0) return;
  if (/No space left/i.test(answer.stderr))
    throw new AppError('no_space', { detail: 'There is no room for the converted image.' });
  throw refused('corrupt', { detail: 'QEMU cannot convert it.', cause: new Error(answer.stderr.slice(0, 2000)) });
}
