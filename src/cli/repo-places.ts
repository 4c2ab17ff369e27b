/** `hv repo add`, `hv repo edit`, `hv repo copy`, `hv repo repair`: repositories on other machines and the copies that lie there. */

import type { BackupCopy } from '#contract/backup-copies.ts';
import { formatBytes } from '#kernel/units.ts';
import { command } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { readSecretFile } from './files.ts';
import { finish } from './follow.ts';
import { about } from './objects.ts';
import { PLACE_OPTIONS, placeOf, SECRET_OPTIONS, secretsOf, withHostKey } from './places.ts';
import { retentionOf, retentionText } from './retention.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { countOption, flag, one, sizeOption, textOption } from './values.ts';

const repositoryName = () => one('NAME', 'name or id of the repository', { completes: 'repository' });

const COPY_OPTIONS = {
  keep: textOption('LIST', 'what stays there, as "30 daily, 12 monthly"; everything unless given'),
  zone: textOption('ZONE', 'time zone in which its days begin'),
  limit: sizeOption('bytes in a second that are sent and read back'),
  'without-states': flag('the states of hosts in the repository are not copied'),
};

/** How a copy stands, as rows of facts. */
export function copyFacts(copy: BackupCopy): readonly (readonly [string, string | null])[] {
  return [
    ['copy of', safeText(copy.sourceName ?? 'a repository that was forgotten')],
    ['copying', copy.isEnabled ? 'after each backup' : 'only when asked for'],
    ['copy', [copy.state, ...missingTexts(copy)].join(', ')],
    ['copied', `${copy.points} restore points`],
    ['states copied', statesText(copy)],
    ['keeps', copy.retention === null ? 'everything' : retentionText(copy.retention)],
    ['held there', copy.lockedPoints > 0 ? `${copy.lockedPoints} that were to go` : null],
    ['limit', copy.bytesPerSecond === null ? null : `${formatBytes(copy.bytesPerSecond)}/s`],
    ['last copy', copy.lastAt === null ? 'never' : ageText(copy.lastAt)],
    ['failed', copy.problem === null ? null : safeText(copy.problem)],
  ];
}

const missingTexts = ({ missing, missingStates }: BackupCopy): readonly string[] => [
  ...(missing > 0 ? [`${missing} restore points missing`] : []),
  ...(missingStates > 0 ? [`${missingStates} states missing`] : []),
];

function statesText({ takesStates, states, newestStateAt }: BackupCopy): string {
  const there = newestStateAt === null ? 'none' : `${states}, the newest made ${ageText(newestStateAt)}`;
  return takesStates ? there : `${there}; no new ones are taken`;
}

const show = (context: CommandContext, name: string) =>
  about(context, 'repository', name, (id) => context.api('GET /repositories/{id}', { params: { id } }));

interface KeepOptions {
  readonly keep?: string | undefined;
  readonly zone?: string | undefined;
  readonly limit?: number | undefined;
  readonly 'without-states': boolean;
}

const kept = ({ keep, zone, limit, 'without-states': isWithoutStates }: KeepOptions) => ({
  ...(isWithoutStates ? { takesStates: false } : {}),
  ...(keep === undefined ? {} : { retention: keep.trim() === 'everything' ? null : retentionOf(keep) }),
  ...(zone === undefined ? {} : { timeZone: zone }),
  ...(limit === undefined ? {} : { bytesPerSecond: limit }),
});

export const placeCommands = [
  command({
    path: ['repo', 'add'],
    summary: 'Add a place on another machine: a copy of a repository, or one to restore from',
    details:
      'The place is sftp://USER@HOST/FOLDER (from the home of the user: sftp://USER@HOST/~/FOLDER) or s3://BUCKET/PREFIX. The first time an SFTP host is named its key is told: compare it over there, then say yes to it, or give it with --host-key. With --existing a copy that lies there already is taken, as after the loss of the host that made it.',
    positionals: { name: one('NAME', 'what it is called'), place: one('PLACE', 'where it lies') },
    options: {
      'copy-of': textOption('NAME', 'repository of this host that is copied there', { completes: 'repository' }),
      existing: flag('a copy lies there already; its restore points are read'),
      'key-file': textOption('FILE', 'with --existing: its recovery key, - for stdin'),
      ...PLACE_OPTIONS,
      'lock-days': countOption('DAYS', 'S3: by object lock nobody can delete what is copied for so many days'),
      ...SECRET_OPTIONS,
      ...COPY_OPTIONS,
    },
    examples: [
      'repo add offsite sftp://backup@nas/srv/copies --copy-of default --private-key id_ed25519 --host-key SHA256:…',
      'repo add vault s3://backups/host1 --endpoint https://s3.example.org --access-key AK --secret-key-file secret --lock-days 30 --copy-of default',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const source = options['copy-of'];
      if ((source === undefined) !== options.existing)
        throw usageFailure('it has to be said what lies there', 'Give either --copy-of REPOSITORY or --existing.');
      const keyFile = options['key-file'];
      const place = await placeOf(args.place, options, context.env);
      const order = {
        name: args.name,
        place,
        secrets: await secretsOf(options, place.kind, context.env),
        existing: options.existing,
        ...(keyFile === undefined ? {} : { recoveryKey: await readSecretFile(keyFile) }),
      };
      const { result } = await withHostKey(output, order, (body) => api('POST /repositories', { body }));
      const { repository } = result;
      if (source !== undefined)
        await api('PUT /repositories/{id}/copy', {
          params: { id: repository.id },
          body: { source, ...kept(options) },
        });
      if (output.isJson) output.json(repository);
      else {
        output.message(`${output.paintMessage('green', '●')} repository ${safeText(repository.name)} is there`);
        output.message(
          source === undefined
            ? `  Read its restore points: hv repo scan ${safeText(repository.name)}`
            : `  What is missing there is copied within a minute, and after each backup: hv repo show ${safeText(repository.name)}`,
        );
      }
      return EXIT.done;
    },
  }),
  command({
    path: ['repo', 'edit'],
    summary: 'Give other credentials, or accept another host key, for a place on another machine',
    positionals: { repository: repositoryName() },
    options: {
      'host-key': textOption('SHA256:…', 'SFTP: the key of the host'),
      'access-key': textOption('KEY', 'S3: the access key'),
      ...SECRET_OPTIONS,
    },
    examples: ['repo edit offsite --private-key id_ed25519', 'repo edit offsite --host-key SHA256:…'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const { 'host-key': hostKey, 'access-key': accessKey } = options;
      const secrets = await secretsOf(options, null, context.env);
      const repository = await about(context, 'repository', args.repository, (id) =>
        api('PATCH /repositories/{id}', {
          params: { id },
          body: {
            ...(hostKey === undefined ? {} : { hostKey }),
            ...(accessKey === undefined ? {} : { accessKey }),
            ...(Object.keys(secrets).length === 0 ? {} : { secrets }),
          },
        }),
      );
      if (output.isJson) output.json(repository);
      else output.message(`${output.paintMessage('green', '●')} ${safeText(repository.name)} is reached with it`);
      return EXIT.done;
    },
  }),
  command({
    path: ['repo', 'copy'],
    summary: 'Copy now what is missing in a copy; with --of make one, or change how it is kept',
    details:
      'A copy holds the same restore points as its repository and restores alone. It is made after each backup; --manual leaves that to you.',
    positionals: { repository: repositoryName() },
    options: {
      of: textOption('NAME', 'repository of this host that is copied there', { completes: 'repository' }),
      manual: flag('with --of: copy only when somebody asks for it'),
      ...COPY_OPTIONS,
    },
    isLong: true,
    examples: ['repo copy offsite', 'repo copy offsite --of default --keep "30 daily, 12 monthly"'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const { id, name } = await show(context, args.repository);
      const { of } = options;
      if (of === undefined) {
        if (options.manual || Object.keys(kept(options)).length > 0)
          throw usageFailure('what is changed is missing', 'Give --of REPOSITORY with it, as when it was made.');
        return finish(context, await api('POST /repositories/{id}/copy', { params: { id } }));
      }
      const copy = await api('PUT /repositories/{id}/copy', {
        params: { id },
        body: { source: of, isEnabled: !options.manual, ...kept(options) },
      });
      if (output.isJson) output.json(copy);
      else output.message(`${output.paintMessage('green', '●')} ${safeText(name)} is a copy of ${safeText(of)}`);
      return EXIT.done;
    },
  }),
  command({
    path: ['repo', 'repair'],
    summary: 'Bring what is missing or damaged in a repository from another one, as from its copy',
    details: 'Every piece is compared with its id before it is written. What is damaged is set aside.',
    positionals: { repository: repositoryName() },
    options: { from: textOption('NAME', 'repository or copy that holds the same', { completes: 'repository' }) },
    isLong: true,
    examples: ['repo repair default --from offsite'],
    run: async (context, { args, options }) => {
      const { from } = options;
      if (from === undefined) throw usageFailure('the other repository is missing', 'Give --from REPOSITORY.');
      return finish(
        context,
        await about(context, 'repository', args.repository, (id) =>
          context.api('POST /repositories/{id}/repair', { params: { id }, body: { from } }),
        ),
      );
    },
  }),
];
