/** `hv backup posture`, `prune`, `protect`, `unprotect`, `leave-out`, `report`: how well VMs are protected, and what is kept. */

import { writeFile } from 'node:fs/promises';
import { ApiProblem, pathOf } from '#contract/client.ts';
import { POSTURES, type Posture, type PruneDecision, type VmPosture } from '#contract/protection.ts';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { command, defineCommands } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { finish } from './follow.ts';
import { about, collect } from './objects.ts';
import type { Output } from './output.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { ageText } from './time.ts';
import { any, choiceOption, flag, one, textOption } from './values.ts';

/** As `hv health`. */
const EXITS = {
  protected: EXIT.done,
  attention: EXIT.warnings,
  unknown: EXIT.failed,
  unprotected: EXIT.failed,
} as const satisfies Record<Posture, number>;
const COLOURS = { protected: 'green', attention: 'yellow', unknown: 'grey', unprotected: 'red' } as const;
const GLYPHS = { protected: '●', attention: '▲', unknown: '?', unprotected: '■' } as const;

const ROWS: readonly Column<VmPosture>[] = [
  {
    title: 'VM',
    value: ({ vmName }) => safeText(vmName),
    flexibleTo: 8,
    colour: (text, _row, paint) => paint('bold', text),
  },
  {
    title: 'POSTURE',
    value: ({ posture }) => `${GLYPHS[posture]} ${posture}`,
    colour: (text, { posture }, paint) => paint(COLOURS[posture], text),
  },
  { title: 'NEWEST', value: ({ newestAt }) => (newestAt === null ? 'none' : ageText(newestAt)) },
  { title: 'PROVEN', value: ({ provenAt }) => (provenAt === null ? 'never' : ageText(provenAt)) },
  {
    title: 'STARTS IN',
    value: ({ bootSeconds }) => (bootSeconds === null ? '' : formatDuration(bootSeconds * 1000)),
    align: 'right',
    isOptional: true,
  },
  { title: 'WHY', value: ({ reasons }) => safeText(reasons[0]?.text ?? ''), flexibleTo: 20 },
  { title: 'NEXT', value: ({ next }) => safeText(next?.command ?? ''), flexibleTo: 16 },
];

const DECISIONS: readonly Column<PruneDecision>[] = [
  { title: 'POINT', value: ({ pointId }) => pointId },
  { title: 'VM', value: ({ vmName }) => safeText(vmName), flexibleTo: 8 },
  { title: 'MOMENT', value: ({ at }) => ageText(at) },
  {
    title: 'STAYS',
    value: ({ isKept }) => (isKept ? 'yes' : 'no'),
    colour: (text, { isKept }, paint) => paint(isKept ? 'green' : 'yellow', text),
  },
  {
    title: 'FOR',
    value: ({ reasons }) => reasons.map((reason) => reason.replaceAll('_', ' ')).join(', '),
    flexibleTo: 12,
  },
  { title: 'IN', value: ({ repository }) => safeText(repository), flexibleTo: 8, isOptional: true },
];

async function writeReport({ transport, output }: CommandContext, format: string, file: string | undefined) {
  const { status, body } = await transport.open({ method: 'GET', path: pathOf('GET /backup-report', {}, { format }) });
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  const bytes = Buffer.concat(chunks);
  if (status !== 200) throw new ApiProblem(JSON.parse(bytes.toString('utf8')));
  if (file === undefined) {
    output.line(bytes.toString('utf8').trimEnd());
    return;
  }
  await writeFile(file, bytes, { mode: 0o600, flag: 'wx' }).catch((error: unknown) => {
    throw usageFailure(
      `"${file}" cannot be written: ${hasErrno(error, 'EEXIST') ? 'it is there already' : messageOf(error)}`,
      'Name a file that is not there yet.',
    );
  });
  output.message(`Written to ${safeText(file)}.`);
}

function printPosture(output: Output, rows: readonly VmPosture[]): void {
  printTable(output, ROWS, rows, 'There is no VM to protect.');
  const counts = POSTURES.map((posture) => [posture, rows.filter((row) => row.posture === posture).length] as const)
    .filter(([, count]) => count > 0)
    .map(([posture, count]) => `${count} ${posture}`);
  if (counts.length > 0) output.message(counts.join(', '));
}

export const commands = defineCommands([
  command({
    path: ['backup', 'posture'],
    summary: 'Show how well VMs are protected, the worst first',
    details:
      'Exit code 0 when all are protected, 7 when one needs attention, 1 when one is unprotected or nothing is known of it, and when there is no VM.',
    options: {
      posture: choiceOption(POSTURES, 'only those that stand so'),
      search: textOption('TEXT', 'only names with this in them'),
      project: textOption('NAME', 'only VMs of this project', { completes: 'project' }),
    },
    examples: ['backup posture', 'backup posture --posture unprotected', 'backup posture --json'],
    run: async ({ api, output }, { options }) => {
      const query = {
        ...(options.posture === undefined ? {} : { posture: options.posture }),
        ...(options.search === undefined ? {} : { q: options.search }),
        ...(options.project === undefined ? {} : { project: options.project }),
      };
      const first = await api('GET /backup-posture', { query });
      const items = await collect(async (page) =>
        page.cursor === undefined ? first : api('GET /backup-posture', { query: { ...query, ...page } }),
      );
      if (output.isJson) output.json({ ...first, items, next: null });
      else {
        printPosture(output, items);
        for (const orphan of first.orphans)
          output.message(
            `${safeText(orphan.vmName)} is gone; ${orphan.points} restore points of it are there (${formatBytes(orphan.storedBytes)}): hv backup list --vm ${safeText(orphan.vmId)}`,
          );
      }
      const worst = POSTURES.findLast((posture) => items.some((row) => row.posture === posture)) ?? 'unknown';
      return EXITS[worst];
    },
  }),
  command({
    path: ['backup', 'prune'],
    summary: 'Remove the restore points that no schedule keeps, and what only they needed',
    details:
      'Happens by itself after each run of a schedule and once a day. Restore points of VMs that no schedule covers, or that are gone, stay. When more than 30 % of a repository would go nothing does, unless --allow-large is given.',
    options: {
      repo: textOption('NAME', 'in this repository; the default one unless given', { completes: 'repository' }),
      vm: textOption('NAME', 'with --dry-run: only of this VM', { completes: 'vm' }),
      'dry-run': flag('only say what stays and what goes'),
      'allow-large': flag('also when more than 30 % of the repository goes'),
    },
    isLong: true,
    examples: ['backup prune --dry-run', 'backup prune --repo shelf'],
    run: async (context, { options }) => {
      const { api, output } = context;
      const named = options.repo;
      if (options['dry-run']) {
        const preview = await api('GET /backup-retention', {
          query: {
            ...(named === undefined ? {} : { repository: named }),
            ...(options.vm === undefined ? {} : { vm: options.vm }),
          },
        });
        if (output.isJson) output.json(preview);
        else {
          printTable(output, DECISIONS, preview.items, 'No restore points.');
          output.message(
            `${preview.kept} stay, ${preview.going} go${preview.waits === null ? '' : `. ${preview.waits}`}`,
          );
        }
        return EXIT.done;
      }
      if (options.vm !== undefined) throw usageFailure('--vm is for --dry-run', 'A repository is cleaned as a whole.');
      const repository =
        named ?? (await api('GET /repositories')).items.find(({ isDefault }) => isDefault)?.name ?? 'default';
      return finish(
        context,
        await api('POST /backup-retention/run', { body: { repository, allowLarge: options['allow-large'] } }),
      );
    },
  }),
  command({
    path: ['backup', 'protect'],
    summary: 'Keep a restore point whatever the retention says',
    positionals: { point: one('POINT', 'id of a restore point', { completes: 'restore-point' }) },
    options: { reason: textOption('TEXT', 'why, for others') },
    examples: ['backup protect rp-01m8b2c1r655dahv5wg5z8a79y --reason "before the upgrade"'],
    run: async (context, { args, options }) => {
      const body = options.reason === undefined ? {} : { reason: options.reason };
      await about(context, 'restore-point', args.point, (id) =>
        context.api('POST /restore-points/{id}/protect', { params: { id }, body }),
      );
      if (context.output.isJson) context.output.json({ id: args.point, isProtected: true });
      else context.output.message(`${context.output.paintMessage('green', '●')} it stays`);
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'unprotect'],
    summary: 'Let the retention decide on a restore point again',
    positionals: { point: one('POINT', 'id of a restore point', { completes: 'restore-point' }) },
    examples: ['backup unprotect rp-01m8b2c1r655dahv5wg5z8a79y'],
    run: async (context, { args }) => {
      await about(context, 'restore-point', args.point, (id) =>
        context.api('POST /restore-points/{id}/unprotect', { params: { id } }),
      );
      if (context.output.isJson) context.output.json({ id: args.point, isProtected: false });
      else context.output.message(`${context.output.paintMessage('green', '●')} the retention decides on it`);
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'leave-out'],
    summary: 'Say of which disks no restore point has to hold them',
    details:
      'As of shared disks, or of those passed through, which a backup leaves out. They no longer ask for attention. Those that are not named ask for it again; without any this is taken back.',
    positionals: {
      vm: one('VM', 'name or UUID', { completes: 'vm' }),
      disks: any('DISK', 'as vdb; all of which this is right'),
    },
    options: { reason: textOption('TEXT', 'why, for others') },
    examples: ['backup leave-out db1 vdb --reason "shared, backed up inside the guest"', 'backup leave-out db1'],
    run: async (context, { args, options }) => {
      const { vm, disks } = args;
      const body = { disks: [...disks], ...(options.reason === undefined ? {} : { reason: options.reason }) };
      await about(context, 'vm', vm, (id) => context.api('PUT /vms/{id}/accepted-disks', { params: { id }, body }));
      if (context.output.isJson) context.output.json({ vm, disks });
      else
        context.output.message(
          `${context.output.paintMessage('green', '●')} ${disks.length === 0 ? 'every disk is missed that is left out' : `${safeText(disks.join(', '))} may be left out`}`,
        );
      return EXIT.done;
    },
  }),
  command({
    path: ['backup', 'report'],
    summary: 'Write what was backed up and proven in the last seven days as a page, PDF or JSON',
    options: {
      format: choiceOption(['html', 'json', 'pdf'], 'html unless given'),
      out: textOption('FILE', 'where to; printed when it is left out', { completes: 'file' }),
    },
    examples: ['backup report --out backups.html', 'backup report --format pdf --out backups.pdf'],
    run: async (context, { options }) => {
      const format = options.format ?? (context.output.isJson ? 'json' : 'html');
      if (format === 'pdf' && options.out === undefined)
        throw usageFailure('a PDF is no text', 'Name a file: --out backups.pdf.');
      await writeReport(context, format, options.out);
      return EXIT.done;
    },
  }),
]);
