/** `hv backup`: restore points of VMs. */

import type { RestorePlan, RestorePoint } from '#contract/backups.ts';
import { pathOf } from '#contract/client.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { CONFIRM_OPTIONS, confirmByName } from './ask.ts';
import { commands as fileCommands } from './backup-files.ts';
import { commands as instantCommands } from './backup-instant.ts';
import { pointId, pointOf } from './backup-point.ts';
import { commands as postureCommands } from './backup-posture.ts';
import { commands as scheduleCommands } from './backup-schedule.ts';
import { command, defineCommands } from './command.ts';
import { download } from './download.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { finish, finishEach } from './follow.ts';
import { about, collect } from './objects.ts';
import type { Output } from './output.ts';
import { type Column, type Fact, printFacts, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText, timeText } from './time.ts';
import { choiceOption, flag, many, one, textOption } from './values.ts';

const COLUMNS: readonly Column<RestorePoint>[] = [
  { title: 'ID', value: ({ id }) => id },
  {
    title: 'VM',
    value: ({ vmName }) => safeText(vmName),
    flexibleTo: 10,
    colour: (text, _row, paint) => paint('bold', text),
  },
  { title: 'MOMENT', value: ({ pointInTime }) => ageText(pointInTime) },
  {
    title: 'STATE',
    value: ({ state }) => state,
    colour: (text, { state }, paint) => paint(state === 'good' ? 'green' : 'red', text),
  },
  { title: 'AS', value: ({ consistency }) => consistency, isOptional: true },
  { title: 'SIZE', value: ({ sizeBytes }) => formatBytes(sizeBytes), align: 'right' },
  { title: 'READ', value: ({ readBytes }) => formatBytes(readBytes), align: 'right', isOptional: true },
  { title: 'STORED', value: ({ storedBytes }) => formatBytes(storedBytes), align: 'right' },
  { title: 'IN', value: ({ repositoryName }) => safeText(repositoryName), flexibleTo: 8, isOptional: true },
];

const CONSISTENCY = {
  agent: 'file systems were frozen by the guest agent',
  crash: 'as after a power cut',
  offline: 'the VM was off',
} as const;

function print(output: Output, point: RestorePoint): void {
  if (output.isJson) {
    output.json(point);
    return;
  }
  printFacts(output, [
    ['id', output.paint('bold', point.id)],
    ['VM', safeText(point.vmName) + (point.isVmThere ? '' : ' (not there any more)')],
    ['state', output.paint(point.state === 'good' ? 'green' : 'red', point.state)],
    ['problem', point.problem === null ? null : safeText(point.problem)],
    ['moment', timeText(point.pointInTime)],
    ['consistency', CONSISTENCY[point.consistency]],
    ['frozen', point.frozenMs === null ? null : formatDuration(point.frozenMs)],
    ['size', formatBytes(point.sizeBytes)],
    ['read', formatBytes(point.readBytes)],
    ['stored', formatBytes(point.storedBytes)],
    ['repository', safeText(point.repositoryName)],
    ...point.disks.map(
      (disk): Fact => [
        disk.target,
        `${formatBytes(disk.sizeBytes)} ${disk.format}, ${disk.mode}${disk.reason === null ? '' : `: ${safeText(disk.reason)}`}`,
      ],
    ),
    ...point.skipped.map((disk): Fact => [disk.target, `left out: ${safeText(disk.reason)}`]),
    ...point.warnings.map((warning): Fact => ['warning', safeText(warning)]),
  ]);
}

export const commands = defineCommands([
  command({
    path: ['backup', 'run'],
    summary: 'Back up VMs now',
    details:
      'Only what changed since the last backup is read; the guest goes on. With the guest agent its file systems are still for a moment.',
    positionals: { names: many('NAME', 'names, PROJECT/NAME or UUIDs of the VMs', { completes: 'vm' }) },
    options: {
      repo: textOption('NAME', 'where to; the default repository unless given', { completes: 'repository' }),
      full: flag('read every disk as a whole'),
    },
    isLong: true,
    examples: ['backup run web1', 'backup run web1 db1 --repo nightly'],
    run: (context, { args, options }) =>
      finishEach(context, args.names, (name) =>
        about(context, 'vm', name, (id) =>
          context.api('POST /vms/{id}/backup', {
            params: { id },
            body: { full: options.full, ...(options.repo === undefined ? {} : { repository: options.repo }) },
          }),
        ),
      ),
  }),
  command({
    path: ['backup', 'list'],
    summary: 'List restore points, newest first',
    options: {
      vm: textOption('NAME', 'of this VM, also of one that is gone', { completes: 'vm' }),
      repo: textOption('NAME', 'in this repository', { completes: 'repository' }),
    },
    examples: ['backup list', 'backup list --vm web1'],
    run: async ({ api, output }, { options }) => {
      const points = await collect((query) =>
        api('GET /restore-points', {
          query: {
            ...query,
            ...(options.vm === undefined ? {} : { vm: options.vm }),
            ...(options.repo === undefined ? {} : { repository: options.repo }),
          },
        }),
      );
      if (output.isJson) output.json(points);
      else printTable(output, COLUMNS, points, 'No restore points. `hv backup run NAME` makes one.');
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'show'],
    summary: 'Show a restore point',
    positionals: { point: pointId() },
    examples: ['backup show web1', 'backup show rp-01m8b2c1r655dahv5wg5z8a79y'],
    run: async (context, { args }) => {
      print(context.output, await pointOf(context, args.point));
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'restore'],
    summary: 'Make a new VM of a restore point, or set its VM back',
    details:
      'The new VM has a UUID and addresses of its own and stays off unless --start is given. With --instant it runs within seconds whatever its size, and `hv backup instant list` tells how far its data is copied. With --overwrite the VM that was backed up gets the disks of the restore point; it must be off, and its disks of now are kept for some days.',
    positionals: { point: pointId() },
    options: {
      as: textOption('NAME', 'name of the new VM'),
      project: textOption('NAME', 'its project; that of the restore point unless given', { completes: 'project' }),
      start: flag('start it when it is there'),
      instant: flag('start it at once from the restore point; its data is copied meanwhile'),
      plan: flag('only say what would be made'),
      overwrite: flag('set the VM back that was backed up'),
      from: textOption('REPOSITORY', 'copy to read it from', { completes: 'repository' }),
      ...CONFIRM_OPTIONS,
    },
    isLong: true,
    examples: [
      'backup restore web1 --as web1-copy',
      'backup restore web1 --as web1-copy --instant',
      'backup restore rp-01m8b2c1r655dahv5wg5z8a79y --overwrite --yes --name web1',
    ],
    run: async (context, { args, options }) => {
      const { api, output } = context;
      if (options.overwrite === (options.as !== undefined))
        throw usageFailure('it has to be said what becomes of it', 'Give either --as NAME or --overwrite.');
      if (options.overwrite && options.instant)
        throw usageFailure('a VM is not set back while it runs', 'Use --instant with --as NAME.');
      const from = options.from === undefined ? {} : { from: options.from };
      if (options.overwrite) {
        const point = await pointOf(context, args.point);
        await confirmByName(context, {
          what: `the disks of "${point.vmName}" become those of ${timeText(point.pointInTime)}; what was written since is no longer on them`,
          name: point.vmName,
          options,
        });
        return finish(
          context,
          await api('POST /restore-points/{id}/overwrite', {
            params: { id: point.id },
            body: { confirm: point.vmName, ...from },
          }),
        );
      }
      const { id } = await pointOf(context, args.point);
      const body = {
        name: options.as ?? '',
        start: options.start,
        mode: options.instant ? ('instant' as const) : ('copy' as const),
        ...(options.project === undefined ? {} : { project: options.project }),
        ...from,
      };
      if (options.plan) {
        const plan = await api('POST /restore-points/{id}/restore/plan', { params: { id }, body });
        if (output.isJson) output.json(plan);
        else printPlan(output, plan);
        return EXIT.done;
      }
      return finish(context, await api('POST /restore-points/{id}/restore', { params: { id }, body }), () =>
        options.instant
          ? `${safeText(body.name)} runs; its data is copied behind it (\`hv backup instant list\`)`
          : `${safeText(body.name)} is there`,
      );
    },
  }),
  command({
    path: ['backup', 'export'],
    summary: 'Write a disk of a restore point into a file',
    details: 'Every piece is compared with what was stored on its way. A raw file has the size of the disk.',
    positionals: {
      point: pointId(),
      disk: one('DISK', 'target of the disk, as vda'),
      file: one('FILE', 'file to write; must not be there', { completes: 'file' }),
    },
    options: {
      format: choiceOption(['qcow2', 'raw'], 'format of the file', { defaultText: 'qcow2' }),
      from: textOption('REPOSITORY', 'copy to read it from', { completes: 'repository' }),
    },
    examples: ['backup export web1 vda web1.qcow2'],
    run: async (context, { args, options }) => {
      const { id } = await pointOf(context, args.point);
      const query = {
        target: args.disk,
        format: options.format ?? 'qcow2',
        ...(options.from === undefined ? {} : { from: options.from }),
      };
      const bytes = await download(context, pathOf('GET /restore-points/{id}/disk', { id }, query), args.file);
      if (context.output.isJson) context.output.json({ file: args.file, bytes });
      else
        context.output.message(
          `${context.output.paintMessage('green', '●')} ${formatBytes(bytes)} are in ${args.file}`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'add-disk'],
    summary: 'Put a disk of a restore point into a VM that is there, as a further disk',
    details: 'The disks that the VM has stay as they are; it has the new one from its next start on.',
    positionals: {
      point: pointId(),
      disk: one('DISK', 'target of the disk in the restore point, as vda'),
      vm: one('NAME', 'the VM that gets it', { completes: 'vm' }),
    },
    isLong: true,
    examples: ['backup add-disk web1 vda rescue'],
    run: async (context, { args }) => {
      const { id } = await pointOf(context, args.point);
      const vm = await about(context, 'vm', args.vm, (name) => context.api('GET /vms/{id}', { params: { id: name } }));
      const body = { target: args.disk, vm: vm.id };
      return finish(context, await context.api('POST /restore-points/{id}/disk', { params: { id }, body }));
    },
  }),
  command({
    path: ['backup', 'delete'],
    summary: 'Delete a restore point',
    details:
      'What other restore points need stays. On a terminal its id is asked for; elsewhere --yes --name POINT is needed.',
    positionals: { point: pointId() },
    options: CONFIRM_OPTIONS,
    isLong: true,
    examples: ['backup delete rp-01m8b2c1r655dahv5wg5z8a79y'],
    run: async (context, { args, options }) => {
      const { api } = context;
      const point = await pointOf(context, args.point);
      await confirmByName(context, {
        what: `the restore point of "${point.vmName}" of ${timeText(point.pointInTime)} is deleted for good`,
        name: point.id,
        options,
      });
      return finish(context, await api('DELETE /restore-points/{id}', { params: { id: point.id } }));
    },
  }),
  ...instantCommands,
  ...fileCommands,
  ...scheduleCommands,
  ...postureCommands,
]);

function printPlan(output: Output, plan: RestorePlan): void {
  printFacts(output, [
    ['name', output.paint('bold', safeText(plan.name))],
    ['processors', String(plan.vcpus)],
    ['memory', formatBytes(plan.memoryBytes)],
    ...plan.disks.map(({ target, format, sizeBytes }): Fact => [target, `${formatBytes(sizeBytes)} ${format}`]),
    ['to write', `${formatBytes(plan.needs.diskBytes)} of ${formatBytes(plan.needs.freeDiskBytes)} free`],
    ...plan.changes.map((change): Fact => ['changed', safeText(change)]),
    ...plan.warnings.map((warning): Fact => ['warning', safeText(warning)]),
  ]);
}
