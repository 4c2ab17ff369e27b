/** `hv backup files`: single files of restore points. */

import { ARCHIVE_FORMATS, type FileEntry, type FileVolume } from '#contract/backup-files.ts';
import { pathOf } from '#contract/client.ts';
import { formatBytes } from '#kernel/units.ts';
import { pointId, pointOf } from './backup-point.ts';
import { command, defineCommands } from './command.ts';
import { download } from './download.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { collect } from './objects.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { timeText } from './time.ts';
import { choiceOption, one } from './values.ts';

const VOLUMES: readonly Column<FileVolume>[] = [
  { title: 'VOLUME', value: ({ id }) => safeText(id), colour: (text, _row, paint) => paint('bold', text) },
  { title: 'KIND', value: ({ kind }) => (kind === '' ? '-' : safeText(kind)) },
  { title: 'LABEL', value: ({ label }) => safeText(label), flexibleTo: 8, isOptional: true },
  { title: 'SIZE', value: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
  {
    title: 'FILES',
    value: ({ isReadable, note }) => (isReadable ? 'can be read' : safeText(note ?? 'cannot be read')),
    colour: (text, { isReadable }, paint) => paint(isReadable ? 'green' : 'grey', text),
  },
];

const LETTERS = { file: '-', folder: 'd', link: 'l', other: 'o', unreadable: '?' } as const;

const modeText = ({ kind, mode }: FileEntry) =>
  LETTERS[kind] +
  [6, 3, 0]
    .map((shift) => ['r', 'w', 'x'].map((letter, n) => ((mode >> shift) & (4 >> n) ? letter : '-')).join(''))
    .join('');

const ENTRIES: readonly Column<FileEntry>[] = [
  { title: 'MODE', value: modeText },
  { title: 'OWNER', value: ({ uid, gid }) => `${uid}:${gid}`, isOptional: true },
  { title: 'SIZE', value: ({ kind, sizeBytes }) => (kind === 'file' ? formatBytes(sizeBytes) : ''), align: 'right' },
  { title: 'CHANGED', value: ({ modifiedAt }) => (modifiedAt === null ? '-' : timeText(modifiedAt)) },
  {
    title: 'NAME',
    value: ({ name, target }) => safeText(target === null ? name : `${name} -> ${target}`),
    colour: (text, { kind }, paint) => (kind === 'folder' ? paint('bold', text) : text),
  },
];

/** `vda1:/etc/hosts`; volume groups have a slash in their names, so the first colon counts. */
function placeOf(text: string): { readonly volume: string; readonly path: string } {
  const at = text.indexOf(':');
  const volume = at < 0 ? text : text.slice(0, at);
  if (volume === '')
    throw usageFailure(
      `"${text}" names no volume`,
      'Write it as VOLUME:PATH, as vda1:/etc; `hv backup files volumes POINT` lists volumes.',
    );
  return { volume, path: at < 0 ? '/' : text.slice(at + 1) || '/' };
}

const place = () => one('PLACE', 'VOLUME:PATH, as vda1:/etc/hosts');

export const commands = defineCommands([
  command({
    path: ['backup', 'files', 'volumes'],
    summary: 'List what lies on the disks of a restore point: partitions and logical volumes',
    details:
      'Its file systems are read in a guest of their own, which takes some seconds to start and ends when nothing is asked any more.',
    positionals: { point: pointId() },
    examples: ['backup files volumes web1'],
    run: async (context, { args }) => {
      const { id } = await pointOf(context, args.point);
      const { volumes } = await context.api('GET /restore-points/{id}/volumes', { params: { id } });
      if (context.output.isJson) context.output.json(volumes);
      else printTable(context.output, VOLUMES, volumes, 'Nothing that is known lies on its disks.');
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'files', 'list'],
    summary: 'List a folder of a restore point',
    details:
      'Links are shown and not followed. Bytes of names that cannot be shown are written as \\xNN, also in paths.',
    positionals: { point: pointId(), place: place() },
    examples: ['backup files list web1 vda1:/etc', 'backup files list web1 system/root:/var/log'],
    run: async (context, { args }) => {
      const { volume, path } = placeOf(args.place);
      const { id } = await pointOf(context, args.point);
      let isCut = false;
      const entries = await collect(async (query) => {
        const page = await context.api('GET /restore-points/{id}/files', {
          params: { id },
          query: { ...query, volume, path },
        });
        isCut = page.isCut;
        return page;
      });
      if (context.output.isJson) context.output.json(entries);
      else printTable(context.output, ENTRIES, entries, 'The folder is empty.');
      if (isCut) context.output.message('There is more in the folder than is listed; download it to see all.');
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'files', 'get'],
    summary: 'Download a file of a restore point, or a folder as an archive',
    details:
      'Devices, sockets, pipes and what cannot be read are named in a last entry of the archive. Each download is in the audit log.',
    positionals: {
      point: pointId(),
      place: place(),
      file: one('FILE', 'file to write; must not be there', { completes: 'file' }),
    },
    options: {
      archive: choiceOption(ARCHIVE_FORMATS, 'as an archive; folders always are', { defaultText: 'tar for folders' }),
    },
    examples: [
      'backup files get web1 vda1:/etc/hosts hosts',
      'backup files get web1 vda1:/srv/www www.zip --archive zip',
    ],
    run: async (context, { args, options }) => {
      const { archive } = options;
      const { volume, path } = placeOf(args.place);
      const { id } = await pointOf(context, args.point);
      const route = pathOf(
        'GET /restore-points/{id}/file',
        { id },
        { volume, path, ...(archive === undefined ? {} : { archive }) },
      );
      const bytes = await download(context, route, args.file);
      if (context.output.isJson) context.output.json({ file: args.file, bytes });
      else
        context.output.message(
          `${context.output.paintMessage('green', '●')} ${formatBytes(bytes)} are in ${args.file}`,
        );
      return EXIT.done;
    },
  }),
]);
