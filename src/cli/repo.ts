/** `hv repo`: where backups lie. */

import type { BackupCopy } from '#contract/backup-copies.ts';
import type { BackupRepository } from '#contract/backups.ts';
import { formatBytes } from '#kernel/units.ts';
import { ask, CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { readSecretFile } from './files.ts';
import { finish } from './follow.ts';
import { about, collect } from './objects.ts';
import type { Output } from './output.ts';
import { copyFacts, placeCommands } from './repo-places.ts';
import { type Column, printFacts, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { choiceOption, flag, one, textOption } from './values.ts';

const STATE_COLOURS = { ready: 'green', unconfirmed: 'yellow', unreachable: 'red' } as const;

const COLUMNS: readonly Column<BackupRepository>[] = [
  {
    title: 'NAME',
    value: ({ name }) => safeText(name),
    flexibleTo: 12,
    colour: (text, _row, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: ({ state }) => state,
    colour: (text, { state }, paint) => paint(STATE_COLOURS[state], text),
  },
  { title: 'POINTS', value: ({ points }) => String(points), align: 'right' },
  { title: 'FREE', value: ({ freeBytes }) => (freeBytes === null ? '' : formatBytes(freeBytes)), align: 'right' },
  { title: 'ENCRYPTED', value: ({ isEncrypted }) => (isEncrypted ? 'yes' : 'no'), isOptional: true },
  { title: 'KIND', value: ({ kind, isCopy }) => (isCopy ? `copy, ${kind}` : kind), isOptional: true },
  { title: 'PLACE', value: ({ place }) => safeText(place ?? ''), flexibleTo: 12, isOptional: true },
];

const repositoryName = () => one('NAME', 'name or id of the repository', { completes: 'repository' });

function print(output: Output, repository: BackupRepository, copy: BackupCopy | null): void {
  if (output.isJson) {
    output.json({ ...repository, copy });
    return;
  }
  printFacts(output, [
    ['name', output.paint('bold', safeText(repository.name))],
    ['state', output.paint(STATE_COLOURS[repository.state], repository.state)],
    ['problem', repository.problem === null ? null : safeText(repository.problem)],
    ['place', repository.place === null ? null : safeText(repository.place)],
    ['needs a mount', repository.kind === 'mount' ? 'yes' : null],
    ['host key', repository.hostKey],
    ['locked for', repository.lockDays === null ? null : `${repository.lockDays} d`],
    ['encrypted', repository.isEncrypted ? 'yes' : 'no'],
    ['compression', repository.compression],
    ...(copy === null ? [] : copyFacts(copy)),
    ['restore points', repository.isCopy ? null : String(repository.points)],
    ['free', repository.freeBytes === null ? null : formatBytes(repository.freeBytes)],
    ['default', repository.isDefault ? 'yes' : null],
    ['created', ageText(repository.createdAt)],
    ['last read', repository.scannedAt === null ? null : ageText(repository.scannedAt)],
    ['id', repository.id],
  ]);
}

const show = (context: CommandContext, name: string) =>
  about(context, 'repository', name, (id) => context.api('GET /repositories/{id}', { params: { id } }));

async function confirmKey(context: CommandContext, name: string, file: string | undefined): Promise<BackupRepository> {
  const { api, output } = context;
  if (file === undefined && !output.isInteractive)
    throw usageFailure('the recovery key is missing', 'Without a terminal, give --key-file FILE, or - for stdin.');
  const recoveryKey = file === undefined ? await ask('Type the recovery key: ') : await readSecretFile(file);
  return about(context, 'repository', name, (id) =>
    api('POST /repositories/{id}/confirm', { params: { id }, body: { recoveryKey } }),
  );
}

export const commands = defineCommands([
  command({
    path: ['repo', 'list'],
    summary: 'List where backups lie',
    examples: ['repo list'],
    run: async ({ api, output }) => {
      const items = await collect((query) => api('GET /repositories', { query }));
      if (output.isJson) output.json(items);
      else printTable(output, COLUMNS, items, 'No repositories yet. The first backup makes one in the state folder.');
      return EXIT.done;
    },
  }),
  command({
    path: ['repo', 'show'],
    summary: 'Show a repository',
    positionals: { repository: repositoryName() },
    examples: ['repo show default'],
    run: async (context, { args }) => {
      const repository = await show(context, args.repository);
      const { id } = repository;
      const copy = repository.isCopy ? await context.api('GET /repositories/{id}/copy', { params: { id } }) : null;
      print(context.output, repository, copy);
      return EXIT.done;
    },
  }),
  command({
    path: ['repo', 'create'],
    summary: 'Make a repository in a folder, best on another disk than the VMs',
    details:
      'With --encrypt a recovery key is shown, this once. It has to be typed back before anything is written: after a loss of this host nothing else opens the backups.',
    positionals: { name: one('NAME', 'what it is called'), folder: one('FOLDER', 'absolute path on the host') },
    options: {
      encrypt: flag('encrypt what is written'),
      compression: choiceOption(['default', 'better'], 'better takes more processor time and less room'),
      mount: flag('a file system has to be mounted there, else nothing is written'),
      existing: flag('the folder holds a repository already, as that of another host'),
      'key-file': textOption('FILE', 'with --existing: its recovery key, - for stdin'),
    },
    examples: ['repo create nightly /mnt/backup/hyper', 'repo create safe /mnt/backup/safe --encrypt'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const keyFile = options['key-file'];
      const { repository, recoveryKey } = await api('POST /repositories', {
        body: {
          name: args.name,
          folder: args.folder,
          requiresMount: options.mount,
          isEncrypted: options.encrypt,
          existing: options.existing,
          ...(options.compression === undefined ? {} : { compression: options.compression }),
          ...(keyFile === undefined ? {} : { recoveryKey: await readSecretFile(keyFile) }),
        },
      });
      if (output.isJson) {
        output.json({ ...repository, recoveryKey });
        return EXIT.done;
      }
      output.message(`${output.paintMessage('green', '●')} repository ${safeText(repository.name)} is there`);
      if (options.existing) output.message(`  Read its restore points: hv repo scan ${safeText(repository.name)}`);
      if (recoveryKey === null) return EXIT.done;
      output.message('');
      output.message('  Recovery key, shown this once. Write it down and keep it away from this machine:');
      output.line(recoveryKey);
      output.message('');
      if (!output.isInteractive) {
        output.message(`  Nothing is backed up there before it is confirmed: hv repo confirm ${safeText(args.name)}`);
        return EXIT.done;
      }
      await confirmKey(context, repository.id, undefined);
      output.message(`${output.paintMessage('green', '●')} the recovery key is confirmed`);
      return EXIT.done;
    },
  }),
  ...placeCommands,
  command({
    path: ['repo', 'confirm'],
    summary: 'Type the recovery key of an encrypted repository back',
    positionals: { repository: repositoryName() },
    options: { 'key-file': textOption('FILE', 'the key from a file, - for stdin') },
    examples: ['repo confirm safe', 'repo confirm safe --key-file -'],
    run: async (context, { args, options }) => {
      const repository = await confirmKey(context, args.repository, options['key-file']);
      if (context.output.isJson) context.output.json(repository);
      else context.output.message(`${context.output.paintMessage('green', '●')} the recovery key is confirmed`);
      return EXIT.done;
    },
  }),
  command({
    path: ['repo', 'scan'],
    summary: 'Read the restore points from a repository',
    details:
      'What is listed is a copy; the repository itself is the truth. Needed after it was taken over or changed by others.',
    positionals: { repository: repositoryName() },
    isLong: true,
    examples: ['repo scan default'],
    run: async (context, { args }) =>
      finish(
        context,
        await about(context, 'repository', args.repository, (id) =>
          context.api('POST /repositories/{id}/scan', { params: { id } }),
        ),
      ),
  }),
  command({
    path: ['repo', 'check'],
    summary: 'Check that everything in a repository is there, or that every byte is what it was',
    details: 'Exit 1 when something is missing or damaged. The next backup of each VM heals what it can.',
    positionals: { repository: repositoryName() },
    options: { 'read-data': flag('read and compare everything; takes as long as reading all of it') },
    isLong: true,
    examples: ['repo check default', 'repo check default --read-data'],
    run: async (context, { args, options }) =>
      finish(
        context,
        await about(context, 'repository', args.repository, (id) =>
          context.api('POST /repositories/{id}/check', { params: { id }, body: { readData: options['read-data'] } }),
        ),
      ),
  }),
  command({
    path: ['repo', 'forget'],
    summary: 'Take a repository from the list; its files stay',
    positionals: { repository: repositoryName() },
    options: CONFIRM_OPTIONS,
    examples: ['repo forget nightly --yes --name nightly'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const { id, name } = await show(context, args.repository);
      await confirmByName(context, {
        what: `the repository "${name}" is taken from the list with its restore points; its files stay`,
        name,
        options,
      });
      await api('DELETE /repositories/{id}', { params: { id } });
      if (output.isJson) output.json({ id, name, state: 'forgotten' });
      else output.message(`${output.paintMessage('green', '●')} the repository ${safeText(name)} is forgotten`);
      return EXIT.done;
    },
  }),
]);
