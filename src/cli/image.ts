/** `hv image`: the library of ISOs, cloud images and kernels, and the catalogue of well-known systems. */

import type { CatalogueEntry, Image } from '#contract/images.ts';
import { formatBytes } from '#kernel/units.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { finish } from './follow.ts';
import { markOf, stateText } from './glyphs.ts';
import { about, collect } from './objects.ts';
import { onlyProjectOption, projectNames, projectOption, withProject } from './project-names.ts';
import { type Column, printFacts, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { any, choiceOption, flag, one, textOption } from './values.ts';

const KINDS = ['iso', 'disk', 'kernel', 'initrd'] as const;
const VERIFIED = {
  signature: '● signature',
  checksum: '● checksum',
  given_checksum: '● given checksum',
  none: '▲ nothing',
} as const;

const COLUMNS: readonly Column<Image>[] = [
  {
    title: 'NAME',
    value: (image) => safeText(image.name),
    flexibleTo: 14,
    colour: (text, _image, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: (image) => stateText(image.state),
    colour: (text, image, paint) => paint(markOf(image.state).colour, text),
  },
  { title: 'KIND', value: (image) => image.kind },
  { title: 'SIZE', value: (image) => formatBytes(image.sizeBytes), align: 'right' },
  { title: 'CHECKED BY', value: (image) => VERIFIED[image.verified], isOptional: true },
  {
    title: 'USED BY',
    value: (image) => safeText(image.usedBy.map(({ name }) => name).join(', ')) || '–',
    flexibleTo: 8,
    isOptional: true,
  },
  { title: 'ADDED', value: (image) => ageText(image.createdAt), isOptional: true },
];

const CATALOGUE_COLUMNS: readonly Column<CatalogueEntry>[] = [
  { title: 'ID', value: (entry) => safeText(entry.id), colour: (text, _entry, paint) => paint('bold', text) },
  {
    title: 'SYSTEM',
    value: (entry) => safeText(entry.name.includes(entry.version) ? entry.name : `${entry.name} ${entry.version}`),
    flexibleTo: 14,
  },
  { title: 'KIND', value: (entry) => entry.kind },
  { title: 'ARCH', value: (entry) => safeText(entry.arch), isOptional: true },
  { title: 'CHECKED BY', value: (entry) => VERIFIED[entry.verification], isOptional: true },
  {
    title: 'SEEN ONLINE',
    value: (entry) => (entry.lastChecked === null ? '? never' : ageText(entry.lastChecked)),
    isOptional: true,
  },
  { title: 'FOUND', value: (entry) => safeText(entry.lastResult ?? ''), flexibleTo: 8, isOptional: true },
];

const imageName = one('NAME', 'name, PROJECT/NAME or id of the image', { completes: 'image' });
const nameOption = textOption('NAME', 'name in the library', { defaultText: 'made from the file name' });
const kindOption = choiceOption(KINDS, 'what it is', { defaultText: 'found out' });
const sha256Option = textOption('HEX', 'SHA-256 that the file must have');

/** `{ [key]: value }`, or nothing for undefined. */
function given<Key extends string, Value>(key: Key, value: Value | undefined): { readonly [Name in Key]?: Value } {
  const entry: { [Name in Key]?: Value } = {};
  if (value !== undefined) entry[key] = value;
  return entry;
}

function shareCommand(verb: 'share' | 'unshare', isShared: boolean) {
  return command({
    path: ['image', verb],
    summary: isShared ? 'Let all projects use an image' : 'Keep an image to its project again',
    details: isShared ? '' : 'VMs that were made of it, or have it in a drive, keep it.',
    positionals: { name: imageName },
    examples: [`image ${verb} debian-13-cloud`],
    run: async (context, { args }) => {
      const image = await about(context, 'image', args.name, (id) =>
        context.api('PATCH /images/{id}', { params: { id }, body: { isShared } }),
      );
      if (context.output.isJson) context.output.json(image);
      else
        context.output.line(
          `${safeText(image.name)} ${isShared ? 'is shared with all projects' : 'is its project’s own'}`,
        );
      return EXIT.done;
    },
  });
}

export const commands = defineCommands([
  command({
    path: ['image', 'list'],
    summary: 'List the images of the library',
    options: {
      project: onlyProjectOption,
      kind: choiceOption(KINDS, 'only of this kind'),
      search: textOption('TEXT', 'only with this in the name'),
    },
    examples: ['image list', 'image list --kind iso'],
    run: async (context, { options }) => {
      const { api, output } = context;
      const filter = {
        ...given('project', options.project),
        ...given('kind', options.kind),
        ...given('q', options.search),
      };
      const images = await collect((page) => api('GET /images', { query: { ...filter, ...page } }));
      if (output.isJson) output.json(images);
      else
        printTable(
          output,
          withProject(COLUMNS, await projectNames(context)),
          images,
          options.project || options.kind || options.search
            ? 'No image fits.'
            : 'No images yet. `hv image catalogue list` shows well-known systems; `hv image upload FILE` takes your own.',
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['image', 'show'],
    summary: 'Show an image',
    positionals: { name: imageName },
    examples: ['image show debian-13-cloud'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const image = await about(context, 'image', args.name, (id) => api('GET /images/{id}', { params: { id } }));
      if (output.isJson) {
        output.json(image);
        return EXIT.done;
      }
      const projects = await projectNames(context);
      printFacts(output, [
        ['name', output.paint('bold', safeText(image.name))],
        ['project', projects.areSeveral ? safeText(projects.nameOf(image.project)) : null],
        ['shared', image.isShared ? 'with all projects' : null],
        ['state', output.paint(markOf(image.state).colour, stateText(image.state))],
        ['kind', image.kind === image.format ? image.kind : `${image.kind}, ${image.format}`],
        [
          'size',
          formatBytes(image.sizeBytes) +
            (image.virtualSizeBytes === image.sizeBytes ? '' : `, as a disk ${formatBytes(image.virtualSizeBytes)}`),
        ],
        ['label', image.label === null ? null : safeText(image.label)],
        ['first user', image.defaultUser === null ? null : safeText(image.defaultUser)],
        ['from', safeText(image.source)],
        ['checked by', VERIFIED[image.verified]],
        ['SHA-256', safeText(image.sha256)],
        ['used by', safeText(image.usedBy.map(({ name }) => name).join(', ')) || 'no VM'],
        ['added', `${timeText(image.createdAt)}, ${ageText(image.createdAt)}`],
        ['id', safeText(image.id)],
      ]);
      return EXIT.done;
    },
  }),
  command({
    path: ['image', 'upload'],
    summary: 'Send a file of this machine into the library',
    details: 'An interrupted upload goes on where it stopped when the same file is sent again under the same name.',
    positionals: {
      file: one('FILE', 'an ISO, a disk image (qcow2, raw), a kernel or an initrd', { completes: 'file' }),
    },
    options: {
      project: projectOption,
      name: nameOption,
      kind: kindOption,
      sha256: sha256Option,
      restart: flag('begin anew instead of going on'),
    },
    isLong: true,
    examples: ['image upload debian-13-netinst.iso', 'image upload disk.qcow2 --name golden --sha256 9f86d0…'],
    run: async (context, { args, options }) => {
      const { upload } = await import('./upload.ts');
      return upload(context, {
        file: args.file,
        project: options.project,
        name: options.name,
        kind: options.kind,
        sha256: options.sha256,
        isRestart: options.restart,
      });
    },
  }),
  command({
    path: ['image', 'download'],
    summary: 'Let the host download an image by URL',
    positionals: { url: one('URL', 'address of the file, http or https') },
    options: {
      project: projectOption,
      name: nameOption,
      kind: kindOption,
      sha256: sha256Option,
      sha512: textOption('HEX', 'SHA-512 that the file must have'),
      'checksum-url': textOption('URL', 'address of SHA256SUMS or a similar file beside the image'),
    },
    isLong: true,
    examples: ['image download https://example.org/disk.qcow2 --checksum-url https://example.org/SHA256SUMS'],
    run: async (context, { args, options }) => {
      const body = {
        url: args.url,
        ...given('project', options.project),
        ...given('name', options.name),
        ...given('kind', options.kind),
        ...given('sha256', options.sha256),
        ...given('sha512', options.sha512),
        ...given('checksumUrl', options['checksum-url']),
      };
      return finish(context, await context.api('POST /images/download', { body }));
    },
  }),
  command({
    path: ['image', 'import'],
    summary: 'Copy a file of the host into the library',
    positionals: { file: one('FILE', 'path on the host', { completes: 'file' }) },
    options: { project: projectOption, name: nameOption, kind: kindOption, sha256: sha256Option },
    isLong: true,
    examples: ['image import /usr/lib/ipxe/ipxe.iso'],
    run: async (context, { args, options }) => {
      const { resolve } = await import('node:path');
      const body = {
        path: resolve(args.file),
        ...given('project', options.project),
        ...given('name', options.name),
        ...given('kind', options.kind),
        ...given('sha256', options.sha256),
      };
      return finish(context, await context.api('POST /images/import', { body }));
    },
  }),
  shareCommand('share', true),
  shareCommand('unshare', false),
  command({
    path: ['image', 'delete'],
    summary: 'Delete an image that no VM uses',
    details: 'The file is gone then. On a terminal its name is asked for; elsewhere --yes --name NAME is needed.',
    positionals: { name: imageName },
    options: CONFIRM_OPTIONS,
    isLong: true,
    examples: ['image delete debian-13-cloud', 'image delete debian-13-cloud --yes --name debian-13-cloud'],
    run: async (context, { args, options }) => {
      const image = await about(context, 'image', args.name, (id) =>
        context.api('GET /images/{id}', { params: { id } }),
      );
      await confirmByName(context, {
        what: `The image "${image.name}" (${formatBytes(image.sizeBytes)}) is deleted for good.`,
        name: image.name,
        options,
      });
      return finish(
        context,
        await context.api('DELETE /images/{id}', { params: { id: image.id } }),
        () => `${safeText(image.name)} is deleted`,
      );
    },
  }),
  command({
    path: ['image', 'catalogue', 'list'],
    summary: 'List well-known systems that can be downloaded',
    options: { search: textOption('TEXT', 'only with this in the name') },
    examples: ['image catalogue list', 'image catalogue list --search debian'],
    run: async ({ api, output }, { options }) => {
      const { items } = await api('GET /images/catalogue', { query: given('q', options.search) });
      if (output.isJson) output.json(items);
      else printTable(output, CATALOGUE_COLUMNS, items, 'No entry fits.');
      return EXIT.done;
    },
  }),
  command({
    path: ['image', 'catalogue', 'check'],
    summary: 'Check online that entries and their checksums are still there',
    details: 'Exit code 7 when an entry is not as it should be or could not be reached.',
    positionals: { ids: any('ID', 'catalogue ids; all unless given', { completes: 'catalogue' }) },
    isLong: true,
    examples: ['image catalogue check', 'image catalogue check debian-13-cloud'],
    run: async (context, { args }) => {
      const { checkCatalogue } = await import('./catalogue-check.ts');
      return checkCatalogue(context, args.ids);
    },
  }),
  command({
    path: ['image', 'catalogue', 'download'],
    summary: 'Download a well-known system',
    positionals: { id: one('ID', 'catalogue id', { completes: 'catalogue' }) },
    options: {
      project: projectOption,
      name: textOption('NAME', 'name in the library', { defaultText: 'the catalogue id' }),
    },
    isLong: true,
    examples: ['image catalogue download debian-13-cloud'],
    run: async (context, { args, options }) => {
      if (args.id.includes('://')) throw usageFailure('that is a URL', `hv image download ${args.id}`);
      const operation = await about(context, 'catalogue', args.id, (id) =>
        context.api('POST /images/catalogue/{id}/download', {
          params: { id },
          body: { ...given('project', options.project), ...given('name', options.name) },
        }),
      );
      return finish(context, operation);
    },
  }),
]);
