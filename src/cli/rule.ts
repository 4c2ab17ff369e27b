/** `hv rule`: what counts as wrong. */

import type { AlertRulePatch } from '#contract/alert-rule-spec.ts';
import type { AlertRule, Backtest, RuleProblem } from '#contract/alerts.ts';
import { SEVERITIES } from '#contract/alerts-config.ts';
import { formatDuration } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import type { Output } from './output.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { timeText } from './time.ts';
import { choiceOption, countOption, flag, one, textList, textOption } from './values.ts';

const COLUMNS: readonly Column<AlertRule>[] = [
  {
    title: 'NAME',
    value: ({ name }) => safeText(name),
    flexibleTo: 12,
    colour: (text, _rule, paint) => paint('bold', text),
  },
  { title: 'SEVERITY', value: ({ severity }) => severity },
  {
    title: 'STATE',
    value: ({ problems, enabled, firing }) =>
      problems.length > 0 ? 'wrong' : !enabled ? 'off' : firing > 0 ? `fires ${firing}×` : 'on',
    colour: (text, { problems, firing }, paint) => (problems.length > 0 || firing > 0 ? paint('red', text) : text),
  },
  { title: 'CONDITION', value: ({ condition }) => safeText(condition), flexibleTo: 20 },
  { title: 'FROM', value: ({ origin }) => origin.replaceAll('_', ' '), isOptional: true },
];

const ruleName = one('RULE', 'name or id of the rule', { completes: 'rule' });
const condition = one('CONDITION', 'when it fires, as "cpu_usage > 90% for 5m"');

const FIELDS = {
  severity: choiceOption(SEVERITIES, 'how bad it is'),
  cooldown: textOption('TIME', 'least time between two messages about one alert, as 30m'),
  clear: textOption('VALUE', 'when it ends, as 80%; empty = a little below the trigger'),
  'keep-firing': textOption('TIME', 'how long it must be well again; empty = one minute'),
  'no-data': choiceOption(['keep', 'alert', 'ok'], 'what it does when its figures stay away'),
  description: textOption('TEXT', 'what to do; empty takes it away'),
  runbook: textOption('URL', 'page that says what to do; empty takes it away'),
  channel: textList('NAME', 'send it only there, instead of by the routing'),
  label: textList('NAME=VALUE', 'add a label, for routing'),
  'all-vms': flag('comparisons of vm_state look at VMs that should be off, too'),
  project: textOption('PROJECT', 'only things of this project; empty = all', { completes: 'project' }),
} as const;

interface FieldValues {
  readonly severity: AlertRulePatch['severity'];
  readonly cooldown: string | undefined;
  readonly clear: string | undefined;
  readonly 'keep-firing': string | undefined;
  readonly 'no-data': AlertRulePatch['noData'];
  readonly description: string | undefined;
  readonly runbook: string | undefined;
  readonly channel: readonly string[];
  readonly label: readonly string[];
  readonly 'all-vms': boolean;
  readonly project: string | undefined;
}

function labelsOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at < 1)
        throw usageFailure(`--label ${JSON.stringify(text)} is no label`, 'Write NAME=VALUE, as team=storage.');
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** What the options say of a rule; nothing for those that were not given. */
function fieldsOf(options: FieldValues): Omit<AlertRulePatch, 'name' | 'condition'> {
  const { severity, cooldown, clear, description, runbook, channel, label, project } = options;
  const [keepFiring, noData] = [options['keep-firing'], options['no-data']];
  return {
    ...(severity === undefined ? {} : { severity }),
    ...(cooldown === undefined ? {} : { cooldown }),
    ...(clear === undefined ? {} : { clear: clear || null }),
    ...(keepFiring === undefined ? {} : { keepFiring: keepFiring || null }),
    ...(noData === undefined ? {} : { noData }),
    ...(description === undefined ? {} : { description: description || null }),
    ...(runbook === undefined ? {} : { runbook: runbook || null }),
    ...(channel.length === 0 ? {} : { channels: [...channel] }),
    ...(label.length === 0 ? {} : { labels: labelsOf(label) }),
    ...(options['all-vms'] ? { desiredOnly: false } : {}),
    ...(project === undefined ? {} : { project: project || null }),
  };
}

/** Each problem below its place in the text. */
function printProblems(
  output: Output,
  texts: Readonly<Record<RuleProblem['field'], string>>,
  problems: readonly RuleProblem[],
) {
  for (const { field, column, length, message } of problems) {
    output.line(`  ${safeText(texts[field])}`);
    output.line(`  ${' '.repeat(Math.max(0, column - 1))}${output.paint('red', '^'.repeat(Math.max(1, length)))}`);
    output.line(`  ${safeText(message)}`);
  }
}

function printRule(output: Output, rule: AlertRule): void {
  printFacts(output, [
    ['name', output.paint('bold', safeText(rule.name))],
    ['condition', safeText(rule.condition)],
    ['means', rule.explanation === null ? null : safeText(rule.explanation)],
    ['severity', rule.severity],
    ['state', rule.problems.length > 0 ? 'off, its condition is wrong' : rule.enabled ? 'on' : 'off'],
    ['fires', String(rule.firing)],
    ['clears', rule.clear === null ? null : safeText(rule.clear)],
    ['keep firing', rule.keepFiring ?? null],
    ['cooldown', rule.cooldown],
    ['without data', rule.noData],
    [
      'labels',
      Object.entries(rule.labels)
        .map(([name, value]) => safeText(`${name}=${value}`))
        .join(' ') || null,
    ],
    ['channels', rule.channels === null ? null : safeText(rule.channels.join(', '))],
    ['project', rule.project === null ? null : safeText(rule.project)],
    ['description', rule.description === null ? null : safeText(rule.description)],
    ['runbook', rule.runbook === null ? null : safeText(rule.runbook)],
    ['from', rule.origin.replaceAll('_', ' ')],
    ['id', safeText(rule.id)],
  ]);
  if (rule.problems.length === 0) return;
  printHeading(output, 'Problems');
  printProblems(output, { condition: rule.condition, clear: rule.clear ?? '' }, rule.problems);
}

const TIER_WORDS: Readonly<Record<Backtest['tier'], string>> = {
  raw: 'as they were measured',
  '5m': 'of five minutes, not exact',
  '1h': 'of an hour, not exact',
};

function printBacktest(output: Output, found: Backtest): void {
  printFacts(output, [
    ['range', `${timeText(found.from)} – ${timeText(found.to)}`],
    [
      'looked at',
      `${found.entities} ${found.entities === 1 ? 'thing' : 'things'}, every ${formatDuration(found.stepSeconds * 1000)}`,
    ],
    ['figures', TIER_WORDS[found.tier]],
    ['fired', `${found.episodeCount}×`],
    ['messages', `${found.notices} would have been sent`],
    ['hidden', found.maskedMinutes === 0 ? null : `${formatDuration(found.maskedMinutes * 60_000)} by operations`],
    ['unknown', `${Math.round(found.unknownRatio * 1000) / 10} % of the time`],
    ...found.notes.map((note): [string, string] => ['note', safeText(note)]),
  ]);
  if (found.episodes.length === 0) return;
  printHeading(output, 'When');
  printTable(
    output,
    [
      { title: 'FIRED', value: ({ firedAt }) => timeText(firedAt) },
      { title: 'ENDED', value: ({ endedAt }) => (endedAt === null ? 'not yet' : timeText(endedAt)) },
      { title: 'WHAT', value: ({ entity }) => safeText(entity.name), flexibleTo: 10 },
      { title: 'PEAK', value: ({ peakText }) => safeText(peakText), align: 'right' },
      { title: 'HIDDEN BY', value: ({ masked }) => safeText(masked ?? ''), flexibleTo: 8, isOptional: true },
    ],
    found.episodes,
    '',
  );
}

async function changeRule(
  context: CommandContext,
  name: string,
  body: AlertRulePatch,
  said: string,
): Promise<ExitCode> {
  const { api, output } = context;
  const rule = await about(context, 'rule', name, (id) => api('PATCH /rules/{id}', { params: { id }, body }));
  if (output.isJson) output.json(rule);
  else output.message(`${output.paintMessage('green', '●')} rule ${safeText(rule.name)} ${said}`);
  return EXIT.done;
}

const DAY_MS = 86_400_000;

export const commands = defineCommands([
  command({
    path: ['rule', 'list'],
    summary: 'List alert rules',
    options: { search: textOption('TEXT', 'only with this in the name or the condition') },
    examples: ['rule list', 'rule list --search disk'],
    run: async ({ api, output }, { options }) => {
      const filter = options.search === undefined ? {} : { q: options.search };
      const rules = await collect((page) => api('GET /rules', { query: { ...page, ...filter } }));
      if (output.isJson) output.json(rules);
      else printTable(output, COLUMNS, rules, 'No rule fits.');
      return EXIT.done;
    },
  }),
  command({
    path: ['rule', 'show'],
    summary: 'Show an alert rule',
    positionals: { rule: ruleName },
    examples: ['rule show vm_down'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const rule = await about(context, 'rule', args.rule, (id) => api('GET /rules/{id}', { params: { id } }));
      if (output.isJson) output.json(rule);
      else printRule(output, rule);
      return EXIT.done;
    },
  }),
  command({
    path: ['rule', 'add'],
    summary: 'Add an alert rule',
    positionals: { name: one('NAME', 'what it is called'), condition },
    options: FIELDS,
    examples: ['rule add cpu_high "cpu_usage > 90% for 5m" --severity warning --cooldown 1h'],
    run: async ({ api, output }, { args, options }) => {
      const rule = await api('POST /rules', {
        body: { name: args.name, condition: args.condition, ...fieldsOf(options) },
      });
      if (output.isJson) output.json(rule);
      else {
        output.message(`${output.paintMessage('green', '●')} rule ${safeText(rule.name)} is on`);
        if (rule.explanation !== null) output.message(`  ${safeText(rule.explanation)}`);
      }
      return EXIT.done;
    },
  }),
  command({
    path: ['rule', 'edit'],
    summary: 'Change an alert rule, or one that comes with the program',
    positionals: { rule: ruleName },
    options: { ...FIELDS, rename: textOption('NAME', 'new name'), condition: textOption('CONDITION', 'when it fires') },
    examples: ['rule edit cpu_high --condition "cpu_usage > 95% for 10m"'],
    run: async (context, { args, options }) => {
      const body = {
        ...fieldsOf(options),
        ...(options.rename === undefined ? {} : { name: options.rename }),
        ...(options.condition === undefined ? {} : { condition: options.condition }),
      };
      if (Object.keys(body).length === 0)
        throw usageFailure('nothing to change', 'Give --condition, --severity, or another of the options.');
      return changeRule(context, args.rule, body, 'is changed');
    },
  }),
  command({
    path: ['rule', 'enable'],
    summary: 'Switch an alert rule on',
    positionals: { rule: ruleName },
    examples: ['rule enable disk_will_fill'],
    run: (context, { args }) => changeRule(context, args.rule, { enabled: true }, 'is on'),
  }),
  command({
    path: ['rule', 'disable'],
    summary: 'Switch an alert rule off; its alerts end',
    positionals: { rule: ruleName },
    examples: ['rule disable disk_will_fill'],
    run: (context, { args }) => changeRule(context, args.rule, { enabled: false }, 'is off'),
  }),
  command({
    path: ['rule', 'remove'],
    summary: 'Delete an alert rule; a changed one that comes with the program is as it was again',
    positionals: { rule: ruleName },
    examples: ['rule remove cpu_high'],
    run: async (context, { args }) => {
      const { api, output } = context;
      await about(context, 'rule', args.rule, (id) => api('DELETE /rules/{id}', { params: { id } }));
      if (output.isJson) output.json({ rule: args.rule, state: 'removed' });
      else output.message(`${output.paintMessage('green', '●')} rule ${safeText(args.rule)} is removed`);
      return EXIT.done;
    },
  }),
  command({
    path: ['rule', 'check'],
    summary: 'Check a condition and say what it means',
    details: 'Exits with 2 when it is wrong; every mistake is shown below its place.',
    positionals: { condition },
    options: { clear: FIELDS.clear },
    examples: ['rule check "cpu_usage > 90% for 5m"'],
    run: async ({ api, output }, { args, options }) => {
      const clear = options.clear || null;
      const checked = await api('POST /rules/check', { body: { condition: args.condition, clear } });
      if (output.isJson) output.json(checked);
      else if (checked.isValid) output.line(safeText(checked.explanation ?? args.condition));
      else printProblems(output, { condition: args.condition, clear: clear ?? '' }, checked.problems);
      return checked.isValid ? EXIT.done : EXIT.usage;
    },
  }),
  command({
    path: ['rule', 'test'],
    summary: 'Show when a rule would have fired in the last days',
    details: 'With --condition: what it would have done with another condition.',
    positionals: { rule: ruleName },
    options: {
      condition: textOption('CONDITION', 'try this condition instead'),
      days: countOption('N', 'how far back, 30 at most', { defaultText: '7' }),
    },
    examples: ['rule test vm_down', 'rule test cpu_high --condition "cpu_usage > 95% for 10m" --days 14'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const {
        id: _id,
        origin: _origin,
        explanation: _means,
        problems: _problems,
        firing: _firing,
        lastFiredAt: _lastFiredAt,
        ...spec
      } = await about(context, 'rule', args.rule, (id) => api('GET /rules/{id}', { params: { id } }));
      const rule = options.condition === undefined ? spec : { ...spec, condition: options.condition, clear: null };
      const from = new Date(Date.now() - Math.min(30, Math.max(1, options.days ?? 7)) * DAY_MS).toISOString();
      const found = await api('POST /rules/backtest', { body: { rule, from } });
      if (output.isJson) output.json(found);
      else printBacktest(output, found);
      return EXIT.done;
    },
  }),
]);
