import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BackupSchedule, scheduleCreateSchema } from '#contract/protection.ts';
import { newUuid } from '#kernel/ids.ts';
import { draftOf, fieldsOf, newDraft, retentionText } from './schedule-draft.ts';

const vmId = newUuid();
const schedule = (parts: Partial<BackupSchedule>): BackupSchedule => ({
  ...scheduleCreateSchema.parse({ name: 'nightly' }),
  timeZone: 'Europe/Berlin',
  id: 's1',
  repositoryName: null,
  covered: 1,
  nextAt: null,
  lastRound: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  ...parts,
});

test('a schedule that is opened and saved without a change is told as it was', () => {
  const kinds: readonly BackupSchedule['targets'][] = [
    { kind: 'all', except: [vmId] },
    { kind: 'project', project: 'p1', except: [] },
    { kind: 'tags', tags: ['web', 'db'], except: [] },
    { kind: 'vms', vms: [vmId], except: [] },
  ];
  for (const targets of kinds)
    for (const calendar of ['0 2 * * *', '30 1 * * 0,6', '*/15 * * * *']) {
      const before = schedule({ targets, calendar, windowHours: 3, scrubDays: 14 });
      const { fields, problems } = fieldsOf(draftOf(before));
      assert.deepEqual(problems, {});
      const { id, repositoryName, covered, nextAt, lastRound, createdAt, isEnabled, ...told } = before;
      assert.deepEqual(fields, told);
    }
});

test('a new one for a VM covers just that, and passes the schema of the API', () => {
  const { fields } = fieldsOf({ ...newDraft('UTC', vmId), name: 'web' });
  assert.deepEqual(scheduleCreateSchema.parse(fields).targets, { kind: 'vms', vms: [vmId], except: [] });
});

test('what is missing is named where it is, and nothing is told', () => {
  const draft = { ...newDraft('UTC', null), name: 'x' };
  const wrong = fieldsOf({
    ...draft,
    kind: 'tags',
    times: { ...draft.times, pace: 'weekly', days: [] },
    keep: { ...draft.keep, daily: 'seven' },
    windowHours: 'x',
  });
  assert.equal(wrong.fields, null);
  assert.deepEqual(Object.keys(wrong.problems).toSorted(), ['keep', 'more', 'targets', 'times']);
});

test('retention is told as on the command line; nothing kept by number keeps everything', () => {
  const none = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
  assert.equal(retentionText({ ...none, daily: 7, weekly: 4 }), '7 daily, 4 weekly');
  assert.equal(retentionText(none), 'everything');
});
