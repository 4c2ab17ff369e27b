/** Identifiers. Operation ids sort by time and are safe in file names, XML and URLs. */

import { randomBytes, randomUUID } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

function base32(bytes: Uint8Array): string {
  let out = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += ALPHABET[(value >>> bits) & 31];
    }
  }
  return out;
}

function timeSorted(now: number): string {
  let time = '';
  for (let rest = now, digit = 0; digit < 10; digit += 1) {
    time = `${ALPHABET[rest % 32]}${time}`;
    rest = Math.floor(rest / 32);
  }
  return time + base32(randomBytes(10));
}

/** An id with a kind, as `op-01h2…`: 26 characters after the dash, the first 10 of them time. */
export function newId(
  kind:
    | 'op'
    | 'img'
    | 'upl'
    | 'req'
    | 'aud'
    | 'ses'
    | 'trash'
    | 'tkt'
    | 'usr'
    | 'grp'
    | 'role'
    | 'grant'
    | 'tok'
    | 'key'
    | 'prj'
    | 'psk'
    | 'oid'
    | 'chn'
    | 'sil'
    | 'ntc'
    | 'rule'
    | 'heal'
    | 'repo'
    | 'rp'
    | 'proof'
    | 'sched',
  now: number = Date.now(),
): string {
  return `${kind}-${timeSorted(now)}`;
}

/** A UUID, version 4, as libvirt writes it: lower case with dashes. */
export function newUuid(): string {
  return randomUUID();
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** A MAC address in QEMU's range 52:54:00, unicast. */
export function newMac(): string {
  return `52:54:00:${[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
}

/** A secret of 256 bits, as 43 characters of base64url. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}
