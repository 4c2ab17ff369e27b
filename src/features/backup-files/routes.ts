/** The routes of single files: volumes, a folder, a download. */

import { Readable } from 'node:stream';
import type { FileEntry } from '#contract/backup-files.ts';
import { AppError } from '#kernel/errors.ts';
import type { AgentEntry } from '#platform/appliance/index.ts';
import type { BytesReply, Handlers } from '#platform/feature.ts';
import { tarOf } from './archive/tar.ts';
import { zipOf } from './archive/zip.ts';
import { dispositionOf, pathOfText, textOfName } from './names.ts';
import type { Readers } from './readers.ts';
import { readTree, type Tree } from './tree.ts';

const CONTENT_TYPE = { tar: 'application/x-tar', zip: 'application/zip' } as const;

export function createFileRoutes(readers: Readers, { maxBytes }: { readonly maxBytes: number }): Handlers {
  return {
    'GET /restore-points/{id}/volumes': async ({ params, signal }) =>
      readers.use(params.id, signal, async (reader) => ({ volumes: [...reader.volumes()] })),

    'GET /restore-points/{id}/files': async ({ params, query, signal }) => {
      const path = pathOfText(query.path);
      const { entries, isCut } = await readers.use(params.id, signal, (reader) =>
        reader.list(query.volume, path, signal),
      );
      const from = query.cursor === undefined ? 0 : Number(query.cursor);
      if (!Number.isSafeInteger(from) || from < 0)
        throw new AppError('invalid_input', { detail: 'The cursor is not one.' });
      const items = entries.slice(from, from + query.limit).map(entryView);
      const next = from + items.length < entries.length ? String(from + items.length) : null;
      return { items, next, total: entries.length, isCut };
    },

    'GET /restore-points/{id}/file': async ({ params, query, signal }) => {
      const path = pathOfText(query.path);
      const { reader, release } = await readers.hold(params.id, signal);
      try {
        const tree = await readTree(reader.send(query.volume, path, signal), maxBytes);
        const name = textOfName(path.subarray(path.lastIndexOf('/') + 1)) || query.volume;
        return replyOf(tree, name, query.archive ?? null, release);
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

function replyOf(tree: Tree, name: string, archive: 'tar' | 'zip' | null, release: () => void): BytesReply {
  const isFile = tree.root.kind === 'file' && archive === null;
  const format = archive ?? 'tar';
  const top = Buffer.from(name.replaceAll('/', '-'));
  const bytes = isFile ? tree.root.content() : format === 'zip' ? zipOf(tree, top) : tarOf(tree, top);
  const stream = Readable.from(bytes, { objectMode: false });
  // Also when nobody reads it: a generator that never began ends without its `finally`.
  stream.once('close', () => void tree.close().finally(release));
  return {
    contentType: isFile ? 'application/octet-stream' : CONTENT_TYPE[format],
    bytes: stream,
    headers: {
      'content-disposition': dispositionOf(isFile ? name : `${name}.${format}`),
      'cache-control': 'no-store',
      // Whatever it holds, it is no page of ours.
      'content-security-policy': "sandbox; default-src 'none'",
      ...(isFile ? { 'content-length': String(tree.root.sizeBytes) } : {}),
    },
  };
}

function entryView({ kind, name, target, sizeBytes, modifiedSeconds, mode, uid, gid }: AgentEntry): FileEntry {
  const modifiedAt = new Date(modifiedSeconds * 1000);
  return {
    name: textOfName(name),
    kind,
    sizeBytes,
    // A file system can hold dates that no calendar has.
    modifiedAt:
      kind === 'unreadable' ||
      Number.isNaN(modifiedAt.getTime()) ||
      modifiedAt.getUTCFullYear() > 9999 ||
      modifiedAt.getUTCFullYear() < 0
        ? null
        : modifiedAt.toISOString(),
    mode,
    uid,
    gid,
    target: kind === 'link' ? textOfName(target) : null,
  };
}
