/** The built-in catalogue of well-known systems: data and look-up. `catalogue-online.ts` asks the network about an entry. */

import { nearestName } from '#kernel/names.ts';
import { debianUbuntuEntries } from './catalogue/debian-ubuntu.ts';
import type { CatalogueEntry } from './catalogue/entry.ts';
import { nixosEntries } from './catalogue/nixos.ts';
import { otherSystemEntries } from './catalogue/other-systems.ts';
import { redHatFamilyEntries } from './catalogue/red-hat-family.ts';

export type { CatalogueEntry } from './catalogue/entry.ts';

/** In the order in which to show them. */
export const catalogue: readonly CatalogueEntry[] = [
  ...nixosEntries,
  ...debianUbuntuEntries,
  ...redHatFamilyEntries,
  ...otherSystemEntries,
];

export function findCatalogueEntry(id: string): CatalogueEntry | null {
  return catalogue.find((entry) => entry.id === id) ?? null;
}

/** The id nearest to a mistyped one, or null. */
export function nearestCatalogueId(id: string): string | null {
  return nearestName(
    id,
    catalogue.map((entry) => entry.id),
  );
}

/** Entries that hold every word of `text` in their id, name, version or architecture; all of them for an empty text. */
export function searchCatalogue(text: string): readonly CatalogueEntry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return catalogue.filter((entry) => {
    const haystack =
      `${entry.id} ${entry.name} ${entry.version} ${entry.arch} ${entry.channel} ${entry.kind}`.toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
}

/** The address as known when the entry was written; where the name holds a version, the real one is found at download. */
export function knownUrl(entry: CatalogueEntry): string {
  return entry.folderUrl + ('name' in entry.file ? entry.file.name : entry.file.example);
}

/** The strongest check that an entry allows here. Signatures over the image itself, and those that are not OpenPGP, are not
 *  verified, so such an entry is `checksum`. */
export function verificationOf(entry: CatalogueEntry): 'signature' | 'checksum' {
  return entry.signature?.scheme === 'openpgp' && entry.signature.covers === 'checksum' ? 'signature' : 'checksum';
}
