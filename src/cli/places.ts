/** Places of copies on the command line: where they lie, and what opens them. Secrets come from files or the environment, never from
 *  arguments: those every user of the machine can read. */

import type { PlaceSecrets, PlaceSettings } from '#contract/backups.ts';
import { ApiProblem } from '#contract/client.ts';
import { confirmYes } from './ask.ts';
import { usageFailure } from './failure.ts';
import { readSecretFile, readSmallFile } from './files.ts';
import type { Output } from './output.ts';
import { safeText } from './text.ts';
import { textOption } from './values.ts';

export const SECRET_OPTIONS = {
  'password-file': textOption('FILE', 'SFTP: the password, - for stdin'),
  'private-key': textOption('FILE', 'SFTP: a private key of OpenSSH'),
  'passphrase-file': textOption('FILE', 'SFTP: the passphrase of the private key'),
  'secret-key-file': textOption('FILE', 'S3: the secret key, - for stdin; AWS_SECRET_ACCESS_KEY unless given'),
};

/** What a place needs to be reached, beside its secrets. */
export const PLACE_OPTIONS = {
  'host-key': textOption('SHA256:…', 'SFTP: the key of the host'),
  endpoint: textOption('URL', 'S3: address of the service'),
  region: textOption('NAME', 'S3: region of the bucket; us-east-1 unless given'),
  'access-key': textOption('KEY', 'S3: the access key; AWS_ACCESS_KEY_ID unless given'),
  'ca-file': textOption('FILE', 'S3: certificate authorities to trust'),
};

interface SecretFiles {
  readonly 'password-file'?: string | undefined;
  readonly 'private-key'?: string | undefined;
  readonly 'passphrase-file'?: string | undefined;
  readonly 'secret-key-file'?: string | undefined;
}

/** Those that are given. @param kind of a place that is reached with them; null = they change some of what is known */
export async function secretsOf(
  files: SecretFiles,
  kind: PlaceSettings['kind'] | null,
  env: NodeJS.ProcessEnv,
): Promise<PlaceSecrets> {
  const { 'password-file': password, 'private-key': privateKey, 'passphrase-file': passphrase } = files;
  const file = files['secret-key-file'];
  const told = kind === 's3' ? env['AWS_SECRET_ACCESS_KEY'] || undefined : undefined;
  const secretKey = file === undefined ? told : await readSecretFile(file);
  return {
    ...(password === undefined ? {} : { password: await readSecretFile(password) }),
    ...(privateKey === undefined ? {} : { privateKey: await readSmallFile(privateKey) }),
    ...(passphrase === undefined ? {} : { passphrase: await readSecretFile(passphrase) }),
    ...(secretKey === undefined ? {} : { secretKey }),
  };
}

interface PlaceOptions {
  readonly 'host-key'?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly 'access-key'?: string | undefined;
  readonly 'lock-days'?: number | undefined;
  readonly 'ca-file'?: string | undefined;
}

/** `sftp://user@host:22/srv/copies` or `s3://bucket/prefix`. */
export async function placeOf(address: string, options: PlaceOptions, env: NodeJS.ProcessEnv): Promise<PlaceSettings> {
  const url = URL.parse(address);
  if (url?.protocol === 'sftp:') {
    if (url.username === '' || url.pathname.length < 2)
      throw usageFailure(`"${address}" is no place`, 'Use sftp://USER@HOST/FOLDER; the password goes into a file.');
    return {
      kind: 'sftp',
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? 22 : Number(url.port),
      user: decodeURIComponent(url.username),
      folder: url.pathname.startsWith('/~/') ? url.pathname.slice(3) : url.pathname,
      hostKey: options['host-key'] ?? null,
    };
  }
  if (url?.protocol !== 's3:' || url.hostname === '')
    throw usageFailure(`"${address}" is no place`, 'Use sftp://USER@HOST/FOLDER or s3://BUCKET/PREFIX.');
  const { endpoint, 'ca-file': caFile } = options;
  const accessKey = options['access-key'] ?? (env['AWS_ACCESS_KEY_ID'] || undefined);
  if (endpoint === undefined || accessKey === undefined)
    throw usageFailure(
      'the service is missing',
      'Give --endpoint https://HOST, and --access-key KEY or AWS_ACCESS_KEY_ID.',
    );
  return {
    kind: 's3',
    endpoint: endpoint.replace(/\/$/, ''),
    region: options.region ?? 'us-east-1',
    bucket: url.hostname,
    prefix: url.pathname.replace(/^\/|\/$/g, ''),
    accessKey,
    lockDays: options['lock-days'] ?? null,
    ca: caFile === undefined ? null : await readSmallFile(caFile),
  };
}

export const isPlaceAddress = (text: string): boolean => /^(sftp|s3):\/\//.test(text);

/** Does the work; when the host shows a key that nobody accepted yet, a person at a terminal is asked, and it is done with that one.
 *  @returns the place that the work was done with too */
export async function withHostKey<Place extends { readonly place?: PlaceSettings }, Result>(
  output: Output,
  at: Place,
  work: (at: Place) => Promise<Result>,
): Promise<{ readonly at: Place; readonly result: Result }> {
  try {
    return { at, result: await work(at) };
  } catch (error) {
    const { place } = at;
    if (!(error instanceof ApiProblem) || error.problem.code !== 'host_key_unknown') throw error;
    const hostKey = error.problem.params?.['hostKey'];
    if (place?.kind !== 'sftp' || typeof hostKey !== 'string' || !output.isInteractive) throw error;
    output.message(`${safeText(place.host)} shows the key ${safeText(hostKey)}.`);
    output.message('Compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says over there.');
    if (!(await confirmYes('Is it the same?'))) throw error;
    const accepted = { ...at, place: { ...place, hostKey } };
    return { at: accepted, result: await work(accepted) };
  }
}
