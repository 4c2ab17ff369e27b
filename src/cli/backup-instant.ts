/** `hv backup instant`: VMs that run from a restore point while their data is copied. */

import type { InstantRestore } from '#contract/backups.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { finish } from './follow.ts';
import { about, collect } from './objects.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { one } from './values.ts';

const COLOURS = { starting: 'grey', copying: 'green', waiting: 'yellow', held: 'red' } as const;

const COLUMNS: readonly Column<InstantRestore>[] = [
  {
    title: 'VM',
    value: ({ vmName }) => safeText(vmName),
    flexibleTo: 8,
    colour: (text, _row, paint) => paint('bold', text),
  },
  { title: 'STATE', value: ({ state }) => state, colour: (text, { state }, paint) => paint(COLOURS[state], text) },
  { title: 'COPIED', value: ({ copiedRatio }) => `${Math.floor(copiedRatio * 100)} %`, align: 'right' },
  { title: 'SINCE', value: ({ startedAt }) => ageText(startedAt) },
  { title: 'FROM', value: ({ pointId }) => pointId },
  { title: 'IN', value: ({ repositoryName }) => safeText(repositoryName), flexibleTo: 8, isOptional: true },
  { title: 'PROBLEM', value: ({ problem }) => safeText(problem ?? ''), flexibleTo: 20 },
  { title: 'OPERATION', value: ({ operationId }) => operationId ?? '', isOptional: true },
];

export const commands = defineCommands([
  command({
    path: ['backup', 'instant', 'list'],
    summary: 'List VMs that run from a restore point while their data is copied',
    details: 'Exit code 7 when the copying of one waits or was stopped.',
    examples: ['backup instant list'],
    run: async ({ api, output }) => {
      const rows = await collect((query) => api('GET /instant-restores', { query }));
      if (output.isJson) output.json(rows);
      else printTable(output, COLUMNS, rows, 'No VM runs from a restore point.');
      return rows.some(({ state }) => state === 'held' || state === 'waiting') ? EXIT.warnings : EXIT.done;
    },
  }),
  command({
    path: ['backup', 'instant', 'resume'],
    summary: 'Go on copying the data of a VM that runs from a restore point',
    positionals: { name: one('NAME', 'name, PROJECT/NAME or UUID of the VM', { completes: 'vm' }) },
    isLong: true,
    examples: ['backup instant resume web1'],
    run: async (context, { args }) =>
      finish(
        context,
        await about(context, 'vm', args.name, (id) => context.api('POST /vms/{id}/copy-behind', { params: { id } })),
        () => `${safeText(args.name)} needs its restore point no more`,
      ),
  }),
]);
