/** Names for images: taken from a file name or address when the user gives none. */

import { NAME_PATTERN, RESERVED_NAME_PATTERN } from '#kernel/names.ts';

const EXTENSION = /\.(iso|qcow2|img|raw|vmdk|vhdx?|vdi)$/i;
const MAX_LENGTH = 63;
const FALLBACK = 'image';

/** `Fedora-Cloud_43.x86_64.qcow2` is `fedora-cloud-43-x86-64`; with a number behind it when that is taken. */
export function nameFrom(fileName: string, isTaken: (name: string) => boolean): string {
  const plain = fileName
    .replace(EXTENSION, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_LENGTH - 4)
    .replace(/^-+|-+$/g, '');
  const base = NAME_PATTERN.test(plain) && !RESERVED_NAME_PATTERN.test(plain) ? plain : FALLBACK;
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!isTaken(name)) return name;
  }
}

/** The last part of an address's path, as `debian-13.qcow2`. */
export function fileNameOf(url: string): string {
  const path = new URL(url).pathname;
  const last = path.slice(path.lastIndexOf('/') + 1);
  try {
    return decodeURIComponent(last);
  } catch (error) {
    // A stray percent sign: the name is only a label.
    if (error instanceof URIError) return last;
    throw error;
  }
}
