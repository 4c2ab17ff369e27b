/** Small files that may not change unseen, repo.json and manifests: a line of JSON, and a line with its digest and, in encrypted
 *  repositories, its MAC. Every byte of the file counts. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** Why the file is not what it was when it was written; for people. */
export class EnvelopeDamage extends Error {}

export function sealEnvelope(body: unknown, macKey: Uint8Array | null): Buffer {
  const line = Buffer.from(JSON.stringify(body));
  return Buffer.concat([line, Buffer.from(`\n${secondLine(line, macKey)}\n`)]);
}

/** The body and the SHA-256 of its line, once digest and MAC fit.
 *  @param macKey null when the repository has none, `unknown` when it has one that is not at hand: then only the digest is compared
 *  @throws EnvelopeDamage */
export function openEnvelope(
  bytes: Buffer,
  macKey: Uint8Array | null | 'unknown',
): { readonly body: unknown; readonly digest: string } {
  const end = bytes.indexOf(0x0a);
  if (end === -1) throw new EnvelopeDamage('it ends in its first line');
  const line = bytes.subarray(0, end);
  const rest = bytes.subarray(end + 1).toString('latin1');
  const digest = sha256(line);
  if (macKey === 'unknown') {
    if (!/^\{"sha256":"[0-9a-f]{64}","mac":"[0-9a-f]{64}"\}\n$/.test(rest) || rest.slice(11, 75) !== digest)
      throw new EnvelopeDamage('its first line does not have the digest of its second');
  } else {
    const expected = Buffer.from(`${secondLine(line, macKey)}\n`);
    const found = Buffer.from(rest, 'latin1');
    if (found.length !== expected.length || !timingSafeEqual(found, expected))
      throw new EnvelopeDamage('its first line does not have the digest or MAC of its second');
  }
  try {
    const body: unknown = JSON.parse(line.toString('utf8'));
    return { body, digest };
  } catch (cause) {
    throw new EnvelopeDamage('its first line is not JSON', { cause });
  }
}

/** The body without any check, to find the wrapped keys without which nothing can be checked. @throws EnvelopeDamage */
export function peekEnvelope(bytes: Buffer): unknown {
  const [line = ''] = bytes.toString('utf8').split('\n', 1);
  try {
    const body: unknown = JSON.parse(line);
    return body;
  } catch (cause) {
    throw new EnvelopeDamage('its first line is not JSON', { cause });
  }
}

const sha256 = (line: Buffer) => createHash('sha256').update(line).digest('hex');

function secondLine(line: Buffer, macKey: Uint8Array | null): string {
  const mac = macKey ? createHmac('sha256', macKey).update(line).digest('hex') : null;
  return JSON.stringify({ sha256: sha256(line), mac });
}
