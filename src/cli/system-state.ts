/** `hv system backup` and `hv system restore`: the state of this host in repositories, and back on an empty machine. */

import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { StateBackups, StatePlan, StatePoint } from '#contract/state-backups.ts';
import { ask, CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { Failure, usageFailure } from './failure.ts';
import { readSecretFile } from './files.ts';
import { finish } from './follow.ts';
import { isPlaceAddress, PLACE_OPTIONS, placeOf, SECRET_OPTIONS, secretsOf, withHostKey } from './places.ts';
import { printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { any, flag, one, textOption } from './values.ts';

/** Longest time from the answer until the daemon is back with the new state. */
const RESTART_MS = 120_000;
const POLL_MS = 500;

const PROOFS = {
  repository: 'by the key of the repository',
  recovery_key: 'by the recovery key of the state',
  none: 'by nothing',
} as const;
const SECRETS = {
  come: 'come back',
  stay_out: 'are not in it',
  locked: 'come back with the recovery key of the state (--key-file)',
} as const;

interface StateRow {
  readonly name: string;
  /** Null = none yet. */
  readonly point: StatePoint | null;
  /** Names of those that hold it too. */
  readonly copies: readonly string[];
  readonly problem: string | null;
}

const pointText = ({ id, host, madeAt, problem }: StatePoint) =>
  `${id}  ${timeText(madeAt)}  ${safeText(host)}${problem === null ? '' : `  damaged: ${safeText(problem)}`}`;

function printPlan({ output }: CommandContext, plan: StatePlan): void {
  const { comes, point } = plan;
  printFacts(output, [
    ['state of', output.paint('bold', safeText(point.host))],
    ['made', `${timeText(point.madeAt)} (${ageText(point.madeAt)})`],
    ['point', point.id],
    ['by version', safeText(plan.version)],
    ['proven', output.paint(plan.proof === 'none' ? 'yellow' : 'green', PROOFS[plan.proof])],
    ['keys, passwords', SECRETS[plan.secrets]],
    ['administrators', plan.administrators.map(safeText).join(', ') || 'none'],
    ['users', `${comes.users}, in ${comes.groups} groups, with ${comes.grants} grants and ${comes.roles} own roles`],
    ['projects', String(comes.projects)],
    ['alert rules', `${comes.rules}, ${comes.channels} channels`],
    ['backups', `${comes.schedules} schedules, ${comes.repositories} repositories`],
    ['restore points', `${comes.restorePoints} as known then; the repository is read for later ones`],
    ['definitions', `${comes.vms} VMs`],
    ['audit records', String(comes.auditRecords)],
  ]);
  printHeading(output, 'What will not be as it was');
  for (const change of plan.changes) output.line(`- ${safeText(change)}`);
  if (plan.others.length > 0) {
    printHeading(output, 'Other states here');
    for (const other of plan.others) output.line(pointText(other));
  }
  for (const warning of plan.warnings) output.message(`${output.paintMessage('yellow', '▲')} ${safeText(warning)}`);
  if (plan.blockers.length > 0)
    output.message(
      `${output.paintMessage('red', '■')} This machine is not empty: ${plan.blockers.map(safeText).join(', ')}. --force replaces what is here and keeps it aside.`,
    );
}

async function waitForState(context: CommandContext, asideFolder: string): Promise<StateBackups> {
  const endMs = performance.now() + RESTART_MS;
  for (;;) {
    try {
      const found = await context.api('GET /system/state-backups');
      if (found.lastRestore?.asideFolder === asideFolder) return found;
    } catch (error) {
      // Whatever it is, it may be over when the new start is.
      if (performance.now() > endMs) throw error;
    }
    if (performance.now() > endMs)
      throw new Failure('hyperd did not come back with the state in two minutes', {
        exit: EXIT.failed,
        code: 'timeout',
        hint: 'Its log tells why; `hv up` starts it. What was here before lies in the state folder.',
      });
    await delay(POLL_MS);
  }
}

/** What a command line says of where states lie. */
async function sourceOf(
  text: string,
  options: Parameters<typeof placeOf>[1] & Parameters<typeof secretsOf>[0],
  env: NodeJS.ProcessEnv,
) {
  if (!isPlaceAddress(text)) return { folder: resolve(text) };
  const place = await placeOf(text, options, env);
  return { place, secrets: await secretsOf(options, place.kind, env) };
}

async function listAt(context: CommandContext, source: Awaited<ReturnType<typeof sourceOf>>): Promise<void> {
  const { api, output } = context;
  const { result: found } = await withHostKey(output, source, (body) => api('POST /system/restore/states', { body }));
  if (output.isJson) {
    output.json(found);
    return;
  }
  printTable<StatePoint>(
    output,
    [
      { title: 'POINT', value: ({ id }) => id },
      { title: 'MADE', value: ({ madeAt }) => ageText(madeAt) },
      { title: 'HOST', value: ({ host }) => safeText(host), flexibleTo: 8 },
      { title: 'PROBLEM', value: ({ problem }) => safeText(problem ?? ''), flexibleTo: 10, isOptional: true },
    ],
    found.points,
    `No host has its state in ${safeText(found.place)}.`,
  );
  if (found.isEncrypted)
    output.message('It is encrypted: to bring a state back, give its recovery key with --key-file.');
}

export const stateCommands = defineCommands([
  command({
    path: ['system', 'backup'],
    summary: 'Write the state of this host into the repositories now',
    details:
      'Users, grants, projects, rules, channels, schedules, definitions of VMs, the audit log and keys. It is done once a day by itself. `hv system restore` brings it back on another machine.',
    options: { repo: textOption('NAME', 'only into this repository', { completes: 'repository' }) },
    isLong: true,
    examples: ['system backup', 'system backup --repo shelf'],
    run: async (context, { options }) =>
      finish(
        context,
        await context.api('POST /system/state-backups', {
          body: options.repo === undefined ? {} : { repository: options.repo },
        }),
      ),
  }),
  command({
    path: ['system', 'backups'],
    summary: 'List where the state of this host is kept, or which states lie at a place',
    details:
      'A place is the folder of a repository or of a copy, sftp://USER@HOST/FOLDER, or s3://BUCKET/PREFIX; it need not be known here. Only root on the machine itself looks into one.',
    positionals: { places: any('PLACE', 'folder of a repository, or place of a copy') },
    options: { ...PLACE_OPTIONS, ...SECRET_OPTIONS },
    examples: ['system backups', 'system backups /mnt/backup/shelf', 'system backups sftp://backup@nas/srv/copies'],
    run: async (context, { args, options }) => {
      const { api, output, env } = context;
      const [place, ...more] = args.places;
      if (more.length > 0) throw usageFailure('several places are given', 'Look into one after the other.');
      if (place !== undefined) {
        await listAt(context, await sourceOf(place, options, env));
        return EXIT.done;
      }
      const found = await api('GET /system/state-backups');
      if (output.isJson) {
        output.json(found);
        return EXIT.done;
      }
      const rows = found.repositories.flatMap(({ name, points, problem }): StateRow[] =>
        points.length === 0
          ? [{ name, point: null, copies: [], problem }]
          : points.map((point) => ({ name, point, copies: point.copies, problem: point.problem })),
      );
      printTable<StateRow>(
        output,
        [
          { title: 'REPOSITORY', value: ({ name }) => safeText(name), flexibleTo: 10 },
          { title: 'POINT', value: ({ point }) => point?.id ?? '' },
          { title: 'MADE', value: ({ point }) => (point === null ? 'never' : ageText(point.madeAt)) },
          { title: 'HOST', value: ({ point }) => safeText(point?.host ?? ''), flexibleTo: 8 },
          {
            title: 'COPIES',
            value: ({ copies }) => copies.map(safeText).join(', '),
            flexibleTo: 8,
            isOptional: true,
          },
          { title: 'PROBLEM', value: ({ problem }) => safeText(problem ?? ''), flexibleTo: 10, isOptional: true },
        ],
        rows,
        'No repositories yet. Make one on another disk: hv repo create NAME FOLDER.',
      );
      if (found.recoveryKey !== 'ready' && found.repositories.some(({ isEncrypted }) => !isEncrypted))
        output.message(
          `${output.paintMessage('yellow', '▲')} Keys and passwords are in no repository without encryption, and nothing proves a state there: make a recovery key with \`hv system recovery-key\`.`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['system', 'recovery-key'],
    summary: 'Make the recovery key of the state, or type it back',
    details:
      'It seals keys and passwords in repositories that are not encrypted, and proves that a state there is yours. It is shown this once and used when it was typed back. A new one counts for what is written after it.',
    options: {
      confirm: flag('type back the one that was made'),
      'key-file': textOption('FILE', 'with --confirm: the key from a file, - for stdin'),
    },
    examples: ['system recovery-key', 'system recovery-key --confirm --key-file -'],
    run: async ({ api, output }, { options }) => {
      const confirm = async () => {
        const file = options['key-file'];
        if (file === undefined && !output.isInteractive)
          throw usageFailure(
            'the recovery key is missing',
            'Without a terminal, give --key-file FILE, or - for stdin.',
          );
        const recoveryKey = file === undefined ? await ask('Type the recovery key: ') : await readSecretFile(file);
        await api('POST /system/recovery-key/confirm', { body: { recoveryKey } });
        if (output.isJson) output.json({ state: 'ready' });
        else
          output.message(
            `${output.paintMessage('green', '●')} the recovery key is confirmed; \`hv system backup\` uses it`,
          );
        return EXIT.done;
      };
      if (options.confirm) return confirm();
      const { recoveryKey } = await api('POST /system/recovery-key');
      if (output.isJson) {
        output.json({ recoveryKey });
        return EXIT.done;
      }
      output.message('Recovery key of the state, shown this once. Write it down and keep it away from this machine:');
      output.line(recoveryKey);
      if (output.isInteractive) return confirm();
      output.message('It is used when it was typed back: hv system recovery-key --confirm');
      return EXIT.done;
    },
  }),
  command({
    path: ['system', 'restore'],
    summary: 'Bring the state of a lost host back on this machine',
    details:
      'Only on the machine itself, as root. The place is the folder of a repository or of a copy, sftp://USER@HOST/FOLDER, or s3://BUCKET/PREFIX; nothing of it need be known here. On a machine that is in use --force replaces what is here and keeps it aside. hyperd begins anew; then users sign in as before and all restore points are listed.',
    positionals: { place: one('PLACE', 'folder of the repository, or place of a copy') },
    options: {
      plan: flag('only say what would come'),
      point: textOption('POINT', 'a certain state; the newest unless given'),
      'key-file': textOption('FILE', 'the recovery key of the repository, or of the state; - for stdin'),
      force: flag('replace the state that this machine has'),
      unproven: flag('take a state that nothing proves; look at its administrators first'),
      ...PLACE_OPTIONS,
      ...SECRET_OPTIONS,
      ...CONFIRM_OPTIONS,
    },
    isLong: true,
    examples: [
      'system restore /mnt/backup/shelf --plan',
      'system restore /mnt/backup/shelf --key-file recovery.txt --yes --name host1',
      'system restore sftp://backup@nas/srv/copies --private-key id_ed25519 --host-key SHA256:… --key-file recovery.txt',
      'system restore s3://backups/host1 --endpoint https://s3.example.org --access-key AK --secret-key-file secret --plan',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const keyFile = options['key-file'];
      const given = {
        ...(await sourceOf(args.place, options, context.env)),
        ...(options.point === undefined ? {} : { point: options.point }),
        ...(keyFile === undefined ? {} : { recoveryKey: await readSecretFile(keyFile) }),
      };
      const { at: source, result: plan } = await withHostKey(output, given, (body) =>
        api('POST /system/restore/plan', { body }),
      );
      if (options.plan) {
        if (output.isJson) output.json(plan);
        else printPlan(context, plan);
        return EXIT.done;
      }
      if (!output.isJson) printPlan(context, plan);
      await confirmByName(context, {
        what: `the state of ${plan.point.host} takes the place of what is here`,
        name: plan.point.host,
        options,
      });
      const { asideFolder } = await api('POST /system/restore', {
        body: { ...source, digest: plan.digest, force: options.force, unproven: options.unproven },
      });
      output.message('hyperd begins anew with it …');
      const { lastRestore } = await waitForState(context, asideFolder);
      if (output.isJson) {
        output.json(lastRestore);
        return EXIT.done;
      }
      output.message(`${output.paintMessage('green', '●')} the state of ${safeText(plan.point.host)} is back`);
      output.message(`  What was here before lies in ${safeText(asideFolder)} of the state folder.`);
      output.message(
        '  Sign in: hv system link. Restore points: hv backup list. Then: hv backup restore POINT --as NAME',
      );
      return EXIT.done;
    },
  }),
]);
