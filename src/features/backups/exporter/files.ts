/** The folder of one exporter: what it is to serve, where, and what it says of itself. hyperd and the exporter share nothing else. */

import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hasErrno } from '#kernel/errors.ts';
import { processMarkSchema } from '../store/process-mark.ts';

export interface ExporterFolder {
  readonly path: string;
  /** What it serves. Without this file it ends by itself. */
  readonly orderPath: string;
  /** A socket's path may have 107 bytes. */
  readonly socketPath: string;
  /** Which process it is; written when it serves. */
  readonly markPath: string;
  readonly statusPath: string;
  readonly logPath: string;
}

export function exporterFolder(root: string, operationId: string): ExporterFolder {
  const path = join(root, operationId);
  return {
    path,
    orderPath: join(path, 'order.json'),
    socketPath: join(path, 'nbd'),
    markPath: join(path, 'process.json'),
    statusPath: join(path, 'status.json'),
    logPath: join(path, 'exporter.log'),
  };
}

export const exportOrderSchema = z.object({
  pointId: z.string(),
  repositoryFolder: z.string(),
  /** Of an encrypted repository. */
  keyPath: z.string().nullable(),
  /** Disks, by which names they are exported too. */
  targets: z.array(z.string()),
  /** Group of QEMU, which may use the socket. */
  socketGid: z.number().nullable(),
});
export type ExportOrder = z.infer<typeof exportOrderSchema>;

export const exporterStatusSchema = z.object({
  /** Reads that failed since it began. */
  failures: z.number(),
  /** The last of them, or why it could not begin. */
  problem: z
    .object({ code: z.string(), detail: z.string(), target: z.string().nullable(), offsetBytes: z.number() })
    .nullable(),
});
export type ExporterStatus = z.infer<typeof exporterStatusSchema>;

/** Null when there is none, or one that was being written when the power went. */
export async function readSmallFile<Value>(path: string, schema: z.ZodType<Value>): Promise<Value | null> {
  try {
    return schema.safeParse(JSON.parse(await readFile(path, 'utf8'))).data ?? null;
  } catch (error) {
    if (hasErrno(error, 'ENOENT') || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Whole or not at all for whoever reads it. What it says is of this run only, so it need not outlive a power cut. */
export async function writeSmallFile(path: string, value: unknown): Promise<void> {
  await writeFile(`${path}.part`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  await rename(`${path}.part`, path);
}

export const markSchema = processMarkSchema;
