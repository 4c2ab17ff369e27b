/** Verifies OpenPGP signatures with `gpgv` in the sandbox. Trusted is one fingerprint that stands in our own data; the key itself
 *  may come from anywhere, because a key with that fingerprint is that key. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '#kernel/errors.ts';
import { runSandboxed } from '#platform/sandbox.ts';

export interface SignatureToVerify {
  /** What was signed; for a clear-signed message, the whole message. */
  readonly data: Uint8Array;
  /** The detached signature, armored or not; null when `data` is clear-signed. */
  readonly signature: Uint8Array | null;
  /** Public keys, armored or not. */
  readonly keys: Uint8Array;
  /** The primary key's fingerprint, 40 hexadecimal digits. */
  readonly fingerprint: string;
}

export type SignatureVerdict =
  /** `content` is exactly what the signature covers. */
  | { readonly verdict: 'valid'; readonly content: Buffer }
  /** Someone signed something else, or the key is another one: do not use the content. */
  | { readonly verdict: 'invalid'; readonly reason: string }
  /** Nothing can be said: no usable key, no signature, no gpgv. */
  | { readonly verdict: 'unknown'; readonly reason: string };

const CLEARSIGNED = '-----BEGIN PGP SIGNED MESSAGE-----';
const ARMORED_KEY =
  /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n([A-Za-z0-9+/=\r\n]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END PGP PUBLIC KEY BLOCK-----/g;

/** A keyring as gpgv reads it: the bare packets. */
function bareKeys(keys: Uint8Array): Buffer {
  const text = Buffer.from(keys).toString('latin1');
  if (!text.includes('-----BEGIN PGP PUBLIC KEY BLOCK-----')) return Buffer.from(keys);
  return Buffer.concat([...text.matchAll(ARMORED_KEY)].map((block) => Buffer.from(block[1] ?? '', 'base64')));
}

/** @throws AppError of the sandbox when it cannot run at all; the signal's reason */
export async function verifySignature(request: SignatureToVerify, signal?: AbortSignal): Promise<SignatureVerdict> {
  const { data, signature, fingerprint } = request;
  const messages = Buffer.from(data).toString('latin1').split(CLEARSIGNED).length - 1;
  if (signature === null && messages === 0) return { verdict: 'unknown', reason: 'it carries no signature' };
  // With several messages in one file it would be unclear whose lines were read.
  if (signature === null && messages > 1)
    return { verdict: 'invalid', reason: 'it holds more than one signed message' };

  const folder = await mkdtemp(join(tmpdir(), 'hv-gpgv-'));
  try {
    const path = (name: string) => join(folder, name);
    await writeFile(path('keys.gpg'), bareKeys(request.keys));
    await writeFile(path('data'), data);
    if (signature !== null) await writeFile(path('signature'), signature);
    const output = signature === null ? ['--output', '-', path('data')] : [path('signature'), path('data')];
    const answer = await runSandboxed(
      ['gpgv', '--homedir', '/tmp', '--status-fd', '2', '--keyring', path('keys.gpg'), ...output],
      {
        readOnly: [folder],
        timeoutMs: 30_000,
        ...(signal === undefined ? {} : { signal }),
      },
    );
    return judge(answer, fingerprint, signature === null ? Buffer.from(answer.stdout, 'utf8') : Buffer.from(data));
  } catch (error) {
    if (error instanceof AppError && error.code === 'program_missing')
      return { verdict: 'unknown', reason: 'gpgv is not installed' };
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function judge({ stderr }: { stderr: string }, fingerprint: string, content: Buffer): SignatureVerdict {
  const words = new Set<string>();
  const goodSigners: string[] = [];
  let isGood = false;
  for (const [, word = '', rest = ''] of stderr.matchAll(/^\[GNUPG:\] ([A-Z_]+) ?(.*)$/gm)) {
    words.add(word);
    if (word === 'NEWSIG' || word.endsWith('SIG')) isGood = word === 'GOODSIG' || (word === 'VALIDSIG' && isGood);
    // VALIDSIG ends with the primary key's fingerprint (the first one may be a subkey's), and follows expired signatures too.
    if (word === 'VALIDSIG' && isGood) goodSigners.push(rest.slice(rest.lastIndexOf(' ') + 1).toUpperCase());
  }
  if (words.has('BADSIG')) return { verdict: 'invalid', reason: 'the content is not what was signed' };
  if (goodSigners.includes(fingerprint.toUpperCase())) return { verdict: 'valid', content };
  if (goodSigners.length > 0) return { verdict: 'invalid', reason: 'another key signed it' };
  if (words.has('EXPKEYSIG') || words.has('REVKEYSIG') || words.has('EXPSIG')) {
    return { verdict: 'invalid', reason: 'the key or signature has expired or was revoked' };
  }
  if (words.has('NO_PUBKEY')) return { verdict: 'unknown', reason: 'the key that signed it is not the known one' };
  return { verdict: 'unknown', reason: 'the signature or the key cannot be read' };
}
