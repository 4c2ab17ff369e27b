/** The machine's own certificate authority and the dashboard's certificate: made at first start, renewed before they end. */

import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { runChecked } from '../process.ts';
import { type KeyedCertificate, publishPair, readPair, type ServerCertificate, syncFile } from './pair.ts';

const CA_DAYS = 3650;
const LEAF_DAYS = 397;
const RENEW_BEFORE_DAYS = 30;
const DAY_MS = 86_400_000;
/** Small corrections of the clock are no reason for a new certificate. */
const CLOCK_STEP_MS = 60_000;
const KEY_TYPE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** Signed by our own authority. */
export interface OwnServerCertificate extends ServerCertificate {
  readonly caCertificate: string;
}

const openssl = (args: readonly string[]) => runChecked(['openssl', ...args], { timeoutMs: 20_000 });

function makeAuthority(dir: string, hostname: string): Promise<KeyedCertificate> {
  return publishPair(dir, 'ca', async (scratch) => {
    const config = join(scratch, 'config');
    await writeFile(
      config,
      [
        '[req]',
        'prompt = no',
        'distinguished_name = dn',
        'x509_extensions = ext',
        '[dn]',
        'O = Hyper-NixOS',
        `CN = CA of ${commonName(hostname)}`,
        '[ext]',
        'basicConstraints = critical,CA:TRUE,pathlen:0',
        'keyUsage = critical,keyCertSign,cRLSign',
        'subjectKeyIdentifier = hash',
        '',
      ].join('\n'),
    );
    await openssl([
      'req',
      '-x509',
      ...KEY_TYPE,
      '-days',
      String(CA_DAYS),
      '-config',
      config,
      '-keyout',
      join(scratch, 'key'),
      '-out',
      join(scratch, 'pem'),
    ]);
  });
}

/** The same authority for another ten years: key and name stay, so certificates that it signed and copies that people trust
 *  hold on. Another serial number, because browsers refuse two certificates of one issuer with the same. */
async function prolongAuthority(dir: string): Promise<KeyedCertificate> {
  const scratch = await mkdtemp(join(dir, 'making-'));
  const [pem, key, made] = [join(dir, 'ca.pem'), join(dir, 'ca.key'), join(scratch, 'pem')];
  try {
    const validity = ['-set_serial', await newSerial(), '-days', String(CA_DAYS)];
    await openssl(['x509', '-in', pem, '-signkey', key, ...validity, '-out', made]);
    await syncFile(made);
    await rename(made, pem);
    await syncFile(dir);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  const authority = await readPair(dir, 'ca');
  if (!authority) throw new Error(`The certificate ca.pem vanished from ${dir}.`);
  return authority;
}

/** Positive, and never seen before. */
async function newSerial(): Promise<string> {
  const { stdout } = await openssl(['rand', '-hex', '16']);
  return `0x4${stdout.trim().slice(1)}`;
}

function makeLeaf(dir: string, names: readonly string[]): Promise<KeyedCertificate> {
  return publishPair(dir, 'server', async (scratch) => {
    const config = join(scratch, 'config');
    const alternatives = names.map((name) => `${isIP(name) ? 'IP' : 'DNS'}:${name}`).join(',');
    await writeFile(
      config,
      [
        '[req]',
        'prompt = no',
        'distinguished_name = dn',
        '[dn]',
        'O = Hyper-NixOS',
        `CN = ${commonName(names[0] ?? 'hyper')}`,
        '[ext]',
        'basicConstraints = critical,CA:FALSE',
        'keyUsage = critical,digitalSignature',
        'extendedKeyUsage = serverAuth',
        `subjectAltName = ${alternatives}`,
        'subjectKeyIdentifier = hash',
        'authorityKeyIdentifier = keyid',
        '',
      ].join('\n'),
    );
    const request = join(scratch, 'request');
    await openssl(['req', '-new', ...KEY_TYPE, '-config', config, '-keyout', join(scratch, 'key'), '-out', request]);
    await openssl([
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      join(dir, 'ca.pem'),
      '-CAkey',
      join(dir, 'ca.key'),
      '-set_serial',
      await newSerial(),
      '-days',
      String(LEAF_DAYS),
      '-extfile',
      config,
      '-extensions',
      'ext',
      '-out',
      join(scratch, 'pem'),
    ]);
  });
}

/** Host names come from the system and the configuration; only what is safe in openssl's configuration syntax goes in. */
const commonName = (name: string): string => name.replace(/[^A-Za-z0-9.:-]/g, '').slice(0, 50) || 'hyper';

/** True when it holds now and for so many days more. A clock that was wrong made certificates that begin in the future. */
function holds({ parsed }: KeyedCertificate, now: Date, days: number): boolean {
  const [from, to] = [Date.parse(parsed.validFrom), Date.parse(parsed.validTo)];
  return from - now.getTime() <= CLOCK_STEP_MS && to - now.getTime() > days * DAY_MS;
}

/** The certificate for these host names and addresses, made or renewed when needed.
 *  @param names letters, digits, dots, dashes and colons only, as the configuration's schema ensures
 *  @throws Error naming the file when an existing one is damaged: a CA that users trust is never replaced silently */
export async function ensureServerCertificate(
  dir: string,
  names: readonly string[],
  hostname: string,
  now: Date,
): Promise<OwnServerCertificate> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const kept = (await readPair(dir, 'ca')) ?? (await makeAuthority(dir, hostname));
  // Nothing that it signs may outlive it.
  const authority = holds(kept, now, LEAF_DAYS) ? kept : await prolongAuthority(dir);
  const old = await readPair(dir, 'server');
  const isUsable =
    old !== null &&
    holds(old, now, RENEW_BEFORE_DAYS) &&
    old.parsed.verify(authority.parsed.publicKey) &&
    names.every(
      (name) =>
        (isIP(name) ? old.parsed.checkIP(name) : old.parsed.checkHost(name, { subject: 'never' })) !== undefined,
    );
  const leaf = isUsable ? old : await makeLeaf(dir, names);
  return {
    certificate: `${leaf.pem}${authority.pem}`,
    key: leaf.keyPem,
    caCertificate: authority.pem,
    fingerprint: leaf.parsed.fingerprint256,
  };
}
