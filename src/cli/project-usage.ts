/** `hv project usage`: what a project used, by month and user. */

import type { ProjectUsage, UsageAmounts } from '#contract/quotas.ts';
import { command } from './command.ts';
import type { CommandContext } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { about } from './objects.ts';
import { problemFrom } from './problems.ts';
import { type Column, printTable } from './table.ts';
import { safeText } from './text.ts';
import { flag, one, textOption } from './values.ts';

interface Row extends UsageAmounts {
  readonly month: string;
  readonly user: string;
}

const amount = (title: string, of: (row: Row) => number): Column<Row> => ({
  title,
  value: (row) => of(row).toFixed(1),
  align: 'right',
});

function columnsOf(currency: string | null): readonly Column<Row>[] {
  const cost: Column<Row> = {
    title: `COST ${safeText(currency ?? '')}`.trim(),
    value: (row) => row.cost?.toFixed(2) ?? '',
    align: 'right',
  };
  return [
    { title: 'MONTH', value: (row) => row.month },
    { title: 'USER', value: (row) => safeText(row.user), flexibleTo: 8 },
    amount('VCPU-H', (row) => row.vcpuHours),
    amount('MEMORY GIB-H', (row) => row.memoryGibHours),
    amount('DISK GIB-H', (row) => row.diskGibHours),
    amount('BACKUP GIB-H', (row) => row.backupGibHours),
    ...(currency === null ? [] : [cost]),
  ];
}

/** A line for each user, and one for all of them where there are several. */
function rowsOf({ months }: ProjectUsage): Row[] {
  return months.flatMap(({ month, isRunning, users, total }) => {
    const name = isRunning ? `${month} (so far)` : month;
    const rows = users.map((user) => ({ ...user, month: name, user: user.user ?? '(not made here)' }));
    return rows.length > 1 ? [...rows, { ...total, month: name, user: 'together' }] : rows;
  });
}

export const usageCommand = command({
  path: ['project', 'usage'],
  summary: 'Show what a project used, by month and user',
  details:
    'vCPU-hours and GiB-hours of memory count while VMs run; those of disks as long as the disks exist, in the trash too. Months are those of UTC.',
  positionals: { name: one('NAME', 'name or id of the project', { completes: 'project' }) },
  options: {
    month: textOption('MONTH', 'only this month, as 2026-11; otherwise those of the last year'),
    csv: flag('print a table for spreadsheets'),
  },
  examples: ['project usage shop', 'project usage shop --month 2026-11 --csv'],
  run: async (context, { args, options }) => {
    const { output, api } = context;
    if (options.csv && output.isJson) throw usageFailure('--csv and --json exclude each other', 'Give one of them.');
    const { month } = options;
    if (month !== undefined && !/^\d{4}-(0[1-9]|1[0-2])$/.test(month))
      throw usageFailure(`--month ${JSON.stringify(month)} is not a month`, 'Write it as 2026-11.');
    const query = month === undefined ? {} : { month };
    const answer = await about(context, 'project', args.name, (id) =>
      api('GET /projects/{id}/usage', { params: { id }, query }),
    );
    if (output.isJson) output.json(answer);
    else if (options.csv) await printCsv(context, answer.projectId, month);
    else printTable(output, columnsOf(answer.currency), rowsOf(answer), 'Nothing was used in that time.');
    return EXIT.done;
  },
});

async function printCsv({ transport, output }: CommandContext, id: string, month: string | undefined): Promise<void> {
  const query = month === undefined ? '' : `?month=${month}`;
  const path = `/api/v1/projects/${encodeURIComponent(id)}/usage.csv${query}`;
  const { status, body } = await transport.send({ method: 'GET', path });
  if (status >= 400) throw problemFrom(body.toString('utf8'), status);
  output.bytes(body);
}
