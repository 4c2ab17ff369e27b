/** A name for a user whom an identity provider brings: safe everywhere, and nobody else's. */

import { NAME_PATTERN, RESERVED_NAME_PATTERN } from '#kernel/names.ts';

/** Leaves room for a number within what names may be. */
const MAX_LENGTH = 32;
/** Names that mean somebody in logs and on the sockets. */
const RESERVED: ReadonlySet<string> = new Set([
  'root',
  'system',
  'stranger',
  'operator',
  'admin',
  'hyper',
  'nobody',
  'local',
]);

/** @param wanted what the provider says, of any form; null when it says nothing
 *  @param isTaken whether a user of this name is there */
export function safeUserName(wanted: string | null, isTaken: (name: string) => boolean): string {
  const plain = (wanted ?? '')
    .slice(0, 200)
    .split('@')[0]
    ?.normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, MAX_LENGTH)
    .replace(/^-+|-+$/g, '');
  const base = plain && NAME_PATTERN.test(plain) && !RESERVED_NAME_PATTERN.test(plain) ? plain : 'user';
  const isFree = (name: string) => !RESERVED.has(name) && !isTaken(name);
  if (isFree(base)) return base;
  for (let number = 2; ; number += 1) if (isFree(`${base}-${number}`)) return `${base}-${number}`;
}
