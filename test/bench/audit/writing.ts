/** What recording costs: records a second from many requests at once, and what intent and outcome add to one change. */

import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiEvents } from '#contract/events.ts';
import { type AuditEntry, auditMigrations, createAuditStore } from '#features/audit/store.ts';
import { systemClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { openDatabase } from '#platform/db/database.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { quantile } from '../daemon/figures.ts';

const CLIENTS = 100;
const SECONDS = 10;
const CHANGES = 300;

const entry: AuditEntry = {
  phase: 'intent',
  outcome: null,
  actor: 'ada',
  via: 'session',
  address: '192.0.2.7',
  action: 'POST /vms/{id}/start',
  permission: 'vm.power',
  objectType: 'vm',
  objectId: '11111111-2222-4333-8444-555555555555',
  objectName: 'web1',
  requestId: null,
  operationId: null,
  code: null,
  params: { force: true, note: 'a few words' },
};

export async function measureWriting(): Promise<Measurement[]> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-audit-write-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('audit', auditMigrations);
  const events = createEventBus<ApiEvents>(() => undefined);
  const store = createAuditStore({ db, clock: systemClock, events });
  const change = async (id: string) => {
    await store.record({ ...entry, requestId: id });
    await store.record({ ...entry, requestId: id, phase: 'outcome', outcome: 'done' });
  };
  try {
    const single: number[] = [];
    const plain: number[] = [];
    const file = openSync(join(dir, 'plain'), 'w');
    for (let n = 0; n < CHANGES; n += 1) {
      let start = performance.now();
      await change(`req-${n}`);
      single.push(performance.now() - start);
      start = performance.now();
      for (let each = 0; each < 2; each += 1) {
        writeSync(file, `${JSON.stringify(entry)}\n`);
        fdatasyncSync(file);
      }
      plain.push(performance.now() - start);
    }
    closeSync(file);

    const before = store.writer.counts.recorded;
    const start = performance.now();
    let id = CHANGES;
    await Promise.all(
      Array.from({ length: CLIENTS }, async () => {
        while (performance.now() - start < SECONDS * 1000) {
          id += 1;
          await change(`req-${id}`);
        }
      }),
    );
    const perSecond = (store.writer.counts.recorded - before) / ((performance.now() - start) / 1000);
    const [ours, rival] = [quantile(single, 0.5), quantile(plain, 0.5)];
    return [
      {
        name: 'intent and outcome of one change, p50 | two lines with fdatasync',
        ours,
        rival,
        ratio: ours / rival,
        bar: '≤ 3 ms',
        unit: 'ms',
      },
      {
        name: 'intent and outcome of one change, p95',
        ours: quantile(single, 0.95),
        rival: quantile(plain, 0.95),
        ratio: null,
        bar: '–',
        unit: 'ms',
      },
      {
        name: `records of ${CLIENTS} requests at once, ${SECONDS} s`,
        ours: perSecond,
        rival: null,
        ratio: null,
        bar: '≥ 5000',
        unit: 'records/s',
      },
    ];
  } finally {
    await db.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
