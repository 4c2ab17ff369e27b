/** `hv op`: operations, their steps and progress. */

import type { LibvirtJob } from '#contract/libvirt-jobs.ts';
import type { Operation } from '#contract/operations.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { finish } from './follow.ts';
import { OPERATION_MARKS, stateText } from './glyphs.ts';
import { about } from './objects.ts';
import { amountOf, figuresOf } from './progress.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, sinceText, timeText } from './time.ts';
import { choiceOption, countOption, flag, one, textOption } from './values.ts';

function stepText(operation: Operation): string {
  const { step, title } = amountOf(operation);
  if (operation.state === 'failed' || operation.state === 'attention')
    return safeText(operation.error?.detail ?? operation.error?.title ?? '');
  return step === null
    ? ''
    : `${step} ${title.slice(title.indexOf(' · ') + 3)} ${figuresOf(amountOf(operation))}`.trim();
}

const COLUMNS: readonly Column<Operation>[] = [
  { title: 'ID', value: (operation) => operation.id },
  {
    title: 'STATE',
    value: (operation) => stateText(operation.state, OPERATION_MARKS[operation.state]),
    colour: (text, operation, paint) => paint(OPERATION_MARKS[operation.state].colour, text),
  },
  { title: 'WHAT', value: (operation) => safeText(operation.title), flexibleTo: 14 },
  { title: 'BEGUN', value: (operation) => ageText(operation.createdAt), align: 'right' },
  { title: 'BY', value: (operation) => safeText(operation.actor), flexibleTo: 6, isOptional: true },
  {
    title: 'NOW',
    value: stepText,
    flexibleTo: 12,
    isOptional: true,
    colour: (text, _operation, paint) => paint('grey', text),
  },
];

const orNothing = (value: number | null, text: (value: number) => string): string =>
  value === null ? '' : text(value);

const JOBS: readonly Column<LibvirtJob>[] = [
  { title: 'VM', value: ({ name }) => safeText(name), flexibleTo: 8 },
  { title: 'JOB', value: ({ kind }) => kind.replace('_', ' ') },
  { title: 'DONE', value: ({ ratio }) => orNothing(ratio, (part) => `${Math.floor(part * 100)} %`), align: 'right' },
  { title: 'LEFT', value: ({ remainingBytes }) => orNothing(remainingBytes, formatBytes), align: 'right' },
  { title: 'SINCE', value: ({ elapsedMs }) => orNothing(elapsedMs, formatDuration), align: 'right' },
  { title: 'OPERATION', value: ({ operationId }) => operationId ?? 'of another program', isOptional: true },
];

const operationId = one('ID', 'operation id, as op-01h2…', { completes: 'operation' });

const STEP_GLYPHS = { pending: '○', running: '◐', done: '●', skipped: '○', failed: '■', undone: '▲' } as const;

export const commands = defineCommands([
  command({
    path: ['op', 'list'],
    summary: 'List operations, newest first',
    options: {
      open: flag('only those that are not finished'),
      state: choiceOption(
        ['pending', 'running', 'compensating', 'done', 'failed', 'cancelled', 'attention'],
        'only in this state',
      ),
      kind: textOption('KIND', 'only of this kind, as vm.create'),
      limit: countOption('N', 'how many at most', { defaultText: '20; with --json 1000' }),
    },
    examples: ['op list', 'op list --open', 'op list --state failed --limit 5'],
    run: async ({ api, output }, { options }) => {
      const { items } = await api('GET /operations', {
        query: {
          limit: options.limit ?? (output.isJson ? 1000 : 20),
          ...(options.open ? { open: 'true' } : {}),
          ...(options.state === undefined ? {} : { state: options.state }),
          ...(options.kind === undefined ? {} : { kind: options.kind }),
        },
      });
      if (output.isJson) output.json(items);
      else printTable(output, COLUMNS, items, options.open ? 'Nothing is going on.' : 'No operations.');
      return EXIT.done;
    },
  }),
  command({
    path: ['op', 'jobs'],
    summary: 'Show what libvirt itself does with VMs now, also for other programs',
    examples: ['op jobs', 'op jobs --json'],
    run: async ({ api, output }) => {
      const { items } = await api('GET /jobs');
      if (output.isJson) output.json(items);
      else printTable(output, JOBS, items, 'libvirt does nothing that takes time.');
      return EXIT.done;
    },
  }),
  command({
    path: ['op', 'show'],
    summary: 'Show an operation with its steps',
    positionals: { id: operationId },
    examples: ['op show op-01h2…'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const operation = await about(context, 'operation', args.id, (id) =>
        api('GET /operations/{id}', { params: { id } }),
      );
      if (output.isJson) {
        output.json(operation);
        return EXIT.done;
      }
      printFacts(output, [
        ['what', output.paint('bold', safeText(operation.title))],
        [
          'state',
          output.paint(
            OPERATION_MARKS[operation.state].colour,
            stateText(operation.state, OPERATION_MARKS[operation.state]),
          ),
        ],
        ['progress', operation.progress === null ? null : figuresOf(amountOf(operation)) || null],
        [
          'error',
          operation.error === null
            ? null
            : safeText(`${operation.error.detail || operation.error.title} (${operation.error.code})`),
        ],
        ['mend', operation.error === null ? null : safeText(operation.error.hint)],
        ['begun', `${timeText(operation.createdAt)}, ${ageText(operation.createdAt)}`],
        [
          'took',
          operation.finishedAt === null ? null : sinceText(operation.createdAt, Date.parse(operation.finishedAt)),
        ],
        ['by', safeText(operation.actor)],
        [
          'object',
          operation.objectName === null
            ? null
            : safeText(`${operation.objectType ?? ''} ${operation.objectName}`.trim()),
        ],
        ['kind', operation.kind],
        ['id', operation.id],
        ['request', operation.requestId],
      ]);
      if (operation.steps.length > 0) printHeading(output, 'Steps');
      for (const step of operation.steps)
        output.line(`${STEP_GLYPHS[step.state]} ${safeText(step.title)} (${step.state})`);
      return EXIT.done;
    },
  }),
  command({
    path: ['op', 'follow'],
    summary: 'Follow an operation to its end and print its result',
    positionals: { id: operationId },
    examples: ['op follow op-01h2…'],
    run: async (context, { args }) =>
      finish(
        context,
        await about(context, 'operation', args.id, (id) => context.api('GET /operations/{id}', { params: { id } })),
      ),
  }),
  command({
    path: ['op', 'cancel'],
    summary: 'Stop an operation at its next safe point and undo what it did',
    positionals: { id: operationId },
    examples: ['op cancel op-01h2…'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const operation = await about(context, 'operation', args.id, (id) =>
        api('POST /operations/{id}/cancel', { params: { id } }),
      );
      if (output.isJson) output.json(operation);
      else
        output.message(
          operation.state === 'cancelled'
            ? `○ ${safeText(operation.title)}: cancelled`
            : `◐ ${safeText(operation.title)} stops at its next safe point. \`hv op follow ${operation.id}\` waits for it.`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['op', 'retry'],
    summary: 'Try again to undo an operation that needs attention',
    positionals: { id: operationId },
    examples: ['op retry op-01h2…'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const operation = await about(context, 'operation', args.id, (id) =>
        api('POST /operations/{id}/retry', { params: { id } }),
      );
      if (output.isJson) output.json(operation);
      else
        output.message(
          `◐ ${safeText(operation.title)} is being undone. \`hv op follow ${operation.id}\` waits for its end.`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['op', 'dismiss'],
    summary: 'Take note of a failed operation, so that the overview no longer names it',
    positionals: { id: operationId },
    examples: ['op dismiss op-01h2…'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const operation = await about(context, 'operation', args.id, (id) =>
        api('POST /operations/{id}/dismiss', { params: { id } }),
      );
      if (output.isJson) output.json(operation);
      else output.message(`○ ${safeText(operation.title)}: noted`);
      return EXIT.done;
    },
  }),
]);
