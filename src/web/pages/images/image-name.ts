/** A good name for an image, made from its file name. Pure: tested without a browser. */

import type { ImageKind } from '#contract/images.ts';
import { NAME_PATTERN, RESERVED_NAME_PATTERN } from '#kernel/names.ts';

const ENDINGS = /(\.(iso|img|qcow2|raw|vmdk|vdi|xz|gz|zst|bz2|efi))+$/i;

/** Always a valid name, at most 63 characters; `image` when nothing usable is left. */
export function nameFromFile(fileName: string): string {
  const base = fileName.slice(fileName.lastIndexOf('/') + 1).split(/[?#]/)[0] ?? '';
  const name = base
    .replace(ENDINGS, '')
    .toLowerCase()
    .normalize('NFKD')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '');
  return NAME_PATTERN.test(name) && !RESERVED_NAME_PATTERN.test(name) ? name : 'image';
}

/** What the file's ending says that it is; null when it says nothing. */
export function kindFromFile(fileName: string): ImageKind | null {
  if (/\.iso$/i.test(fileName)) return 'iso';
  if (/\.(qcow2|img|raw|vmdk|vdi)$/i.test(fileName)) return 'disk';
  if (/^(vmlinuz|bzimage|linux)/i.test(fileName)) return 'kernel';
  if (/^(initrd|initramfs)/i.test(fileName)) return 'initrd';
  return null;
}
