/** The routes of the image library: parse, ask, answer. */

import type { ApiKey } from '#contract/api.ts';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { CatalogueEntry as CatalogueView } from '#contract/images.ts';
import type { Operation } from '#contract/operations.ts';
import type { OperationsApi } from '#features/operations/index.ts';
import { isUsableIn, type ProjectsApi } from '#features/projects/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { ApiRequest, Handlers } from '#platform/feature.ts';
import { parseFetchUrl } from '#platform/fetch/index.ts';
import {
  type CatalogueEntry,
  catalogue,
  findCatalogueEntry,
  knownUrl,
  nearestCatalogueId,
  searchCatalogue,
  verificationOf,
} from './catalogue.ts';
import { openSource } from './download-steps.ts';
import { type ImageFiles, plainSize } from './image-files.ts';
import { fileNameOf } from './image-name.ts';
import type { ImageNames, ReservedName } from './image-names.ts';
import { imageAsSeen, imageObject, isSeen } from './image-object.ts';
import { assertUnused, type createImageKinds, lastCheck } from './kinds.ts';
import type { ImageLibrary } from './library.ts';
import type { ImageStore, UploadRow } from './store.ts';
import type { Uploads } from './uploads.ts';

type Kinds = ReturnType<typeof createImageKinds>;
/** The kinds as the runner knows them. */
export type RegisteredImageKinds = { readonly [Name in keyof Kinds]: { readonly definition: Kinds[Name] } };

export interface ImageRoutesOptions {
  readonly store: ImageStore;
  readonly files: ImageFiles;
  readonly library: ImageLibrary;
  readonly uploads: Uploads;
  readonly operations: OperationsApi;
  readonly kinds: RegisteredImageKinds;
  readonly clock: Clock;
  readonly names: ImageNames;
  readonly projects: Pick<ProjectsApi, 'get' | 'usersOf'>;
  readonly publishUpload: (row: UploadRow, request: StartFacts) => Promise<Operation>;
}

/** What of a request an operation is started with. */
export type StartFacts = Pick<ApiRequest<ApiKey>, 'identity' | 'project' | 'idempotencyKey' | 'requestHash'> & {
  readonly requestId: string | null;
};

/** A page of a list sorted by name; the cursor is name and id of the item after which it begins. */
function pageOf<Item extends { readonly id: string; readonly name: string }>(
  items: readonly Item[],
  limit: number,
  cursor: string | undefined,
) {
  const keyOf = ({ id, name }: Item) => `${name} ${id}`;
  const begin = cursor === undefined ? 0 : items.findIndex((item) => keyOf(item) > cursor);
  const page = begin < 0 ? [] : items.slice(begin, begin + limit);
  const last = page.at(-1);
  const hasMore = begin >= 0 && begin + page.length < items.length;
  return { items: page, next: hasMore && last ? keyOf(last) : null, total: items.length };
}

function offsetOf(headers: Readonly<Record<string, string | undefined>>): number {
  const text = headers['upload-offset'];
  if (text !== undefined && /^\d{1,15}$/.test(text)) return Number(text);
  throw new AppError('invalid_input', {
    detail: 'The header Upload-Offset is missing or not a number.',
    fields: [
      {
        path: 'headers.upload-offset',
        problem: 'not a whole number',
        mend: 'Send the offset of the first byte, as the upload tells it.',
      },
    ],
  });
}

function announcedBytes(headers: Readonly<Record<string, string | undefined>>): number | null {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export function createImageRoutes(options: ImageRoutesOptions): Handlers {
  const { store, files, library, uploads, operations, kinds, clock, names, projects, publishUpload } = options;

  /** Begins what makes an image under the wanted name or a free one. */
  const startNamed = async (
    request: Parameters<OperationsApi['repeated']>[0],
    {
      project,
      wanted,
      fileName,
    }: { readonly project: string; readonly wanted: string | undefined; readonly fileName: string },
    start: (name: string) => Promise<Operation>,
  ): Promise<Operation> => {
    const { identity, idempotencyKey } = request;
    let reserved: ReservedName;
    try {
      reserved = names.reserve(
        project,
        wanted,
        fileName,
        idempotencyKey === null ? null : `${identity.user} ${idempotencyKey}`,
      );
    } catch (error) {
      // The same request may have come a moment ago, and its operation has the name.
      const repeated = await operations.repeated(request);
      if (repeated) return repeated;
      throw error;
    }
    try {
      return await start(reserved.name);
    } finally {
      reserved.release();
    }
  };
  const catalogueView = (entry: CatalogueEntry): CatalogueView => {
    const check = lastCheck(store, entry.id);
    return {
      id: entry.id,
      name: entry.name,
      version: entry.version,
      arch: entry.arch,
      kind: entry.kind,
      url: knownUrl(entry),
      homepage: entry.homepage,
      checksumUrl: entry.checksum.url,
      signatureUrl: entry.signature?.url ?? null,
      verification: verificationOf(entry),
      lastChecked: check?.checkedAt ?? null,
      lastResult: check?.detail ?? null,
      suggested: {
        vcpus: entry.suggested.vcpus,
        memoryBytes: entry.suggested.memoryBytes,
        diskBytes: entry.suggested.diskBytes,
        firmware: entry.suggested.firmware,
      },
      defaultUser: entry.defaultUser,
    };
  };
  const catalogueEntry = (id: string): CatalogueEntry => {
    const entry = findCatalogueEntry(id);
    if (entry) return entry;
    const near = nearestCatalogueId(id);
    throw new AppError('not_found', {
      detail: `The catalogue has no "${id.slice(0, 80)}"${near ? `; did you mean "${near}"?` : ''}.`,
      hint: '`hv image catalogue` lists all.',
    });
  };
  const upload = (id: string) => {
    const found = uploads.get(id);
    if (!found)
      throw new AppError('not_found', { detail: 'There is no such upload; it may have run out or been finished.' });
    return found;
  };

  return {
    'GET /images': ({ query, may }) => {
      const wanted = query.q?.toLowerCase() ?? '';
      const owner = query.project === undefined ? null : (projects.get(query.project)?.id ?? '');
      const within = query.usableIn === undefined ? null : (projects.get(query.usableIn)?.id ?? '');
      const fitting = library
        .list()
        .filter((image) => may('image.read', imageObject(image, projects)))
        .filter(({ project }) => owner === null || project === owner)
        .filter((image) => within === null || isUsableIn(within, 'image.read', imageObject(image, projects), may))
        .filter(
          ({ name, kind, label, source }) =>
            (query.kind === undefined || kind === query.kind) &&
            `${name} ${label ?? ''} ${source}`.toLowerCase().includes(wanted),
        );
      const page = pageOf(fitting, query.limit, query.cursor);
      return { ...page, items: page.items.map((image) => imageAsSeen(image, may)) };
    },
    'GET /images/{id}': ({ params, may }) => imageAsSeen(library.view(params.id), may),

    'PATCH /images/{id}': async ({ params, body, may }) => {
      const wasShared = store.image(params.id)?.shared === 1;
      const row = await store.shareImage(params.id, body.isShared);
      if (!row) throw new AppError('not_found', { detail: `There is no image "${params.id.slice(0, 80)}".` });
      if (wasShared && !body.isShared) library.announceUnshared(row);
      else library.announce(row);
      return imageAsSeen(library.view(row.id), may);
    },

    'DELETE /images/{id}': async (request) => {
      const repeated = await operations.repeated(request);
      if (repeated) return repeated;
      const { id } = library.view(request.params.id);
      const row = store.image(id);
      if (row) {
        assertUnused(row, await library.lookForUsers(row), (user) => isSeen(user, request.may));
        await plainSize(files.pathOf(row.file));
      }
      return operations.start(
        kinds.delete,
        { imageId: id, project: row?.project ?? DEFAULT_PROJECT, name: row?.name ?? id },
        { ...request, action: 'DELETE /images/{id}' },
      );
    },

    'POST /images/download': async (request) => {
      const repeated = await operations.repeated(request);
      if (repeated) return repeated;
      const { url, name, kind, sha256, sha512, checksumUrl } = request.body;
      parseFetchUrl(url);
      if (checksumUrl !== undefined) parseFetchUrl(checksumUrl);
      const input = {
        imageId: newId('img', clock.now().getTime()),
        project: request.body.project,
        kind: kind ?? null,
        url,
        digests: [
          ...(sha256 === undefined ? [] : [{ kind: 'sha256' as const, value: sha256 }]),
          ...(sha512 === undefined ? [] : [{ kind: 'sha512' as const, value: sha512 }]),
        ],
        checksumUrl: checksumUrl ?? null,
        catalogueId: null,
      };
      return startNamed(request, { project: input.project, wanted: name, fileName: fileNameOf(url) }, (free) =>
        operations.start(kinds.download, { ...input, name: free }, { ...request, action: 'POST /images/download' }),
      );
    },

    'POST /images/import': async (request) => {
      const repeated = await operations.repeated(request);
      if (repeated) return repeated;
      const { path, name, kind, sha256 } = request.body;
      const project = projects.get(request.body.project);
      if (!project)
        throw new AppError('not_found', { detail: `There is no project "${request.body.project.slice(0, 80)}".` });
      await (await openSource(path)).close();
      const input = {
        imageId: newId('img', clock.now().getTime()),
        project: project.id,
        kind: kind ?? null,
        path,
        sha256: sha256 ?? null,
      };
      const named = { project: project.id, wanted: name, fileName: path.slice(path.lastIndexOf('/') + 1) };
      return startNamed(request, named, (free) =>
        operations.start(
          kinds.import,
          { ...input, name: free },
          { ...request, project: project.id, action: 'POST /images/import' },
        ),
      );
    },

    'GET /images/catalogue': ({ query }) => {
      const items = searchCatalogue(query.q ?? '').map(catalogueView);
      return { items, next: null, total: items.length };
    },
    'POST /images/catalogue/check': async (request) => {
      const repeated = await operations.repeated(request);
      if (repeated) return repeated;
      const ids = (request.body.ids ?? catalogue.map(({ id }) => id)).map((id) => catalogueEntry(id).id);
      return operations.start(kinds.check, { ids }, { ...request, action: 'POST /images/catalogue/check' });
    },
    'POST /images/catalogue/{id}/download': async (request) => {
      const repeated = await operations.repeated(request);
      if (repeated) return repeated;
      const entry = catalogueEntry(request.params.id);
      const input = {
        imageId: newId('img', clock.now().getTime()),
        project: request.body.project,
        kind: entry.kind,
        url: null,
        digests: [],
        checksumUrl: null,
        catalogueId: entry.id,
      };
      const named = { project: input.project, wanted: request.body.name, fileName: entry.id };
      return startNamed(request, named, (free) =>
        operations.start(
          kinds.download,
          { ...input, name: free },
          { ...request, action: 'POST /images/catalogue/{id}/download' },
        ),
      );
    },

    'POST /images/uploads': ({ body, identity }) => uploads.begin(body, identity),
    'GET /images/uploads': ({ may }) => {
      const items = uploads.list().filter(({ id, project }) => may('image.upload', { type: 'upload', id, project }));
      return { items, next: null, total: items.length };
    },
    'GET /images/uploads/{id}': ({ params }) => upload(params.id),
    'PATCH /images/uploads/{id}': async (request) => {
      if (request.stream === null) {
        throw new AppError('invalid_input', {
          detail: 'The bytes of an upload come as application/offset+octet-stream.',
          hint: 'Set the Content-Type header.',
        });
      }
      return await uploads.append(
        request.params.id,
        offsetOf(request.headers),
        announcedBytes(request.headers),
        request.stream,
        (row) => publishUpload(row, request),
      );
    },
    'DELETE /images/uploads/{id}': async ({ params }) => {
      await uploads.cancel(params.id);
      return undefined;
    },
  };
}
