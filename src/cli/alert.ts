/** `hv alert`: what is wrong now, what was, and who looks after it. Its rules: `rule.ts`. */

import { ALERT_STATES, type Alert, type AlertEvent } from '#contract/alerts.ts';
import { SEVERITIES, type Severity } from '#contract/alerts-config.ts';
import type { ApiClient } from '#contract/client.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about, collect } from './objects.ts';
import type { Paint } from './output.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { choiceOption, countOption, one, textOption } from './values.ts';

const COLOURS = { info: 'blue', warning: 'yellow', critical: 'red' } as const;
export const paintSeverity = (text: string, severity: Severity, paint: Paint): string => paint(COLOURS[severity], text);

/** The state with what is special about it. */
function stateText({ state, isNoData, isFlapping, acknowledged, inhibitedBy }: Alert): string {
  const more = [
    ...(acknowledged === null ? [] : ['acknowledged']),
    ...(isNoData ? ['no data'] : []),
    ...(isFlapping ? ['flapping'] : []),
    ...(inhibitedBy === null ? [] : ['told by another']),
  ];
  return more.length === 0 ? state : `${state} (${more.join(', ')})`;
}

/** So much of an id is told apart by people; `wholeId` takes it for the whole. */
const SHORT_ID = 8;
const WHOLE_ID = 24;

const COLUMNS: readonly Column<Alert>[] = [
  {
    title: 'SEVERITY',
    value: ({ severity }) => severity,
    colour: (text, { severity }, paint) => paintSeverity(text, severity, paint),
  },
  { title: 'RULE', value: ({ rule }) => safeText(rule.name), flexibleTo: 10 },
  {
    title: 'WHAT',
    value: ({ entity }) => safeText(entity.name),
    flexibleTo: 10,
    colour: (text, _alert, paint) => paint('bold', text),
  },
  { title: 'VALUE', value: ({ valueText }) => safeText(valueText), align: 'right' },
  { title: 'STATE', value: stateText },
  { title: 'SINCE', value: ({ startedAt, since }) => ageText(startedAt ?? since) },
  { title: 'ID', value: ({ id }) => id.slice(0, SHORT_ID), isOptional: true },
];

const EVENT_COLUMNS: readonly Column<AlertEvent>[] = [
  { title: 'TIME', value: ({ at }) => timeText(at) },
  { title: 'EVENT', value: ({ kind }) => kind.replaceAll('_', ' ') },
  {
    title: 'SEVERITY',
    value: ({ severity }) => severity,
    colour: (text, { severity }, paint) => paintSeverity(text, severity, paint),
  },
  { title: 'RULE', value: ({ rule }) => safeText(rule.name), flexibleTo: 10 },
  { title: 'WHAT', value: ({ entity }) => safeText(entity.name), flexibleTo: 10 },
  { title: 'VALUE', value: ({ valueText }) => safeText(valueText), isOptional: true },
  { title: 'LIMIT', value: ({ limitText }) => safeText(limitText), isOptional: true },
  {
    title: 'REASON',
    value: ({ reason, note }) => safeText([(reason ?? '').replaceAll('_', ' '), note ?? ''].filter(Boolean).join(': ')),
    flexibleTo: 8,
    isOptional: true,
  },
];

const FILTERS = {
  severity: choiceOption(SEVERITIES, 'only of this severity'),
  project: textOption('PROJECT', 'only of this project', { completes: 'project' }),
  vm: textOption('VM', 'only of this VM', { completes: 'vm' }),
  rule: textOption('RULE', 'only of this rule', { completes: 'rule' }),
  search: textOption('TEXT', 'only with this in the rule or the thing'),
} as const;

interface Filters {
  readonly severity: Severity | undefined;
  readonly project: string | undefined;
  readonly vm: string | undefined;
  readonly rule: string | undefined;
  readonly search: string | undefined;
}

const filterOf = ({ severity, project, vm, rule, search }: Filters) => ({
  ...(severity === undefined ? {} : { severity }),
  ...(project === undefined ? {} : { project }),
  ...(vm === undefined ? {} : { vm }),
  ...(rule === undefined ? {} : { rule }),
  ...(search === undefined ? {} : { q: search }),
});

const alertId = one('ID', 'id of the alert, or its beginning', { completes: 'alert' });
const DEFAULT_EVENTS = 50;

/** The whole id of what begins so, among the alerts that are active or pending; else what was given. */
async function wholeId(api: ApiClient, given: string): Promise<string> {
  if (given.length >= WHOLE_ID || given.length < 4) return given;
  const states = ['active', 'pending'] as const;
  const lists = states.map((state) => collect((page) => api('GET /alerts', { query: { ...page, state } })));
  const fitting = (await Promise.all(lists)).flat().filter(({ id }) => id.startsWith(given));
  if (fitting.length > 1) throw usageFailure(`several alerts begin with ${given}`, 'Give more of the id.');
  return fitting[0]?.id ?? given;
}

export const commands = defineCommands([
  command({
    path: ['alert', 'list'],
    summary: 'List what is wrong now',
    details: 'Exits with 7 when a critical alert fires, so that scripts can ask.',
    options: {
      ...FILTERS,
      state: choiceOption([...ALERT_STATES, 'active'], 'only in this state; active = firing, clearing or suppressed', {
        defaultText: 'active',
      }),
    },
    examples: ['alert list', 'alert list --severity critical', 'alert list --state pending --vm web1'],
    run: async ({ api, output }, { options }) => {
      const { state } = options;
      const filter = { ...filterOf(options), ...(state === undefined ? {} : { state }) };
      const alerts = await collect((page) => api('GET /alerts', { query: { ...page, ...filter } }));
      if (output.isJson) output.json(alerts);
      else printTable(output, COLUMNS, alerts, state === undefined ? 'Nothing is wrong.' : `No alert is ${state}.`);
      const isCritical = alerts.some((alert) => alert.severity === 'critical' && alert.state === 'firing');
      return isCritical ? EXIT.warnings : EXIT.done;
    },
  }),
  command({
    path: ['alert', 'show'],
    summary: 'Show an alert and what happened to it',
    positionals: { id: alertId },
    examples: ['alert show 3f9c0a51d2…'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const alert = await about(context, 'alert', args.id, async (id) =>
        api('GET /alerts/{id}', { params: { id: await wholeId(api, id) } }),
      );
      if (output.isJson) {
        output.json(alert);
        return EXIT.done;
      }
      const { acknowledged, maskedBy, inhibitedBy } = alert;
      printFacts(output, [
        ['alert', output.paint('bold', safeText(alert.text))],
        ['severity', paintSeverity(alert.severity, alert.severity, output.paint)],
        ['state', `${stateText(alert)}, ${ageText(alert.since)}`],
        ['rule', safeText(alert.rule.name)],
        ['condition', alert.rule.condition === null ? null : safeText(alert.rule.condition)],
        ['value', alert.valueText === '' ? null : safeText(alert.valueText)],
        ['began', alert.startedAt === null ? null : timeText(alert.startedAt)],
        ['ended', alert.endedAt === null ? null : timeText(alert.endedAt)],
        [
          'acknowledged',
          acknowledged === null
            ? null
            : `${safeText(acknowledged.by)}, ${ageText(acknowledged.at)}${acknowledged.note === null ? '' : `: ${safeText(acknowledged.note)}`}`,
        ],
        ['hidden by', maskedBy === null ? null : `${safeText(maskedBy.title)} (${maskedBy.operationId})`],
        ['told by', inhibitedBy === null ? null : `${safeText(inhibitedBy.rule)} (${inhibitedBy.alertId})`],
        ['runbook', alert.rule.runbook === null ? null : safeText(alert.rule.runbook)],
        [
          'labels',
          safeText(
            Object.entries(alert.labels)
              .filter(([, value]) => value !== '')
              .map(([name, value]) => `${name}=${value}`)
              .join(' '),
          ),
        ],
        ['id', alert.id],
      ]);
      printHeading(output, 'History');
      printTable(output, EVENT_COLUMNS, alert.events, 'Nothing yet.');
      return EXIT.done;
    },
  }),
  command({
    path: ['alert', 'ack'],
    summary: 'Say that you look after an alert: it is not repeated until it ends or gets worse',
    positionals: { id: alertId },
    options: { note: textOption('TEXT', 'what you found or do; others see it') },
    examples: ['alert ack 3f9c0a51d2…', 'alert ack 3f9c0a51d2… --note "disk is on its way"'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const alert = await about(context, 'alert', args.id, async (id) =>
        api('POST /alerts/{id}/acknowledge', {
          params: { id: await wholeId(api, id) },
          body: options.note === undefined ? {} : { note: options.note },
        }),
      );
      if (output.isJson) output.json(alert);
      else
        output.message(
          `${output.paintMessage('green', '●')} ${safeText(alert.rule.name)} of ${safeText(alert.entity.name)} is acknowledged`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['alert', 'history'],
    summary: 'List what fired and ended, newest first',
    options: { ...FILTERS, limit: countOption('N', 'how many at most', { defaultText: String(DEFAULT_EVENTS) }) },
    examples: ['alert history', 'alert history --vm web1 --limit 200'],
    run: async ({ api, output }, { options }) => {
      const limit = Math.min(1000, Math.max(1, options.limit ?? DEFAULT_EVENTS));
      const { items } = await api('GET /alerts/history', { query: { ...filterOf(options), limit } });
      if (output.isJson) output.json(items);
      else printTable(output, EVENT_COLUMNS, items, 'Nothing has happened.');
      return EXIT.done;
    },
  }),
]);
