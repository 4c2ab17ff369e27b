/** `hv silence`: planned quiet. Alerts are watched and shown meanwhile; only their messages are kept back. */

import { durationMs, durationTextSchema, SEVERITIES } from '#contract/alerts-config.ts';
import type { Silence } from '#contract/notifications.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { choiceOption, countOption, flag, one, textList, textOption } from './values.ts';

function matchText({ match, project }: Silence): string {
  return [
    ...(match.rule === undefined ? [] : [match.rule]),
    ...(match.severities ?? []),
    ...(match.labels ?? []).map(({ label, value, isNot }) => `${label}${isNot ? '!=' : '='}${value}`),
    ...(project === null ? [] : [`project ${project}`]),
  ].join(' ');
}

const stateText = ({ isActive, isOver }: Silence) => (isActive ? '● quiet' : isOver ? '○ over' : '○ planned');

const COLUMNS: readonly Column<Silence>[] = [
  {
    title: 'STATE',
    value: stateText,
    colour: (text, silence, paint) => paint(silence.isActive ? 'yellow' : 'grey', text),
  },
  { title: 'ENDS', value: (silence) => ageText(silence.to) },
  { title: 'FOR', value: (silence) => safeText(matchText(silence)), flexibleTo: 12 },
  { title: 'REASON', value: (silence) => safeText(silence.reason), flexibleTo: 12 },
  { title: 'KEPT BACK', value: (silence) => String(silence.hits), align: 'right' },
  { title: 'BY', value: (silence) => safeText(silence.createdBy), isOptional: true },
  { title: 'ID', value: (silence) => silence.id },
];

function labelOf(text: string): { label: string; value: string; isNot: boolean } {
  const [, label, not, value] = /^([^=!]+)(!?)=(.+)$/s.exec(text) ?? [];
  if (label === undefined || value === undefined)
    throw usageFailure(
      `--label ${JSON.stringify(text)} is not LABEL=VALUE`,
      'Write it as --label vm=web1, or vm!=web1.',
    );
  return { label, value, isNot: not === '!' };
}

export const commands = defineCommands([
  command({
    path: ['silence', 'list'],
    summary: 'List planned quiet',
    options: { all: flag('those that are over too') },
    examples: ['silence list', 'silence list --all'],
    run: async ({ api, output }, { options }) => {
      const all = options.all ? ({ all: 'true' } as const) : {};
      const silences = await collect((query) => api('GET /silences', { query: { ...query, ...all } }));
      if (output.isJson) output.json(silences);
      else printTable(output, COLUMNS, silences, 'No silences.');
      return EXIT.done;
    },
  }),
  command({
    path: ['silence', 'add'],
    summary: 'Keep messages back for a time',
    details:
      'Name at least one of --rule, --severity and --label; all that are named must fit. With --cron it is quiet for --minutes each time, until the end.',
    options: {
      rule: textOption('GLOB', 'name of the rule; * and ? stand for any text and any character'),
      label: textList('LABEL=VALUE', 'a label of the alert, as vm=web1 or host!=node2; VALUE may have * and ?'),
      severity: choiceOption(SEVERITIES, 'only alerts of this severity'),
      for: textOption('DURATION', 'how long, as 2h or 3d; at most 30d, with --cron 3 years'),
      cron: textOption('CRON', 'when windows begin, as "0 3 * * sun", in the time zone of the host'),
      minutes: countOption('N', 'how long each window of --cron is'),
      project: textOption('NAME', 'only alerts of this project', { completes: 'project' }),
      reason: textOption('TEXT', 'why, for everybody who looks'),
    },
    examples: [
      'silence add --label vm=web1 --for 2h --reason "new disk"',
      'silence add --rule "*" --cron "0 3 * * sun" --minutes 60 --for 52w --reason "weekly update"',
    ],
    run: async ({ api, output }, { options }) => {
      const { rule, severity, cron, minutes, project, reason } = options;
      const duration = durationTextSchema.safeParse(options.for);
      if (!duration.success) throw usageFailure('--for is missing or no duration', 'Give one as --for 2h.');
      if (reason === undefined) throw usageFailure('--reason is missing', 'Say why: others will ask.');
      const silence = await api('POST /silences', {
        body: {
          match: {
            ...(rule === undefined ? {} : { rule }),
            ...(severity === undefined ? {} : { severities: [severity] }),
            ...(options.label.length === 0 ? {} : { labels: options.label.map(labelOf) }),
          },
          to: new Date(Date.now() + durationMs(duration.data)).toISOString(),
          reason,
          ...(cron === undefined ? {} : { cron }),
          ...(minutes === undefined ? {} : { durationMinutes: minutes }),
          ...(project === undefined ? {} : { project }),
        },
      });
      if (output.isJson) output.json(silence);
      else
        output.message(
          `${output.paintMessage('green', '●')} quiet until ${ageText(silence.to)}; end it: hv silence remove ${silence.id}`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['silence', 'remove'],
    summary: 'End a silence; what still fires is told',
    positionals: { silence: one('ID', 'id of the silence', { completes: 'silence' }) },
    examples: ['silence remove sil-01h2…'],
    run: async (context, { args }) => {
      await about(context, 'silence', args.silence, (id) => context.api('DELETE /silences/{id}', { params: { id } }));
      if (context.output.isJson) context.output.json({ id: args.silence, state: 'removed' });
      else context.output.message(`${context.output.paintMessage('green', '●')} the silence is ended`);
      return EXIT.done;
    },
  }),
]);
