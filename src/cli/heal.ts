/** `hv heal`: what hyperd may mend by itself, how far it goes, and what it did. */

import { durationMs, durationTextSchema } from '#contract/alerts-config.ts';
import {
  ACT_RESULTS,
  HEALING_ACTION_IDS,
  HEALING_MODES,
  type HealingAct,
  type HealingAction,
  type HealingPause,
  type HealingVmMode,
  healingActionIdSchema,
  healingModeSchema,
} from '#contract/healing.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about } from './objects.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { choiceOption, countOption, one, textOption } from './values.ts';

const OWN = 'default';
const MODE_COLOURS = { act: 'green', observe: 'yellow', off: 'grey' } as const;

const ACTIONS: readonly Column<HealingAction>[] = [
  { title: 'ACTION', value: ({ id }) => id },
  { title: 'MODE', value: ({ mode }) => mode, colour: (text, { mode }, paint) => paint(MODE_COLOURS[mode], text) },
  { title: 'WHAT', value: ({ title }) => title, flexibleTo: 16 },
  { title: 'AN HOUR', value: ({ perHour }) => String(perHour), align: 'right' },
  {
    title: 'VMS OF THEIR OWN',
    value: ({ vms }) => safeText(vms.map(({ name, mode }) => `${name}=${mode}`).join(' ')),
    flexibleTo: 12,
    isOptional: true,
  },
];

const VM_MODES: readonly Column<HealingVmMode>[] = [
  { title: 'ACTION', value: ({ action }) => action },
  { title: 'OF ITS OWN', value: ({ mode }) => mode ?? '' },
  {
    title: 'HOLDS',
    value: ({ effective }) => effective,
    colour: (text, { effective }, paint) => paint(MODE_COLOURS[effective], text),
  },
];

const RESULT_COLOURS: Readonly<Partial<Record<HealingAct['result'], 'green' | 'red' | 'yellow' | 'grey'>>> = {
  done: 'green',
  failed: 'red',
  gave_up: 'red',
  held: 'yellow',
  would_have: 'grey',
};

const ACTS: readonly Column<HealingAct>[] = [
  { title: 'WHEN', value: ({ at }) => ageText(at) },
  { title: 'ACTION', value: ({ action }) => action },
  { title: 'ON', value: ({ objectName }) => safeText(objectName), flexibleTo: 8 },
  {
    title: 'RESULT',
    value: ({ result }) => result.replace('_', ' '),
    colour: (text, { result }, paint) => {
      const colour = RESULT_COLOURS[result];
      return colour === undefined ? text : paint(colour, text);
    },
  },
  { title: 'WHY', value: ({ text }) => safeText(text), flexibleTo: 20 },
  { title: 'OPERATION', value: ({ operationId }) => operationId ?? '', isOptional: true },
];

const MINUTE_MS = 60_000;

function pauseText({ until, by, reason }: HealingPause): string {
  return `healing is paused until ${timeText(until)}, by ${safeText(by)}${reason === '' ? '' : `: ${safeText(reason)}`}`;
}

export const commands = defineCommands([
  command({
    path: ['heal', 'list'],
    summary: 'Show what hyperd may mend by itself, and how far it goes',
    options: { vm: textOption('VM', 'what holds for this VM', { completes: 'vm' }) },
    examples: ['heal list', 'heal list --vm web1'],
    run: async (context, { options }) => {
      const { api, output } = context;
      if (options.vm !== undefined) {
        const { items } = await about(context, 'vm', options.vm, (id) =>
          api('GET /vms/{id}/healing', { params: { id } }),
        );
        if (output.isJson) output.json(items);
        else printTable(output, VM_MODES, items, '');
        return EXIT.done;
      }
      const { items, pause } = await api('GET /healing/actions');
      if (output.isJson) output.json(items);
      else printTable(output, ACTIONS, items, '');
      if (pause !== null) output.message(`${output.paintMessage('yellow', '▲')} ${pauseText(pause)}`);
      return EXIT.done;
    },
  }),
  command({
    path: ['heal', 'set'],
    summary: 'Say how far an action may go',
    details: `off: nothing. observe: it is only written down what would have been done. act: it is done. With --vm for one VM, where ${OWN} takes its own mode away.`,
    positionals: {
      action: one('ACTION', 'what it does', { choices: HEALING_ACTION_IDS }),
      mode: one('MODE', 'how far it goes', { choices: [...HEALING_MODES, OWN] }),
    },
    options: { vm: textOption('VM', 'for this VM only', { completes: 'vm' }) },
    examples: ['heal set vm-resume act', 'heal set guest-trim act --vm web1', 'heal set vm-restart default --vm web1'],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      const action = healingActionIdSchema.parse(args.action);
      const mode = args.mode === OWN ? null : healingModeSchema.parse(args.mode);
      if (options.vm !== undefined) {
        const { items } = await about(context, 'vm', options.vm, (id) =>
          api('PATCH /vms/{id}/healing', { params: { id }, body: { action, mode } }),
        );
        if (output.isJson) output.json(items);
        else printTable(output, VM_MODES, items, '');
        return EXIT.done;
      }
      if (mode === null)
        throw usageFailure(`${OWN} is for one VM`, 'Name it with --vm, or choose off, observe or act.');
      const changed = await api('PATCH /healing/actions/{id}', { params: { id: action }, body: { mode } });
      if (output.isJson) output.json(changed);
      else output.message(`${output.paintMessage('green', '●')} ${changed.title}: ${changed.mode}`);
      return EXIT.done;
    },
  }),
  command({
    path: ['heal', 'pause'],
    summary: 'Let healing do nothing for a while, as during work on the machine',
    details:
      'What it would have done is written down. Alerts go on; keep their messages back with `hv silence add --label host=NAME`.',
    options: {
      for: textOption('DURATION', 'how long, as 2h or 1d; at most 7d'),
      reason: textOption('TEXT', 'why, for everybody who looks'),
    },
    examples: ['heal pause --for 2h', 'heal pause --for 1d --reason "new disks"'],
    run: async ({ api, output }, { options }) => {
      const duration = durationTextSchema.safeParse(options.for);
      if (!duration.success) throw usageFailure('--for is missing or no duration', 'Give one as --for 2h.');
      const minutes = Math.ceil(durationMs(duration.data) / MINUTE_MS);
      const pause = await api('POST /healing/pause', {
        body: { minutes, ...(options.reason === undefined ? {} : { reason: options.reason }) },
      });
      if (output.isJson) output.json(pause);
      else output.message(`${output.paintMessage('yellow', '▲')} ${pauseText(pause)}; end it: hv heal resume`);
      return EXIT.done;
    },
  }),
  command({
    path: ['heal', 'resume'],
    summary: 'Let healing go on before its pause is over',
    examples: ['heal resume'],
    run: async ({ api, output }) => {
      await api('DELETE /healing/pause');
      if (output.isJson) output.json({ pause: null });
      else output.message(`${output.paintMessage('green', '●')} healing goes on`);
      return EXIT.done;
    },
  }),
  command({
    path: ['heal', 'history'],
    summary: 'Show what was done, and what would have been',
    options: {
      object: textOption('NAME', 'a VM, pool, service or folder'),
      action: choiceOption(HEALING_ACTION_IDS, 'only this action'),
      result: choiceOption(ACT_RESULTS, 'only with this result'),
      limit: countOption('N', 'how many, 100 unless said'),
    },
    examples: ['heal history', 'heal history --object web1', 'heal history --result would_have'],
    run: async ({ api, output }, { options }) => {
      const { object, action, result, limit } = options;
      const { items } = await api('GET /healing/acts', {
        query: {
          ...(object === undefined ? {} : { object }),
          ...(action === undefined ? {} : { action }),
          ...(result === undefined ? {} : { result }),
          ...(limit === undefined ? {} : { limit }),
        },
      });
      if (output.isJson) output.json(items);
      else printTable(output, ACTS, items, 'Nothing was mended yet.');
      return EXIT.done;
    },
  }),
]);
