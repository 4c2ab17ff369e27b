/** A certificate that the administrator brings, as files that the configuration names. Read anew when they change; a pair that
 *  cannot be used is told of in words that mend it, and the one in use stays. */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { ConfigError } from '../config.ts';
import { readSecretFile, readTrustedFile } from '../secret-file.ts';
import type { ServerCertificate } from './pair.ts';

const CLOCK_STEP_MS = 60_000;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export interface GivenFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** @throws ConfigError naming file and mend: unreadable, open to others, not PEM, not fitting, over or not begun */
export async function readGivenCertificate(files: GivenFiles, now: Date): Promise<ServerCertificate> {
  const [pem, keyPem] = await Promise.all([
    readTrustedFile(files.certificateFile, 'tls.certificateFile'),
    readSecretFile(files.keyFile, 'tls.keyFile'),
  ]);
  const chain = parseChain(pem, files.certificateFile);
  const key = parseKey(keyPem, files.keyFile);
  const [leaf] = chain;
  if (!leaf.checkPrivateKey(key)) {
    const other = chain.findIndex((certificate) => certificate.checkPrivateKey(key));
    throw new ConfigError(
      other > 0
        ? `tls.certificateFile: in ${files.certificateFile} the certificate of the key is number ${other + 1}. Mend: put it first, then those that signed it.`
        : `tls.keyFile: ${files.keyFile} is not the key of ${files.certificateFile}. Mend: name the two files that belong together.`,
    );
  }
  checkTime(leaf, files.certificateFile, now);
  return { certificate: chain.map(String).join(''), key: keyPem, fingerprint: leaf.fingerprint256 };
}

function parseChain(pem: string, path: string): [X509Certificate, ...X509Certificate[]] {
  try {
    const [first, ...rest] = (pem.match(PEM_CERTIFICATE) ?? []).map((text) => new X509Certificate(text));
    if (first) return [first, ...rest];
  } catch (error) {
    throw new ConfigError(
      `tls.certificateFile: a certificate in ${path} is damaged: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  throw new ConfigError(
    `tls.certificateFile: ${path} holds no certificate in PEM form. Mend: openssl x509 -inform der -in FILE -out ${path}`,
  );
}

function parseKey(pem: string, path: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED/m.test(pem))
    throw new ConfigError(
      `tls.keyFile: ${path} is locked by a passphrase, and nobody is there to type it. Mend: openssl pkey -in ${path} -out FILE`,
    );
  try {
    return createPrivateKey(pem);
  } catch {
    // What OpenSSL says of the inside of a key helps nobody and does not belong in a log.
    throw new ConfigError(`tls.keyFile: ${path} holds no private key in PEM form.`);
  }
}

function checkTime(leaf: X509Certificate, path: string, now: Date): void {
  if (Date.parse(leaf.validTo) <= now.getTime())
    throw new ConfigError(
      `tls.certificateFile: ${path} ended on ${leaf.validTo}. Mend: put a new one there, or take tls.certificateFile out to use one of our own authority.`,
    );
  if (Date.parse(leaf.validFrom) - now.getTime() > CLOCK_STEP_MS)
    throw new ConfigError(
      `tls.certificateFile: ${path} begins on ${leaf.validFrom}, and this machine's clock says ${now.toISOString()}. Mend: set the clock, or use another certificate.`,
    );
}

/** The names of `wanted` that the certificate is not for, as a hint: browsers will warn there. */
export function uncoveredNames({ certificate }: ServerCertificate, wanted: readonly string[]): string[] {
  const leaf = new X509Certificate(certificate);
  return wanted.filter((name) => (isIP(name) ? leaf.checkIP(name) : leaf.checkHost(name)) === undefined);
}
