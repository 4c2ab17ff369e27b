/** What a proof leaves: serial logs and pictures in a folder of its own, each with its SHA-256 in the record. */

import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProofEvidence } from '#contract/verification.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { writeDurably } from '#platform/durable-file.ts';

export type EvidenceFile = ProofEvidence['files'][number];

export interface EvidenceFiles {
  /** Replaces one of the same name. @throws no_space */
  keep(proofId: string, name: string, bytes: Uint8Array): Promise<EvidenceFile>;
  /** @throws not_found; conflict when the file is not what it was */
  read(proofId: string, file: EvidenceFile): Promise<Buffer>;
  remove(proofId: string): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = { log: 'text/plain; charset=utf-8', png: 'image/png' };

export function createEvidenceFiles(stateFolder: string): EvidenceFiles {
  const root = join(stateFolder, 'proofs');
  const folderOf = (proofId: string) => join(root, proofId);
  return {
    async keep(proofId, name, bytes) {
      await mkdir(folderOf(proofId), { recursive: true, mode: 0o700 });
      await writeDurably(join(folderOf(proofId), name), bytes);
      return {
        name,
        contentType: TYPES[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream',
        sizeBytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      };
    },
    async read(proofId, { name, sha256 }) {
      let bytes: Buffer;
      try {
        bytes = await readFile(join(folderOf(proofId), name));
      } catch (error) {
        if (!hasErrno(error, 'ENOENT')) throw error;
        throw new AppError('not_found', { detail: `The file ${name} of this proof is gone.` });
      }
      if (createHash('sha256').update(bytes).digest('hex') === sha256) return bytes;
      throw new AppError('conflict', {
        detail: `The file ${name} is not what it was when the proof was made.`,
        hint: 'Somebody changed it in the state folder: it proves nothing any more. Prove the point again.',
      });
    },
    remove: (proofId) => rm(folderOf(proofId), { recursive: true, force: true }),
  };
}
