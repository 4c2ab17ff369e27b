/** Pages and searches over the long log, as a request makes them: the slowest single answer counts. */

import { type AuditQuery, createReader } from '#features/audit/reader.ts';
import { systemClock } from '#kernel/clock.ts';
import { openDatabase } from '#platform/db/database.ts';
import type { LongChain } from '#test/support/audit-chain.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';

const QUERIES: Readonly<Record<string, AuditQuery>> = {
  'the newest hundred': { limit: 100 },
  'one of five actors': { limit: 100, actor: 'bob' },
  'one refusal in 100,000 records': { limit: 100, outcome: 'denied' },
  'actor, project and outcome together': { limit: 100, actor: 'root', project: 'blue', outcome: 'denied' },
  'text that is nowhere': { limit: 100, text: 'nowhere to be found' },
  'an hour in the past': { limit: 100, since: '2026-01-01T03:00:00.000Z', until: '2026-01-01T04:00:00.000Z' },
};

export async function measureReading({ database }: LongChain): Promise<Measurement[]> {
  const db = openDatabase(database);
  const reader = createReader(db, systemClock);
  try {
    const rows: Measurement[] = [];
    for (const [name, query] of Object.entries(QUERIES)) {
      let slowest = 0;
      let requests = 0;
      let cursor: string | null = null;
      let found = 0;
      do {
        const start = performance.now();
        const page: Awaited<ReturnType<typeof reader.page>> = await reader.page({
          ...query,
          ...(cursor === null ? {} : { cursor }),
        });
        slowest = Math.max(slowest, performance.now() - start);
        requests += 1;
        found += page.items.length;
        cursor = page.next;
      } while (cursor !== null && found < 100);
      rows.push({
        name: `a million records, ${name} (${requests} requests)`,
        ours: slowest,
        rival: null,
        ratio: null,
        bar: '< 2000',
        unit: 'ms',
      });
    }
    return rows;
  } finally {
    await db.close();
  }
}
