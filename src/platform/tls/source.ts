/** Where the dashboard's certificate comes from: the machine's own authority, files of the administrator, or an ACME authority. */

import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Config } from '../config.ts';
import { createFetcher } from '../fetch/index.ts';
import { readTrustedFile } from '../secret-file.ts';
import { createAcmeCertificate } from './acme/certificate.ts';
import { ensureServerCertificate } from './authority.ts';
import { readGivenCertificate, uncoveredNames } from './given-certificate.ts';
import type { ServerCertificate } from './pair.ts';

const HOUR_MS = 3_600_000;
const GIVEN_LOOK_MS = 10_000;
/** The port that the ACME server asks on must be open by then. */
const ACME_FIRST_LOOK_MS = 1000;

export interface CertificateSource {
  /** To begin with; does not wait for the network. @throws ConfigError when the configured files cannot be used */
  first(now: Date): Promise<ServerCertificate>;
  /** To use now, renewed when it is time. @throws Error when the one in use has to stay */
  ensure(now: Date): Promise<ServerCertificate>;
  readonly looks: { readonly firstMs: number; readonly everyMs: number };
}

export interface SourceParts {
  readonly config: Pick<Config, 'tls' | 'state' | 'publicNames'>;
  /** For the own authority's certificate. */
  readonly names: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Answers an ACME server on port 80; null ends it. */
  readonly showProof: (token: string, text: string | null) => void;
  readonly signal: AbortSignal;
}

/** @throws ConfigError when the configured authority of the ACME server cannot be read or trusted */
export async function certificateSource(parts: SourceParts): Promise<CertificateSource> {
  const { config, names, clock, log } = parts;
  const { certificateFile, keyFile, acme } = config.tls;
  const own = (now: Date) => ensureServerCertificate(config.state.ca, names, hostname(), now);

  if (certificateFile !== undefined && keyFile !== undefined) {
    const ensure = (now: Date) => readGivenCertificate({ certificateFile, keyFile }, now);
    return {
      async first(now) {
        const given = await ensure(now);
        const missing = uncoveredNames(given, config.publicNames.map(withoutPort));
        if (missing.length > 0)
          log.warn({ names: missing }, 'browsers will warn: tls.certificateFile is not for these names');
        return given;
      },
      ensure,
      looks: { firstMs: GIVEN_LOOK_MS, everyMs: GIVEN_LOOK_MS },
    };
  }
  if (acme !== undefined) {
    const { host } = new URL(acme.directoryUrl);
    const ca = acme.caFile === undefined ? undefined : await readTrustedFile(acme.caFile, 'tls.acme.caFile');
    const certificate = createAcmeCertificate({
      dir: join(config.state.root, 'acme'),
      settings: acme,
      fetcher: createFetcher({ allowPrivateHosts: [host], ...(ca === undefined ? {} : { ca }) }),
      standIn: own,
      clock,
      log,
      showProof: parts.showProof,
      signal: parts.signal,
    });
    return {
      first: certificate.current,
      ensure: certificate.ensure,
      looks: { firstMs: ACME_FIRST_LOOK_MS, everyMs: HOUR_MS },
    };
  }
  return { first: own, ensure: own, looks: { firstMs: HOUR_MS, everyMs: HOUR_MS } };
}

const withoutPort = (name: string): string => name.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^([^:]+):\d+$/, '$1');
