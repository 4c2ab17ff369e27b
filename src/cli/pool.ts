/** `hv pool`: storage pools and their volumes. */

import type { Pool } from '#contract/networks.ts';
import { formatBytes } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { markOf, stateText } from './glyphs.ts';
import { about, collect } from './objects.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { one } from './values.ts';

const bytesText = (bytes: number | null) => (bytes === null ? '–' : formatBytes(bytes));

const COLUMNS: readonly Column<Pool>[] = [
  {
    title: 'NAME',
    value: (pool) => safeText(pool.name),
    flexibleTo: 12,
    colour: (text, _pool, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: (pool) => stateText(pool.state),
    colour: (text, pool, paint) => paint(markOf(pool.state).colour, text),
  },
  { title: 'KIND', value: (pool) => safeText(pool.kind) },
  { title: 'SIZE', value: (pool) => bytesText(pool.capacityBytes), align: 'right' },
  { title: 'FREE', value: (pool) => bytesText(pool.availableBytes), align: 'right' },
  { title: 'VOLUMES', value: (pool) => String(pool.volumes.length), align: 'right', isOptional: true },
  {
    title: 'NOTES',
    value: (pool) => (pool.isDefault ? 'new disks go here' : ''),
    isOptional: true,
    colour: (text, _pool, paint) => paint('grey', text),
  },
];

export const commands = defineCommands([
  command({
    path: ['pool', 'list'],
    summary: 'List storage pools',
    examples: ['pool list'],
    run: async ({ api, output }) => {
      const pools = await collect((query) => api('GET /pools', { query }));
      if (output.isJson) output.json(pools);
      else printTable(output, COLUMNS, pools, 'No storage pools. `hv preflight` says what is missing.');
      return EXIT.done;
    },
  }),
  command({
    path: ['pool', 'show'],
    summary: 'Show a storage pool with its volumes',
    positionals: { name: one('NAME', 'name or UUID of the pool', { completes: 'pool' }) },
    examples: ['pool show hyper'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const pool = await about(context, 'pool', args.name, (id) => api('GET /pools/{id}', { params: { id } }));
      if (output.isJson) {
        output.json(pool);
        return EXIT.done;
      }
      printFacts(output, [
        ['name', output.paint('bold', safeText(pool.name)) + (pool.isDefault ? ' (new disks go here)' : '')],
        ['state', output.paint(markOf(pool.state).colour, stateText(pool.state))],
        ['kind', safeText(pool.kind)],
        ['path', pool.path === null ? null : safeText(pool.path)],
        ['size', bytesText(pool.capacityBytes)],
        ['used', bytesText(pool.allocatedBytes)],
        ['free', bytesText(pool.availableBytes)],
        ['autostart', pool.autostart ? 'yes' : 'no'],
        ['id', safeText(pool.id)],
      ]);
      if (pool.volumes.length > 0) {
        printHeading(output, 'Volumes');
        printTable(
          output,
          [
            { title: 'NAME', value: (volume) => safeText(volume.name), flexibleTo: 14 },
            { title: 'SIZE', value: (volume) => formatBytes(volume.sizeBytes), align: 'right' },
            { title: 'USED', value: (volume) => formatBytes(volume.allocatedBytes), align: 'right' },
            { title: 'FORMAT', value: (volume) => safeText(volume.format ?? '–'), isOptional: true },
            { title: 'VM', value: (volume) => safeText(volume.usedBy?.name ?? '–'), flexibleTo: 8 },
          ],
          pool.volumes,
          '',
        );
      }
      return EXIT.done;
    },
  }),
]);
