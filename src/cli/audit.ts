/** `hv audit`: who did what. */

import type { AuditRecord } from '#contract/system.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import type { Colour } from './output.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { timeText } from './time.ts';
import { choiceOption, countOption, textOption } from './values.ts';

const OUTCOME_MARKS: Readonly<Record<string, readonly [glyph: string, colour: Colour]>> = {
  done: ['●', 'green'],
  failed: ['■', 'red'],
  cancelled: ['○', 'grey'],
  denied: ['■', 'red'],
  invalid: ['▲', 'yellow'],
};

const outcomeOf = (record: AuditRecord) => (record.phase === 'intent' ? 'asked' : (record.outcome ?? 'unknown'));

const COLUMNS: readonly Column<AuditRecord>[] = [
  { title: 'TIME', value: (record) => timeText(record.at) },
  { title: 'WHO', value: (record) => safeText(record.actor), flexibleTo: 6 },
  {
    title: 'OUTCOME',
    value: (record) =>
      `${OUTCOME_MARKS[outcomeOf(record)]?.[0] ?? '◐'} ${outcomeOf(record)}${record.code === null ? '' : ` (${safeText(record.code)})`}`,
    flexibleTo: 18,
    colour: (text, record, paint) => paint(OUTCOME_MARKS[outcomeOf(record)]?.[1] ?? 'grey', text),
  },
  { title: 'ACTION', value: (record) => safeText(record.action), flexibleTo: 20 },
  {
    title: 'OBJECT',
    value: (record) => safeText(record.objectName ?? record.objectId ?? '–'),
    flexibleTo: 8,
    isOptional: true,
  },
  {
    title: 'VIA',
    value: (record) => safeText(record.via.replace('_socket', ' socket')),
    flexibleTo: 6,
    isOptional: true,
  },
];

/** `2h`, `3d` before now, or a time as the world writes it. */
function sinceOf(text: string): string {
  const match = /^(\d{1,6})\s*(m|min|h|d)$/.exec(text);
  const factor = match?.[2] === 'd' ? 86_400_000 : match?.[2] === 'h' ? 3_600_000 : 60_000;
  const at = match ? Date.now() - Number(match[1]) * factor : Date.parse(text);
  if (Number.isNaN(at))
    throw usageFailure(`--since "${text}" is not a time`, 'Write 30min, 2h, 3d, or a time as 2026-11-23T08:00.');
  return new Date(at).toISOString();
}

export const commands = defineCommands([
  command({
    path: ['audit', 'list'],
    summary: 'List who did what, newest first',
    details: 'Each change has two records: what was asked for, and what came of it.',
    options: {
      actor: textOption('USER', 'only by this user'),
      action: textOption('ACTION', 'only this action, as "POST /vms/{id}/start"'),
      object: textOption('ID', 'only about the object with this id'),
      outcome: choiceOption(['done', 'failed', 'cancelled', 'denied', 'invalid'], 'only with this outcome'),
      since: textOption('TIME', 'only since: 30min, 2h, 3d, or 2026-11-23T08:00'),
      limit: countOption('N', 'how many at most', { defaultText: '50; with --json 1000' }),
    },
    examples: ['audit list', 'audit list --outcome denied --since 2d', 'audit list --json'],
    run: async ({ api, output }, { options }) => {
      const { items } = await api('GET /audit', {
        query: {
          limit: options.limit ?? (output.isJson ? 1000 : 50),
          ...(options.actor === undefined ? {} : { actor: options.actor }),
          ...(options.action === undefined ? {} : { action: options.action }),
          ...(options.object === undefined ? {} : { objectId: options.object }),
          ...(options.outcome === undefined ? {} : { outcome: options.outcome }),
          ...(options.since === undefined ? {} : { since: sinceOf(options.since) }),
        },
      });
      if (output.isJson) output.json(items);
      else printTable(output, COLUMNS, items, 'No records fit.');
      return EXIT.done;
    },
  }),
]);
