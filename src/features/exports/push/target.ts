/** A target of the configuration, made ready: its secrets are read, and it may be reached although it lies on a private address, for
 *  whoever writes the configuration names the host thereby. */

import type { PushTarget } from '#contract/push-config.ts';
import type { Clock } from '#kernel/clock.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import { readSecretFile, readTrustedFile } from '#platform/secret-file.ts';
import { influxV1, influxV2 } from './influx.ts';
import type { PushKind } from './kind.ts';
import { otlp } from './otlp.ts';
import { remoteWrite } from './remote-write.ts';
import type { Snapshot } from './snapshot.ts';

export interface PushAnswer {
  readonly status: number;
  /** The header `Retry-After`, or null. */
  readonly retryAfter: string | null;
  /** The first words of the body. */
  readonly words: string;
}

export interface OpenTarget {
  readonly name: string;
  readonly kind: PushTarget['kind'];
  /** For people: without the query. */
  readonly address: string;
  /** Sends the figures from `from` up to, not including, `to`. Ends within half a minute. @throws AppError of `platform/fetch` */
  send(snapshot: Snapshot, from: number, to: number, signal: AbortSignal): Promise<PushAnswer>;
}

const LIMITS = { headersMs: 10_000, idleMs: 10_000, textMs: 30_000 } as const;
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_WORDS = 200;

/** @throws ConfigError naming the key */
export async function openTarget(target: PushTarget, clock: Clock): Promise<OpenTarget> {
  switch (target.kind) {
    case 'influx_v1':
      return open(target, influxV1, influxV1.url(target), clock);
    case 'influx_v2':
      return open(target, influxV2, influxV2.url(target), clock);
    case 'remote_write':
      return open(target, remoteWrite, remoteWrite.url(target), clock);
    case 'otlp':
      return open(target, otlp, otlp.url(target), clock);
  }
}

async function open(
  target: PushTarget,
  kind: Pick<PushKind<PushTarget['kind']>, 'headers' | 'authorization' | 'body'>,
  url: string,
  clock: Clock,
): Promise<OpenTarget> {
  const { hostname, port, protocol, origin, pathname } = new URL(url);
  const key = `metrics.push.${target.name}`;
  const ca = target.caFile === undefined ? null : await readTrustedFile(target.caFile, `${key}.caFile`);
  const headers = { ...kind.headers, ...(await authorization(target, kind.authorization, key)) };
  const fetcher = createFetcher({
    allowPrivateHosts: [`${hostname}:${port || (protocol === 'https:' ? '443' : '80')}`],
    allowKey: 'metrics.push',
    limits: LIMITS,
    clock,
    ...(ca === null ? {} : { ca }),
  });
  return {
    name: target.name,
    kind: target.kind,
    address: `${origin}${pathname}`,
    async send(snapshot, from, to, signal) {
      const { status, header, body } = await fetcher.call({
        url,
        method: 'POST',
        headers,
        body: kind.body(snapshot, from, to),
        maxBytes: MAX_ANSWER_BYTES,
        signal,
      });
      return { status, retryAfter: header('retry-after'), words: wordsOf(body) };
    },
  };
}

async function authorization(
  { tokenFile, user, passwordFile }: PushTarget,
  scheme: 'bearer' | 'token',
  key: string,
): Promise<Readonly<Record<string, string>>> {
  if (tokenFile !== undefined) {
    const token = (await readSecretFile(tokenFile, `${key}.tokenFile`)).trim();
    return { authorization: `${scheme === 'bearer' ? 'Bearer' : 'Token'} ${token}` };
  }
  if (user === undefined || passwordFile === undefined) return {};
  const password = (await readSecretFile(passwordFile, `${key}.passwordFile`)).replace(/\r?\n$/, '');
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

const wordsOf = (body: Buffer): string =>
  body
    .toString('utf8')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_WORDS);
