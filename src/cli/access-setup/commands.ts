/** `hv system access-setup` and `hv system fence`: the users, groups and rules of this machine that the second fence is made of. */

import { DEFAULT_PROJECT_ACCOUNTS, HOST_GROUPS, MAX_PROJECT_ACCOUNTS, projectAccount } from '#contract/fence.ts';
import { confirmYes } from '../ask.ts';
import { command, defineCommands } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { Failure, usageFailure } from '../failure.ts';
import { safeText } from '../text.ts';
import { countOption, flag, one, textOption } from '../values.ts';
import { accountOf, membersOf, mustRun, tryRun } from './host.ts';
import { EMPTY_RECORD, readRecord, removeRecord, writeRecord } from './record.ts';
import { obstacle, restartLibvirt, runningHyperd } from './services.ts';
import { foreignAccounts, type Note, type Step, setupSteps } from './steps.ts';

interface PlannedStep {
  readonly step: string;
  readonly concerns: Step['concerns'];
  readonly changes: readonly string[];
}

function show({ output }: CommandContext, plan: readonly PlannedStep[]): void {
  for (const { step, changes } of plan) for (const change of changes) output.line(`${step}: ${safeText(change)}`);
}

/** @throws Failure exit 2 without a terminal, exit 1 for any other answer than yes */
async function confirmPlan({ output }: CommandContext, question: string): Promise<void> {
  if (!output.isInteractive)
    throw usageFailure('this has to be confirmed', 'Without a terminal, look at it with --dry-run, then add --yes.');
  if (!(await confirmYes(question)))
    throw new Failure('nothing was changed', { exit: EXIT.failed, code: 'not_confirmed' });
}

async function setUp(
  context: CommandContext,
  options: { 'dry-run': boolean; yes: boolean; undo: boolean; projects: number },
): Promise<ExitCode> {
  const { output, env } = context;
  const stateDir = env['HV_STATE_DIR'] || '/var/lib/hyper-nixos';
  const runtimeDir = env['HV_RUNTIME_DIR'] || '/run/hyper-nixos';
  const against = await obstacle(options.undo);
  if (against !== null) throw against;
  const foreign = options.undo ? [] : await foreignAccounts(options.projects);
  if (foreign.length > 0)
    throw new Failure(`there are accounts of these names that were not made here: ${foreign.join(', ')}`, {
      exit: EXIT.conflict,
      code: 'foreign_account',
      hint: 'They would get rights over VMs. Rename or remove them, then set up again.',
    });
  const before = await readRecord();
  const steps = setupSteps({ projectAccounts: options.projects, stateDir });
  const order = options.undo ? steps.toReversed() : steps;
  const record = before ?? EMPTY_RECORD;
  const planned = await Promise.all(
    order.map(async (step) => ({
      step: step.title,
      concerns: step.concerns,
      changes: await (options.undo ? step.undoPlan(record) : step.plan()),
    })),
  );
  const plan = planned.filter(({ changes }) => changes.length > 0);
  const isDone = plan.length === 0 && (options.undo ? before === null : record.isComplete);
  const finish = (isChanged: boolean, next: string | null) => {
    if (output.isJson) output.json({ undo: options.undo, changed: isChanged, plan, next });
    else if (next !== null) output.message(next);
    return EXIT.done;
  };
  if (!output.isJson) show(context, plan);
  if (isDone) return finish(false, options.undo ? 'Nothing of it is set up here.' : 'All of it is set up already.');
  if (options['dry-run']) return finish(false, 'Nothing was changed (--dry-run).');
  const isRunning = plan.some(({ concerns }) => concerns === 'hyperd') ? await runningHyperd(runtimeDir) : null;
  if (isRunning !== null) throw isRunning;
  if (!options.yes) await confirmPlan(context, options.undo ? 'Take all of this back?' : 'Do all of this?');

  let current = { ...record, isComplete: false };
  await writeRecord(current);
  const note: Note = async (change) => {
    current = change(current);
    await writeRecord(current);
  };
  for (const step of order) await (options.undo ? step.undo(current) : step.apply(note));
  const byHand = plan.some(({ concerns }) => concerns === 'libvirt') ? await restartLibvirt() : null;
  if (options.undo) await removeRecord();
  else await writeRecord({ ...current, isComplete: true });
  const next = options.undo
    ? 'Taken back. hyperd runs as root again with the next `hv up`.'
    : 'Done. `hv up` starts hyperd as hyper; `hv doctor` shows whether the fence stands; `hv system fence add USER` lets people in.';
  return finish(true, byHand === null ? next : `${next} ${byHand}`);
}

interface Role {
  readonly title: string;
  readonly group: string;
}

function roleOf(text: string): Role {
  if (text === 'admin' || text === 'operator') return { title: text, group: HOST_GROUPS[text] };
  const number = /^p([1-9][0-9]{0,3})$/.exec(text)?.[1];
  if (number === undefined)
    throw usageFailure(
      `--as ${JSON.stringify(text)} is neither a role nor a project`,
      'Write admin, operator, or p and the number of a project, as p3.',
    );
  return { title: `member of project ${number}`, group: projectAccount(Number(number)) };
}

async function personIn(name: string, role: string): Promise<Role> {
  if (process.getuid?.() !== 0)
    throw new Failure('this changes groups of the machine, so it needs root', {
      exit: EXIT.denied,
      code: 'not_root',
      hint: 'Run it with sudo.',
    });
  const found = roleOf(role);
  if ((await membersOf(found.group)) === null)
    throw new Failure(`there is no group ${found.group} here`, {
      exit: EXIT.notFound,
      code: 'not_found',
      hint: 'Run `hv system access-setup`, with --projects for more projects.',
    });
  if ((await accountOf(name)) === null)
    throw new Failure(`there is no user ${safeText(name)} here`, {
      exit: EXIT.notFound,
      code: 'not_found',
      hint: 'Make the user first, with adduser.',
    });
  return found;
}

const PERSON = { user: one('USER', 'a user of this machine') };
const AS = { as: textOption('ROLE', 'admin, operator, or p<number> for a member of a project') };

export const accessSetupCommands = defineCommands([
  command({
    path: ['system', 'access-setup'],
    summary: 'Let hyperd run as its own user, and bind people with virsh by the same roles',
    details:
      'Works on this machine, as root, not through hyperd. Makes the user hyper, the groups hyper-libvirt, hyper-admin and hyper-operator and the users hv-p1 …, writes rules for polkit and settings for libvirt, and gives the state folder to hyper. Shows what it will do and asks. What was cut off is mended by running it again. docs/guides/second-fence.md tells what it is for.',
    options: {
      'dry-run': flag('show what would be done, do nothing'),
      undo: flag('take it back'),
      yes: flag('do not ask'),
      projects: countOption('N', `how many projects get a user of their own, ${MAX_PROJECT_ACCOUNTS} at most`, {
        defaultText: String(DEFAULT_PROJECT_ACCOUNTS),
      }),
    },
    examples: ['system access-setup --dry-run', 'system access-setup --yes', 'system access-setup --undo'],
    run: (context, { options }) => {
      const projects = options.projects ?? DEFAULT_PROJECT_ACCOUNTS;
      if (projects > MAX_PROJECT_ACCOUNTS)
        throw usageFailure(`--projects ${projects} is too many`, `Write ${MAX_PROJECT_ACCOUNTS} at most.`);
      return setUp(context, { ...options, projects });
    },
  }),
  command({
    path: ['system', 'fence', 'list'],
    summary: 'Show who may use virsh on this machine, and as what',
    examples: ['system fence list', 'system fence list --json'],
    run: async ({ output }) => {
      const record = await readRecord();
      const numbers = Array.from({ length: record?.projectAccounts ?? 0 }, (_, index) => `p${index + 1}`);
      const door = (await membersOf(HOST_GROUPS.door)) ?? [];
      const people: { user: string; as: string; isInDoor: boolean }[] = [];
      for (const as of ['admin', 'operator', ...numbers]) {
        for (const user of (await membersOf(roleOf(as).group)) ?? [])
          if (user !== 'hyper') people.push({ user, as, isInDoor: door.includes(user) });
      }
      if (output.isJson) output.json(people);
      else if (people.length === 0)
        output.message('Nobody. `hv system fence add USER --as operator` lets somebody in.');
      else
        for (const { user, as, isInDoor } of people)
          output.line(
            `${safeText(user)}  ${as}${isInDoor ? '' : `  (not in ${HOST_GROUPS.door}: cannot reach libvirt)`}`,
          );
      return EXIT.done;
    },
  }),
  command({
    path: ['system', 'fence', 'add'],
    summary: 'Let a user of this machine use virsh as a role or as a member of a project',
    details: 'It counts from the next sign-in of the user on the machine. In hyperd itself he needs a grant besides.',
    positionals: PERSON,
    options: AS,
    examples: ['system fence add olga --as operator', 'system fence add pia --as p3'],
    run: async ({ output }, { args, options }) => {
      const role = await personIn(args.user, options.as ?? 'operator');
      await mustRun('usermod', '--append', '--groups', `${HOST_GROUPS.door},${role.group}`, args.user);
      if (output.isJson) output.json({ user: args.user, group: role.group });
      else output.message(`${safeText(args.user)} is ${role.title} with virsh from the next sign-in on.`);
      return EXIT.done;
    },
  }),
  command({
    path: ['system', 'fence', 'remove'],
    summary: 'Take a role or project of virsh from a user',
    positionals: PERSON,
    options: AS,
    examples: ['system fence remove olga --as operator'],
    run: async ({ output }, { args, options }) => {
      const role = await personIn(args.user, options.as ?? 'operator');
      if ((await membersOf(role.group))?.includes(args.user))
        await mustRun('gpasswd', '--delete', args.user, role.group);
      const { text } = await tryRun('id', '-Gn', args.user);
      const left = text
        .split(/\s+/)
        .filter((group) => group === HOST_GROUPS.admin || group === HOST_GROUPS.operator || /^hv-p\d+$/.test(group));
      if (left.length === 0 && (await membersOf(HOST_GROUPS.door))?.includes(args.user))
        await mustRun('gpasswd', '--delete', args.user, HOST_GROUPS.door);
      if (output.isJson) output.json({ user: args.user, group: role.group });
      else output.message(`${safeText(args.user)} is no longer ${role.title} with virsh. polkit knows it at once.`);
      return EXIT.done;
    },
  }),
]);
