/** `hv backup schedule`, `hv backup runs`: when what is backed up, and what each run did. */

import { type BackupRound, type BackupSchedule, PROOF_WHEN, type RoundVm } from '#contract/protection.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { finish } from './follow.ts';
import { about } from './objects.ts';
import type { Output } from './output.ts';
import { retentionOf, retentionText } from './retention.ts';
import { type Column, type Fact, printFacts, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { any, choiceOption, countOption, flag, one, textList, textOption } from './values.ts';

const ROUND_COLOURS = {
  done: 'green',
  running: 'yellow',
  failed: 'red',
  cancelled: 'yellow',
  skipped: 'grey',
} as const;
const VM_COLOURS = {
  done: 'green',
  running: 'yellow',
  waiting: 'grey',
  failed: 'red',
  not_reached: 'red',
  gone: 'grey',
} as const;

const countsText = ({ counts }: BackupRound): string => `${counts.done} of ${counts.all}`;

const SCHEDULES: readonly Column<BackupSchedule>[] = [
  {
    title: 'NAME',
    value: ({ name }) => safeText(name),
    flexibleTo: 8,
    colour: (text, _row, paint) => paint('bold', text),
  },
  { title: 'CALENDAR', value: ({ calendar }) => calendar },
  { title: 'ZONE', value: ({ timeZone }) => timeZone, isOptional: true },
  { title: 'VMS', value: ({ covered }) => String(covered), align: 'right' },
  { title: 'KEEPS', value: ({ retention }) => retentionText(retention), flexibleTo: 10, isOptional: true },
  { title: 'NEXT', value: ({ nextAt }) => (nextAt === null ? 'off' : timeText(nextAt)) },
  {
    title: 'LAST',
    value: ({ lastRound }) =>
      lastRound === null ? 'never' : `${lastRound.state}, ${countsText(lastRound)}, ${ageText(lastRound.beganAt)}`,
    colour: (text, { lastRound }, paint) => (lastRound === null ? text : paint(ROUND_COLOURS[lastRound.state], text)),
  },
];

const ROUNDS: readonly Column<BackupRound>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'SCHEDULE', value: ({ scheduleName }) => safeText(scheduleName), flexibleTo: 8 },
  { title: 'BEGAN', value: ({ beganAt }) => ageText(beganAt) },
  {
    title: 'STATE',
    value: ({ state }) => state,
    colour: (text, { state }, paint) => paint(ROUND_COLOURS[state], text),
  },
  { title: 'BACKED UP', value: countsText, align: 'right' },
  { title: 'NOTE', value: ({ note }) => safeText(note ?? ''), flexibleTo: 20 },
];

const VMS: readonly Column<RoundVm>[] = [
  { title: 'VM', value: ({ vmName }) => safeText(vmName), flexibleTo: 8 },
  {
    title: 'STATE',
    value: ({ state }) => state.replace('_', ' '),
    colour: (text, { state }, paint) => paint(VM_COLOURS[state], text),
  },
  { title: 'POINT', value: ({ pointId }) => pointId ?? '', isOptional: true },
  { title: 'WHY NOT', value: ({ detail }) => safeText(detail ?? ''), flexibleTo: 20 },
  { title: 'OPERATION', value: ({ operationId }) => operationId ?? '', isOptional: true },
];

function targetsText({ targets }: BackupSchedule): string {
  switch (targets.kind) {
    case 'all':
      return 'all VMs';
    case 'project':
      return `the project ${targets.project}`;
    case 'tags':
      return `VMs with ${targets.tags.join(' or ')}`;
    case 'vms':
      return `${targets.vms.length} VMs`;
  }
}

function printSchedule(output: Output, schedule: BackupSchedule): void {
  if (output.isJson) {
    output.json(schedule);
    return;
  }
  const { lastRound } = schedule;
  printFacts(output, [
    ['name', output.paint('bold', safeText(schedule.name))],
    ['id', schedule.id],
    ['runs', schedule.isEnabled ? `${schedule.calendar} (${schedule.timeZone})` : 'switched off'],
    ['next', schedule.nextAt === null ? null : timeText(schedule.nextAt)],
    ['covers', `${safeText(targetsText(schedule))}: ${schedule.covered} now`],
    ['left out', schedule.targets.except.length === 0 ? null : `${schedule.targets.except.length} VMs`],
    ['repository', safeText(schedule.repositoryName ?? 'the default one')],
    ['keeps', retentionText(schedule.retention)],
    ['proofs', schedule.proof],
    ['whole readings', schedule.scrubDays === null ? 'as configured' : `every ${schedule.scrubDays} days`],
    ['priority', String(schedule.priority)],
    ['window', schedule.windowHours === null ? null : `${schedule.windowHours} h`],
    [
      'last run',
      lastRound === null ? 'never' : `${lastRound.state}, ${countsText(lastRound)}, ${ageText(lastRound.beganAt)}`,
    ],
    ...(lastRound?.note ? [['note', safeText(lastRound.note)] satisfies Fact] : []),
  ]);
}

const FIELDS = {
  calendar: textOption('CRON', 'when, as "0 2 * * *": minute, hour, day, month, day of week'),
  zone: textOption('ZONE', 'time zone of the calendar, as Europe/Berlin'),
  all: flag('cover all VMs'),
  project: textOption('NAME', 'cover the VMs of a project', { completes: 'project' }),
  tag: textList('TAG', 'cover VMs that have any of these tags'),
  vm: textList('VM', 'cover these VMs', { completes: 'vm' }),
  except: textList('VM', 'leave these VMs out', { completes: 'vm' }),
  repo: textOption('NAME', 'where to; the default repository unless given', { completes: 'repository' }),
  keep: textOption('LIST', 'what stays, as "7 daily, 4 weekly, 6 monthly"; "everything" lets nothing go'),
  proof: choiceOption(PROOF_WHEN, 'when restore points are proven to boot'),
  scrub: countOption(
    'DAYS',
    'read disks as a whole that were not for so long, and hold them against their change tracking',
  ),
  priority: countOption('N', '0 to 9; of two that wait the higher one goes first'),
  jitter: textOption('MINUTES', 'begin up to so many minutes later'),
  window: countOption('HOURS', 'begin no further VM after so many hours'),
} as const;

type Given = {
  readonly [Name in keyof typeof FIELDS]: (typeof FIELDS)[Name] extends { read(...args: never[]): infer Value }
    ? Value
    : never;
};

async function idOf(context: CommandContext, name: string): Promise<string> {
  return (await about(context, 'vm', name, (id) => context.api('GET /vms/{id}', { params: { id } }))).id;
}

async function targetsOf(context: CommandContext, given: Given, before: BackupSchedule['targets'] | null) {
  const named = [given.all, given.project !== undefined, given.tag.length > 0, given.vm.length > 0].filter(
    Boolean,
  ).length;
  if (named > 1)
    throw usageFailure('a schedule covers one kind of thing', 'Use one of --all, --project, --tag and --vm.');
  if (named === 0 && given.except.length === 0) return undefined;
  const except =
    given.except.length === 0
      ? (before?.except ?? [])
      : await Promise.all(given.except.map((name) => idOf(context, name)));
  if (given.project !== undefined) return { kind: 'project' as const, project: given.project, except };
  if (given.tag.length > 0) return { kind: 'tags' as const, tags: [...given.tag], except };
  if (given.vm.length > 0)
    return { kind: 'vms' as const, vms: await Promise.all(given.vm.map((name) => idOf(context, name))), except };
  return given.all || before === null ? { kind: 'all' as const, except } : { ...before, except };
}

async function fieldsOf(context: CommandContext, given: Given, before: BackupSchedule['targets'] | null) {
  const targets = await targetsOf(context, given, before);
  if (given.jitter !== undefined && !/^\d{1,3}$/.test(given.jitter))
    throw usageFailure('--jitter is no number of minutes', 'Give one from 0 to 240.');
  return {
    ...(given.calendar === undefined ? {} : { calendar: given.calendar }),
    ...(given.zone === undefined ? {} : { timeZone: given.zone }),
    ...(targets === undefined ? {} : { targets }),
    ...(given.repo === undefined ? {} : { repository: given.repo }),
    ...(given.keep === undefined ? {} : { retention: retentionOf(given.keep) }),
    ...(given.proof === undefined ? {} : { proof: given.proof }),
    ...(given.scrub === undefined ? {} : { scrubDays: given.scrub }),
    ...(given.priority === undefined ? {} : { priority: given.priority }),
    ...(given.jitter === undefined ? {} : { jitterMinutes: Number(given.jitter) }),
    ...(given.window === undefined ? {} : { windowHours: given.window }),
  };
}

const name = one('NAME', 'a schedule', { completes: 'schedule' });

function exitOf({ state }: Pick<BackupRound, 'state'>): ExitCode {
  return state === 'failed' || state === 'cancelled' ? EXIT.failed : EXIT.done;
}

export const commands = defineCommands([
  command({
    path: ['backup', 'schedule', 'create'],
    summary: 'Back up VMs by a calendar',
    details: 'All VMs each night at two unless said otherwise; 7 daily, 4 weekly and 6 monthly restore points stay.',
    positionals: { name: one('NAME', 'what it is called') },
    options: FIELDS,
    examples: [
      'backup schedule create nightly',
      'backup schedule create weekly --calendar "30 1 * * sun" --tag web --keep "8 weekly, 12 monthly"',
    ],
    run: async (context, { args, options }) => {
      const body = { name: args.name, ...(await fieldsOf(context, options, null)) };
      printSchedule(context.output, await context.api('POST /backup-schedules', { body }));
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'schedule', 'list'],
    summary: 'Show when what is backed up',
    examples: ['backup schedule list'],
    run: async ({ api, output }) => {
      const { items } = await api('GET /backup-schedules');
      if (output.isJson) output.json(items);
      else
        printTable(output, SCHEDULES, items, 'Nothing is backed up by itself yet: hv backup schedule create nightly');
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'schedule', 'show'],
    summary: 'Show a schedule',
    positionals: { name },
    examples: ['backup schedule show nightly'],
    run: async (context, { args }) => {
      const show = (id: string) => context.api('GET /backup-schedules/{id}', { params: { id } });
      printSchedule(context.output, await about(context, 'schedule', args.name, show));
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'schedule', 'preview'],
    summary: 'Show the next runs of a schedule, and the VMs that it covers',
    positionals: { name },
    examples: ['backup schedule preview nightly'],
    run: async (context, { args }) => {
      const { output } = context;
      const shown = await about(context, 'schedule', args.name, (id) =>
        context.api('GET /backup-schedules/{id}/preview', { params: { id } }),
      );
      if (output.isJson) {
        output.json(shown);
        return EXIT.done;
      }
      for (const at of shown.runs) output.line(timeText(at));
      output.line('');
      for (const vm of shown.vms) output.line(safeText(vm.name));
      for (const vm of shown.leftOut) output.line(output.paint('grey', `${safeText(vm.name)} (left out)`));
      if (shown.vms.length === 0) output.message('It covers no VM.');
      return shown.vms.length === 0 ? EXIT.warnings : EXIT.done;
    },
  }),
  command({
    path: ['backup', 'schedule', 'edit'],
    summary: 'Change a schedule',
    positionals: { name },
    options: {
      ...FIELDS,
      rename: textOption('NAME', 'call it so'),
      on: flag('switch it on'),
      off: flag('switch it off'),
    },
    examples: ['backup schedule edit nightly --keep "14 daily"', 'backup schedule edit nightly --off'],
    run: async (context, { args, options }) => {
      if (options.on && options.off) throw usageFailure('--on and --off exclude each other', 'Use one of them.');
      const before = await about(context, 'schedule', args.name, (id) =>
        context.api('GET /backup-schedules/{id}', { params: { id } }),
      );
      const body = {
        ...(await fieldsOf(context, options, before.targets)),
        ...(options.rename === undefined ? {} : { name: options.rename }),
        ...(options.on || options.off ? { isEnabled: options.on } : {}),
      };
      printSchedule(
        context.output,
        await context.api('PATCH /backup-schedules/{id}', { params: { id: before.id }, body }),
      );
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'schedule', 'delete'],
    summary: 'Delete a schedule; its restore points stay',
    positionals: { name },
    examples: ['backup schedule delete weekly'],
    run: async (context, { args }) => {
      await about(context, 'schedule', args.name, (id) =>
        context.api('DELETE /backup-schedules/{id}', { params: { id } }),
      );
      if (context.output.isJson) context.output.json({ id: args.name, state: 'deleted' });
      else
        context.output.message(
          `${context.output.paintMessage('green', '●')} the schedule is deleted; what it made stays`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'schedule', 'run'],
    summary: 'Back up everything that a schedule covers now',
    positionals: { name },
    isLong: true,
    examples: ['backup schedule run nightly'],
    run: async (context, { args }) => {
      const started = await about(context, 'schedule', args.name, (id) =>
        context.api('POST /backup-schedules/{id}/run', { params: { id } }),
      );
      return finish(context, started);
    },
  }),
  command({
    path: ['backup', 'runs'],
    summary: 'Show what runs of schedules did; with an ID what one did for each VM',
    details: 'With an ID the exit code is 1 when a VM was not backed up.',
    positionals: { id: any('ID', 'a run; the newest ones when it is left out') },
    options: { schedule: textOption('NAME', 'only those of this schedule', { completes: 'schedule' }) },
    examples: ['backup runs', 'backup runs --schedule nightly'],
    run: async ({ api, output }, { args, options }) => {
      const [id, ...others] = args.id;
      if (others.length > 0) throw usageFailure('one run can be shown at a time', 'hv backup runs ID');
      if (id === undefined) {
        const { items } = await api('GET /backup-runs', {
          query: options.schedule === undefined ? {} : { schedule: options.schedule },
        });
        if (output.isJson) output.json(items);
        else printTable(output, ROUNDS, items, 'No schedule ran yet.');
        return EXIT.done;
      }
      const report = await api('GET /backup-runs/{id}', { params: { id } });
      if (output.isJson) output.json(report);
      else {
        printTable(output, VMS, report.vms, 'It covered no VM.');
        if (report.note !== null) output.message(safeText(report.note));
      }
      return exitOf(report);
    },
  }),
]);
