import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noticeOf, resolved, startOutbox } from '../fake-outside.ts';
import type { AlertNotice } from '../message.ts';
import { createCauses } from '../routing/inhibition.ts';
import { createFiringCauses } from './firing-causes.ts';
import { firingAlerts, noteAnnounced } from './told-alerts.ts';

const full = (severity: AlertNotice['severity']) =>
  noticeOf({
    fingerprint: 'full',
    severity,
    entity: { kind: 'pool', name: 'ssd' },
    rule: { id: 'rule-1', name: 'full', condition: 'disk_usage > 95%' },
  });
const stopped = noticeOf({
  fingerprint: 'stopped',
  severity: 'warning',
  labels: { pool: 'ssd' },
  rule: { id: 'rule-2', name: 'stopped', condition: 'vm_pause_reason == enospc' },
});

test('what explains an alert is as it would be worked out anew, also within one millisecond and after a rollback', async () => {
  const outbox = await startOutbox();
  try {
    const causes = createFiringCauses();
    const steps: readonly (readonly [AlertNotice, number, 'kept' | 'rolled back'])[] = [
      [stopped, 10, 'kept'],
      [full('critical'), 10, 'kept'],
      [full('info'), 10, 'kept'],
      [full('critical'), 11, 'rolled back'],
      [full('info'), 11, 'kept'],
      [full('critical'), 12, 'kept'],
      [resolved(full('critical')), 12, 'kept'],
      [full('critical'), 5, 'kept'],
    ];
    const seen: (string | null)[] = [];
    for (const [notice, atMs, end] of steps)
      await outbox.db
        .transaction(async (tx) => {
          await noteAnnounced(tx, notice, atMs);
          const found = (await causes.read(tx)).of(stopped);
          const anew = createCauses((await firingAlerts(tx)).map((record) => record.notice)).of(stopped);
          assert.deepEqual(found, anew, `${notice.fingerprint} at ${atMs}`);
          seen.push(found?.fingerprint ?? null);
          if (end === 'rolled back') throw new Error(end);
        })
        .catch((error: Error) => assert.equal(error.message, 'rolled back'));
    assert.deepEqual(seen, [null, 'full', null, 'full', null, 'full', null, 'full']);
  } finally {
    await outbox.close();
  }
});
