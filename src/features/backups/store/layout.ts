/** Where everything lies below the folder of a repository. */

import { join } from 'node:path';
import { type Files, HOST_FILES } from './files.ts';
import { chunksOf, objectPath } from './object-path.ts';

export const SETTINGS_FILES = ['repo.json', 'repo-copy.json'] as const;

export interface Layout {
  readonly folder: string;
  /** How what lies there is read. */
  readonly files: Files;
  /** Not on a file system of this host: nothing is locked, and nothing but copies is written there. */
  readonly isElsewhere: boolean;
  readonly settings: readonly [string, string];
  readonly chunks: string;
  readonly manifests: string;
  readonly quarantine: string;
  readonly damage: string;
  readonly locks: string;
  readonly tmp: string;
  /** The file of an object; `id` in hex. */
  object(id: string): string;
  /** A manifest's file; sorted by name they are sorted by `seq`. */
  manifest(vm: string, seq: number, pointId: string): string;
}

const MANIFEST = /^(\d{10})-(rp-[0-9a-z]{26})\.json$/;

export const isObjectId = (name: string) => /^[0-9a-f]{64}$/.test(name);

/** @param files of another place, where `folder` is empty and paths are counted from its root */
export function layoutOf(folder: string, files: Files = HOST_FILES): Layout {
  const chunks = chunksOf(folder);
  const manifests = join(folder, 'manifests');
  return {
    folder,
    files,
    isElsewhere: files !== HOST_FILES,
    settings: [join(folder, SETTINGS_FILES[0]), join(folder, SETTINGS_FILES[1])],
    chunks,
    manifests,
    quarantine: join(folder, 'quarantine'),
    damage: join(folder, 'damage'),
    locks: join(folder, 'locks'),
    tmp: join(folder, 'tmp'),
    object: (id) => objectPath(chunks, id),
    manifest: (vm, seq, pointId) => join(manifests, vm, `${String(seq).padStart(10, '0')}-${pointId}.json`),
  };
}

/** What the name of a manifest says; null for other files. */
export function readManifestName(name: string): { readonly seq: number; readonly pointId: string } | null {
  const match = MANIFEST.exec(name);
  return match ? { seq: Number(match[1]), pointId: match[2] ?? '' } : null;
}
