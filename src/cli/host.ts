/** `hv host`: hosts and their load. */

import type { Host } from '#contract/system.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import { EXIT } from './exit-codes.ts';
import { markOf, stateText } from './glyphs.ts';
import { about } from './objects.ts';
import { accelText } from './status.ts';
import { type Column, printFacts, printHeading, printTable } from './table.ts';
import { safeText } from './text.ts';
import { sinceText } from './time.ts';
import { one } from './values.ts';

const percentText = (ratio: number | null | undefined) =>
  ratio === null || ratio === undefined ? '–' : `${Math.round(ratio * 100)} %`;
const memoryText = (host: Host) =>
  host.usage?.memoryUsedBytes
    ? `${formatBytes(host.usage.memoryUsedBytes)} of ${formatBytes(host.memoryBytes)}`
    : formatBytes(host.memoryBytes);

const COLUMNS: readonly Column<Host>[] = [
  {
    title: 'NAME',
    value: (host) => safeText(host.name),
    flexibleTo: 10,
    colour: (text, _host, paint) => paint('bold', text),
  },
  {
    title: 'STATE',
    value: (host) => stateText(host.state),
    colour: (text, host, paint) => paint(markOf(host.state).colour, text),
  },
  { title: 'CPUS', value: (host) => String(host.cpus), align: 'right' },
  { title: 'CPU', value: (host) => percentText(host.usage?.cpuRatio), align: 'right' },
  { title: 'MEMORY', value: memoryText, align: 'right' },
  { title: 'ACCEL', value: (host) => host.accel.toUpperCase(), isOptional: true },
  { title: 'LIBVIRT', value: (host) => safeText(host.libvirtVersion ?? '–'), isOptional: true },
  { title: 'QEMU', value: (host) => safeText(host.qemuVersion ?? '–'), isOptional: true },
];

export const commands = defineCommands([
  command({
    path: ['host', 'list'],
    summary: 'List hosts',
    examples: ['host list'],
    run: async ({ api, output }) => {
      const { items } = await api('GET /hosts');
      if (output.isJson) output.json(items);
      else printTable(output, COLUMNS, items, 'No hosts.');
      return EXIT.done;
    },
  }),
  command({
    path: ['host', 'show'],
    summary: 'Show a host with its load and file systems',
    positionals: { name: one('NAME', 'name or id of the host', { completes: 'host' }) },
    examples: ['host show local'],
    run: async (context, { args }) => {
      const { api, output } = context;
      const host = await about(context, 'host', args.name, (id) => api('GET /hosts/{id}', { params: { id } }));
      if (output.isJson) {
        output.json(host);
        return EXIT.done;
      }
      printFacts(output, [
        ['name', output.paint('bold', safeText(host.name))],
        ['state', `${output.paint(markOf(host.state).colour, stateText(host.state))} for ${sinceText(host.since)}`],
        ['acceleration', accelText(host.accel)],
        [
          'CPU',
          `${host.cpuModel === null ? '' : `${safeText(host.cpuModel)}, `}${host.cpus} CPUs, ${percentText(host.usage?.cpuRatio)} in use${host.usage?.load1 ? `, load ${host.usage.load1.toFixed(2)}` : ''}`,
        ],
        ['memory', memoryText(host)],
        ['up', host.uptimeSeconds === null ? null : formatDuration(host.uptimeSeconds * 1000)],
        ['kernel', host.kernel === null ? null : safeText(host.kernel)],
        ['libvirt', host.libvirtVersion === null ? null : safeText(host.libvirtVersion)],
        ['QEMU', host.qemuVersion === null ? null : safeText(host.qemuVersion)],
        ['id', safeText(host.id)],
      ]);
      if (host.usage && host.usage.filesystems.length > 0) {
        printHeading(output, 'File systems');
        printTable(
          output,
          [
            { title: 'MOUNT', value: (filesystem) => safeText(filesystem.mount), flexibleTo: 12 },
            { title: 'FOR', value: (filesystem) => safeText(filesystem.purpose), flexibleTo: 8, isOptional: true },
            { title: 'SIZE', value: (filesystem) => formatBytes(filesystem.sizeBytes), align: 'right' },
            { title: 'USED', value: (filesystem) => formatBytes(filesystem.usedBytes), align: 'right' },
            {
              title: 'FULL',
              value: (filesystem) =>
                percentText(filesystem.sizeBytes > 0 ? filesystem.usedBytes / filesystem.sizeBytes : null),
              align: 'right',
            },
          ],
          host.usage.filesystems,
          '',
        );
      }
      return EXIT.done;
    },
  }),
]);
