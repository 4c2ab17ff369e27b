/** Places in a volume of a restore point, and permission bits as people read them. Names are as the API lists them: never empty, without `/`. */

import type { FileEntry } from '#contract/backup-files.ts';

export function namesOf(path: string): readonly string[] {
  return path.split('/').filter((name) => name !== '');
}

export function pathOfNames(names: readonly string[]): string {
  return `/${names.join('/')}`;
}

/** The folder and each one above it, from the root on. */
export function foldersTo(path: string): readonly { readonly name: string; readonly path: string }[] {
  const names = namesOf(path);
  return names.map((name, index) => ({ name, path: pathOfNames(names.slice(0, index + 1)) }));
}

export function inFolder(path: string, name: string): string {
  return pathOfNames([...namesOf(path), name]);
}

/** Where the dashboard shows the volumes of a restore point. */
export const filesPath = (pointId: string): string => `/backups/points/${encodeURIComponent(pointId)}/files`;

/** Where it shows a folder. */
export function placePath(pointId: string, volume: string, path: string): string {
  return `${filesPath(pointId)}?${new URLSearchParams({ volume, folder: path })}`;
}

const KINDS: Readonly<Record<FileEntry['kind'], string>> = {
  file: '-',
  folder: 'd',
  link: 'l',
  other: '?',
  unreadable: '?',
};

/** As `drwxr-xr-x`. @param mode permission bits, with set-user-id, set-group-id and sticky */
export function modeText({ kind, mode }: Pick<FileEntry, 'kind' | 'mode'>): string {
  const part = (shift: number, special: number, letter: string): string => {
    const bits = (mode >> shift) & 7;
    const isSpecial = (mode & special) !== 0;
    const runs = (bits & 1) !== 0;
    const last = isSpecial ? (runs ? letter : letter.toUpperCase()) : runs ? 'x' : '-';
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last}`;
  };
  return `${KINDS[kind]}${part(6, 0o4000, 's')}${part(3, 0o2000, 's')}${part(0, 0o1000, 't')}`;
}
