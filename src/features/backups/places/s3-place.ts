/** A bucket of an S3 service, below a prefix. With a lock everything that is written is kept by the service until a date, whoever asks to
 *  delete it. What a service says of sizes and sums is not counted on: copies are read back. */

import { createHash, randomBytes } from 'node:crypto';
import { AppError } from '#kernel/errors.ts';
import type { KeptAnswer } from '#platform/fetch/kept-connections.ts';
import { type Place, type PlaceEntry, type PlaceFile, UnfitFile } from '../store/index.ts';
import { createS3Requests, type S3Limits, S3Refusal, type S3Target, type Xml, xmlOf } from './s3-requests.ts';

const DAY_MS = 86_400_000;
/** See `copy-holds.ts`. */
const heldDays = (days: number) => 2 * days;

export function s3Place(target: S3Target, limits: S3Limits = {}): Place {
  const { ask, close } = createS3Requests(target, limits);
  const title = `s3://${new URL(target.endpoint).host}/${[target.bucket, target.prefix].filter((part) => part !== '').join('/')}`;
  const keyOf = (path: string) => (target.prefix === '' ? path : `${target.prefix}/${path}`);
  const pathOf = (key: string) => (target.prefix === '' ? key : key.slice(target.prefix.length + 1));
  let isVersioned: Promise<boolean> | null = null;

  const failed = (error: unknown, path: string): unknown => {
    if (!(error instanceof S3Refusal)) return error;
    if (error.status === 404)
      return Object.assign(new Error(`there is no ${path}`, { cause: error }), { code: 'ENOENT' });
    return new AppError(error.status === 403 ? 'place_denied' : 'place_failed', {
      detail: `${title} answered for ${path}: ${error.status} ${error.code}.`,
      cause: error,
    });
  };
  const isMissing = (error: unknown) => error instanceof S3Refusal && error.status === 404;

  /** Pages of a listing. @throws AppError place_failed for an answer that is no listing */
  async function* listed(query: Readonly<Record<string, string>>): AsyncGenerator<Xml> {
    let token: string | null = null;
    do {
      const answer: KeptAnswer = await ask({
        method: 'GET',
        key: '',
        query: { 'list-type': '2', ...query, ...(token === null ? {} : { 'continuation-token': token }) },
      }).catch((error: unknown) => {
        throw failed(error, query['prefix'] ?? '');
      });
      const page: Xml | null = answer.body === null ? null : xmlOf(answer.body);
      if (!page) throw new AppError('place_failed', { detail: `${title} answered no listing.` });
      yield page;
      token = page.text('IsTruncated') === 'true' ? page.text('NextContinuationToken') : null;
    } while (token !== null);
  }

  async function* files(query: Readonly<Record<string, string>>): AsyncGenerator<PlaceFile> {
    for await (const page of listed(query))
      for (const item of page.all('Contents')) {
        const key = item.text('Key') ?? '';
        // What a stranger answers beside what was asked for is not taken.
        if (!key.startsWith(query['prefix'] ?? '')) continue;
        yield {
          path: pathOf(key),
          sizeBytes: Number(item.text('Size')),
          modifiedMs: Date.parse(item.text('LastModified') ?? '') || 0,
        };
      }
  }

  const below = (folder: string) => keyOf(folder === '' ? '' : `${folder}/`);

  const lockHeaders = (): Readonly<Record<string, string>> =>
    target.lockDays === null
      ? {}
      : {
          'x-amz-object-lock-mode': 'COMPLIANCE',
          'x-amz-object-lock-retain-until-date': new Date(
            Date.now() + heldDays(target.lockDays) * DAY_MS,
          ).toISOString(),
        };

  const put = (path: string, bytes: Buffer, headers: Readonly<Record<string, string>>) =>
    ask({
      method: 'PUT',
      key: keyOf(path),
      body: bytes,
      headers: { 'Content-MD5': createHash('md5').update(bytes).digest('base64'), ...headers },
    });

  const versioned = () => {
    isVersioned ??= ask({ method: 'GET', key: '', query: { versioning: '' } }).then(
      ({ body }) => ['Enabled', 'Suspended'].includes((body && xmlOf(body)?.text('Status')) ?? ''),
      (error: unknown) => {
        // Who may not ask is taken to have none: then a deletion hides the file, and the service's own rules free its room.
        if (error instanceof S3Refusal) return false;
        isVersioned = null;
        throw error;
      },
    );
    return isVersioned;
  };

  const versionsOf = async (key: string): Promise<readonly string[]> => {
    const { body } = await ask({ method: 'GET', key: '', query: { versions: '', prefix: key, 'max-keys': '100' } });
    const page = body && xmlOf(body);
    if (!page) throw new AppError('place_failed', { detail: `${title} answered no listing.` });
    return [...page.all('Version'), ...page.all('DeleteMarker')]
      .filter((each) => each.text('Key') === key)
      .flatMap((each) => each.text('VersionId') ?? []);
  };

  const place: Place = {
    title,
    async read(path, maxBytes) {
      try {
        const { body } = await ask({ method: 'GET', key: keyOf(path), maxBytes });
        if (body === null) throw new UnfitFile('it is longer than it can be');
        return body;
      } catch (error) {
        throw failed(error, path);
      }
    },
    async names(folder) {
      const prefix = below(folder);
      const names: string[] = [];
      for await (const page of listed({ prefix, delimiter: '/' })) {
        for (const item of page.all('Contents')) names.push((item.text('Key') ?? '').slice(prefix.length));
        for (const item of page.all('CommonPrefixes'))
          names.push((item.text('Prefix') ?? '').slice(prefix.length).replace(/\/$/, ''));
      }
      return names.filter((name) => name !== '' && !/[/\0]/.test(name));
    },
    async sizeOf(path) {
      try {
        return Number((await ask({ method: 'HEAD', key: keyOf(path) })).header('content-length'));
      } catch (error) {
        if (isMissing(error)) return null;
        throw failed(error, path);
      }
    },
    async write(path, bytes) {
      try {
        await put(path, bytes, lockHeaders());
      } catch (error) {
        throw failed(error, path);
      }
    },
    async entries(folder) {
      const prefix = below(folder);
      const found: PlaceEntry[] = [];
      for await (const { path, ...facts } of files({ prefix, delimiter: '/' }))
        found.push({ name: keyOf(path).slice(prefix.length), ...facts });
      return found;
    },
    walk: (folder) => files({ prefix: below(folder) }),
    async remove(path) {
      const key = keyOf(path);
      try {
        if (!(await versioned())) await ask({ method: 'DELETE', key });
        else for (const versionId of await versionsOf(key)) await ask({ method: 'DELETE', key, query: { versionId } });
        return 'removed';
      } catch (error) {
        if (isMissing(error)) return 'removed';
        // Kept by a lock, or by credentials that may add and not delete.
        if (error instanceof S3Refusal && error.status === 403) return 'locked';
        throw failed(error, path);
      }
    },
    holds:
      target.lockDays === null
        ? null
        : {
            days: heldDays(target.lockDays),
            async extend(path) {
              const until = new Date(Date.now() + heldDays(target.lockDays ?? 0) * DAY_MS).toISOString();
              const body = Buffer.from(
                `<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>COMPLIANCE</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`,
              );
              try {
                await ask({
                  method: 'PUT',
                  key: keyOf(path),
                  query: { retention: '' },
                  body,
                  headers: { 'Content-MD5': createHash('md5').update(body).digest('base64') },
                });
              } catch (error) {
                throw failed(error, path);
              }
            },
          },
    freeBytes: async () => null,
    close,
  };
  return place;
}

/** Writes a file that is locked for a minute and tries to delete it: whoever can, could delete the copies too.
 *  @throws AppError object_lock_missing when the bucket has no lock, object_lock_ineffective when the deletion succeeds */
export async function proveLock(target: S3Target): Promise<void> {
  const { ask, close } = createS3Requests(target);
  const key = `${target.prefix === '' ? '' : `${target.prefix}/`}tmp/lock-probe-${randomBytes(6).toString('hex')}`;
  const body = Buffer.from('This file proves that files cannot be deleted here before their time.\n');
  try {
    const { header } = await ask({
      method: 'PUT',
      key,
      body,
      headers: {
        'Content-MD5': createHash('md5').update(body).digest('base64'),
        'x-amz-object-lock-mode': 'COMPLIANCE',
        'x-amz-object-lock-retain-until-date': new Date(Date.now() + 60_000).toISOString(),
      },
    });
    const versionId = header('x-amz-version-id');
    if (versionId === null)
      throw new AppError('object_lock_missing', { detail: `The bucket ${target.bucket} keeps no versions.` });
    const isDeleted = await ask({ method: 'DELETE', key, query: { versionId } }).then(
      () => true,
      (error: unknown) => {
        if (error instanceof S3Refusal && error.status === 403) return false;
        throw error;
      },
    );
    if (isDeleted)
      throw new AppError('object_lock_ineffective', { detail: `A locked file in ${target.bucket} could be deleted.` });
  } catch (error) {
    if (!(error instanceof S3Refusal)) throw error;
    throw new AppError('object_lock_missing', {
      detail: `The bucket ${target.bucket} does not take locked files: ${error.status} ${error.code}.`,
      cause: error,
    });
  } finally {
    await close();
  }
}
