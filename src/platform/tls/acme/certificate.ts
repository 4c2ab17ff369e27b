/** Keeps the certificate of an ACME authority: gets one, and a new one when a third of its life is left. Until the first is there,
 *  and where none can be had, the machine's own authority stands in. */

import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConfigFile } from '#contract/config.ts';
import type { Clock } from '#kernel/clock.ts';
import { hasErrno } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Fetcher } from '../../fetch/index.ts';
import { runChecked } from '../../process.ts';
import { type KeyedCertificate, publishPair, readPair, type ServerCertificate } from '../pair.ts';
import { orderCertificate } from './order.ts';

type AcmeSettings = NonNullable<ConfigFile['tls']['acme']>;

export interface AcmeParts {
  /** Folder of its own; made when it is missing. */
  readonly dir: string;
  readonly settings: AcmeSettings;
  readonly fetcher: Pick<Fetcher, 'call'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly showProof: (token: string, text: string | null) => void;
  /** The own authority's certificate. */
  readonly standIn: (now: Date) => Promise<ServerCertificate>;
  readonly signal: AbortSignal;
}

export interface AcmeCertificate {
  /** What is there: never waits for the network. */
  current(now: Date): Promise<ServerCertificate>;
  /** The same, renewed before when it is time. @throws Error when it is time and could not be done */
  ensure(now: Date): Promise<ServerCertificate>;
}

const isOver = ({ parsed }: KeyedCertificate, now: Date): boolean => Date.parse(parsed.validTo) <= now.getTime();

/** True when less than a third of its life is left, or a name is missing. */
function isDue({ parsed }: KeyedCertificate, names: readonly string[], now: Date): boolean {
  const [from, to] = [Date.parse(parsed.validFrom), Date.parse(parsed.validTo)];
  return to - now.getTime() < (to - from) / 3 || names.some((name) => parsed.checkHost(name) === undefined);
}

async function accountKey(dir: string): Promise<KeyObject> {
  const path = join(dir, 'account.key');
  try {
    return createPrivateKey(await readFile(path, 'utf8'));
  } catch (error) {
    if (!hasErrno(error, 'ENOENT'))
      throw new Error(`The ACME account's key ${path} is damaged. Move it away to have a new account made.`, {
        cause: error,
      });
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, flag: 'wx' });
  return privateKey;
}

/** A new key and the request for it, DER. */
async function makeRequest(scratch: string, names: readonly string[]): Promise<Buffer> {
  const config = join(scratch, 'config');
  const out = join(scratch, 'request');
  // Host names only, as the configuration's schema ensures: nothing of openssl's own syntax is among their characters.
  const lines = ['[req]', 'prompt = no', 'distinguished_name = dn', 'req_extensions = ext', '[dn]', '[ext]'];
  await writeFile(config, `${lines.join('\n')}\nsubjectAltName = ${names.map((name) => `DNS:${name}`).join(',')}\n`);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', join(scratch, 'key')];
  const argv = ['openssl', 'req', '-new', ...key, '-config', config, '-subj', '/', '-outform', 'DER', '-out', out];
  await runChecked(argv, { timeoutMs: 20_000 });
  return readFile(out);
}

export function createAcmeCertificate(parts: AcmeParts): AcmeCertificate {
  const { dir, settings, standIn, log } = parts;
  const shown = ({ pem, keyPem, parsed }: KeyedCertificate): ServerCertificate => ({
    certificate: pem,
    key: keyPem,
    fingerprint: parsed.fingerprint256,
  });
  const stored = async (): Promise<KeyedCertificate | null> => {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return readPair(dir, 'server');
  };
  const order = () =>
    publishPair(dir, 'server', async (scratch) => {
      const request = await makeRequest(scratch, settings.names);
      const { directoryUrl, names, contact } = settings;
      const key = await accountKey(dir);
      const pem = await orderCertificate({ ...parts, directoryUrl, names, contact, accountKey: key, request });
      const made = new X509Certificate(pem);
      const own = createPrivateKey(await readFile(join(scratch, 'key'), 'utf8'));
      if (!made.checkPrivateKey(own) || names.some((name) => made.checkHost(name) === undefined))
        throw new Error('the ACME server gave a certificate for another key or for other names');
      await writeFile(join(scratch, 'pem'), pem);
    });

  return {
    async current(now) {
      const held = await stored();
      return held && !isOver(held, now) ? shown(held) : standIn(now);
    },
    async ensure(now) {
      const held = await stored();
      if (held && !isDue(held, settings.names, now)) return shown(held);
      const made = await order();
      log.info({ names: settings.names, until: made.parsed.validTo }, 'the ACME authority gave a certificate');
      return shown(made);
    },
  };
}
