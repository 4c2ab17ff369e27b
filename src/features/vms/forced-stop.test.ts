import assert from 'node:assert/strict';
import { test } from 'node:test';
import { auditErrors } from '#contract/audit.ts';
import { fakeVm } from '#contract/fake-vm.ts';
import type { AuditEntry } from '#features/audit/index.ts';
import { systemClock } from '#kernel/clock.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { SYSTEM_IDENTITY } from '#platform/feature.ts';
import { withBreakGlass } from './forced-stop.ts';

registerErrors(auditErrors);
const vm = fakeVm('web1', { id: 'vm-1' });
const request = { params: { id: 'vm-1' }, identity: SYSTEM_IDENTITY, requestId: 'req-1' };

async function run(error: AppError, isAllowed: boolean) {
  const stopped: string[] = [];
  const ended: AuditEntry[] = [];
  const asked: AuditEntry[] = [];
  const breakGlass = {
    allow: async (entry: AuditEntry) => {
      asked.push(entry);
      return isAllowed;
    },
    ended: (entry: AuditEntry) => void ended.push(entry),
  };
  const act = withBreakGlass(() => Promise.reject(error), breakGlass, {
    access: { stop: async (id) => void stopped.push(id) },
    known: { vm: (id) => (id === 'vm-1' ? vm : null), refresh: async () => null },
    clock: systemClock,
  });
  const result = await act(request).then(
    ({ state }) => state,
    (problem: unknown) => (problem instanceof AppError ? problem.code : String(problem)),
  );
  return { result, stopped, asked: asked.length, ended: ended.map(({ outcome }) => outcome) };
}

test('what cannot be recorded is stopped all the same when break-glass allows it', async () => {
  const found = await run(new AppError('audit_unavailable'), true);
  assert.deepEqual(found, { result: 'done', stopped: ['vm-1'], asked: 1, ended: ['done'] });
});

test('without it nothing is stopped, and the refusal is the first one', async () => {
  const found = await run(new AppError('audit_unavailable'), false);
  assert.deepEqual(found, { result: 'audit_unavailable', stopped: [], asked: 1, ended: [] });
});

test('a refusal for another reason is nobody’s excuse', async () => {
  const found = await run(new AppError('busy'), true);
  assert.deepEqual(found, { result: 'busy', stopped: [], asked: 0, ended: [] });
});
