/** What a project used, a table for each month with a line for each user. */

import type { MonthUsage, ProjectUsage, UsageAmounts } from '#contract/quotas.ts';
import { Card } from '../../components/page.tsx';
import { type Column, StackTable } from '../../components/stack-table.tsx';
import { Badge } from '../../components/state-mark.tsx';
import { text } from '../../text.ts';

const words = text.quotas;

const hours = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const monthName = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'long', timeZone: 'UTC' });

interface Row extends UsageAmounts {
  readonly key: string;
  readonly name: string;
}

export function UsageTables({ usage }: { readonly usage: ProjectUsage }) {
  if (usage.months.length === 0) return <p class="muted">{words.noUsage}</p>;
  return (
    <div class="stack">
      {usage.months.map((month) => (
        <MonthCard key={month.month} month={month} usage={usage} />
      ))}
    </div>
  );
}

function MonthCard({ month, usage }: { readonly month: MonthUsage; readonly usage: ProjectUsage }) {
  const rows: Row[] = month.users.map((user) => ({
    ...user,
    key: `user ${user.user ?? ''}`,
    name: user.user ?? words.nobody,
  }));
  if (rows.length > 1) rows.push({ ...month.total, key: 'total', name: words.total });
  return (
    <Card
      class="is-flush"
      title={monthName.format(Date.parse(`${month.month}-01T00:00:00Z`))}
      aside={
        <>
          {month.isRunning && <Badge title={words.runningHint}>{words.running}</Badge>}
          <a
            class="button plain small"
            href={`/api/v1/projects/${encodeURIComponent(usage.projectId)}/usage.csv?month=${month.month}`}
            download={`${usage.project}-${month.month}.csv`}
          >
            {words.csv}
          </a>
        </>
      }
    >
      <StackTable rows={rows} keyOf={(row) => row.key} columns={columnsOf(usage.currency)} />
    </Card>
  );
}

function columnsOf(currency: string | null): readonly Column<Row>[] {
  const amount = (head: string, of: (row: Row) => number): Column<Row> => ({
    head,
    kind: 'number',
    cell: (row) => hours.format(of(row)),
  });
  const columns: Column<Row>[] = [
    { head: words.user, kind: 'title', class: 'breaks', cell: (row) => row.name },
    amount(words.vcpuHours, (row) => row.vcpuHours),
    amount(words.memoryHours, (row) => row.memoryGibHours),
    amount(words.diskHours, (row) => row.diskGibHours),
    amount(words.backupHours, (row) => row.backupGibHours),
  ];
  if (currency === null) return columns;
  const money = new Intl.NumberFormat(undefined, { style: 'currency', currency });
  const cost: Column<Row> = {
    head: words.cost,
    kind: 'number',
    cell: (row) => (row.cost === null ? text.unknownValue : money.format(row.cost)),
  };
  return [...columns, cost];
}
