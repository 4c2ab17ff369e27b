import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import type { ProofVerdict } from '#contract/verification.ts';
import { TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createEvidenceFiles } from './evidence-files.ts';
import { type ProofRow, proofMigrations } from './migrations.ts';
import { createRecorder } from './record.ts';
import { createProofStore } from './store.ts';

const REASONS = { pass: 'proven', fail: 'kernel_panic', inconclusive: 'no_memory' } as const;

const rowOf = (
  n: number,
  vm: string,
  verdict: ProofVerdict,
  reason: ProofRow['reason'] = REASONS[verdict],
): ProofRow => ({
  id: `proof-${String(n).padStart(4, '0')}`,
  vm_id: vm,
  vm_name: vm,
  project: 'default',
  point_id: null,
  repository: null,
  point_time: null,
  operation_id: `op-${n}`,
  started_at: new Date(n).toISOString(),
  finished_at: new Date(n + 1).toISOString(),
  verdict,
  reason,
  level: null,
  required_level: null,
  accel: 'tcg',
  boot_seconds: null,
  recovery_seconds: null,
  evidence: '{}',
  evidence_digest: '',
});

test('proofs of a VM that show nothing are counted in a row, also over a restart; any that shows something ends the row', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-proofs-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('verification', proofMigrations);
  t.after(async () => {
    await db.close();
    await rm(dir, { recursive: true });
  });
  const begin = async () => {
    const recorder = createRecorder({
      db,
      store: createProofStore(db),
      files: createEvidenceFiles(dir),
      audit: { write: async () => undefined },
      events: createEventBus<ApiEvents>(() => undefined),
      clock: new TestClock(),
      calendar: { leap: () => null },
      log: silentLogger,
    });
    await recorder.load();
    return recorder;
  };
  let recorder = await begin();
  let n = 0;
  const expect = async (vm: string, verdict: ProofVerdict, inRow: number) => {
    n += 1;
    await recorder.record(rowOf(n, vm, verdict), 'nobody');
    assert.equal(recorder.inconclusiveInRow(vm), inRow, `${vm} ${n}`);
  };
  assert.equal(recorder.inconclusiveInRow('web1'), 0);
  await expect('web1', 'inconclusive', 1);
  await expect('web2', 'pass', 0);
  await expect('web1', 'inconclusive', 2);
  recorder = await begin();
  await expect('web1', 'inconclusive', 3);
  await recorder.record(rowOf(n, 'web1', 'inconclusive'), 'nobody');
  assert.equal(recorder.inconclusiveInRow('web1'), 3, 'the same one again is no other');
  await expect('web2', 'inconclusive', 1);
  n += 1;
  await recorder.record(rowOf(n, 'web1', 'inconclusive', 'cancelled'), 'nobody');
  assert.equal(recorder.inconclusiveInRow('web1'), 3, 'one that was broken off shows nothing either way');
  recorder = await begin();
  assert.equal(recorder.inconclusiveInRow('web1'), 3);
  await expect('web1', 'fail', 0);
  await expect('web1', 'inconclusive', 1);
  recorder = await begin();
  assert.deepEqual([recorder.inconclusiveInRow('web1'), recorder.inconclusiveInRow('web2')], [1, 1]);
  await expect('web2', 'pass', 0);
  recorder = await begin();
  assert.equal(recorder.inconclusiveInRow('web2'), 0);
});
