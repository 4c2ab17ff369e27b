import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AlertRule } from '#contract/alerts.ts';
import { draftOf, NEW_DRAFT, patchOf, problemsOfDraft, specOf } from './rule-draft.ts';

const rule: AlertRule = {
  ...specOf({ ...NEW_DRAFT, name: 'cpu', condition: 'cpu_usage > 90%', labels: 'team=shop' }),
  id: 'r1',
  origin: 'user',
  explanation: null,
  problems: [],
  firing: 0,
  lastFiredAt: null,
};

test('what the form makes of a rule is the rule', () => {
  const { id, origin, explanation, problems, firing, lastFiredAt, ...spec } = rule;
  assert.deepEqual(specOf(draftOf(rule)), spec);
  assert.deepEqual(spec.labels, { team: 'shop' });
});

test('only what was changed is sent; what was emptied becomes what is usual', () => {
  const draft = draftOf({ ...rule, clear: '80%', channels: ['ops'] });
  assert.deepEqual(patchOf(draft, draft), {});
  assert.deepEqual(patchOf(draft, { ...draft, clear: ' ', channels: null, severity: 'critical' }), {
    clear: null,
    channels: null,
    severity: 'critical',
  });
});

test('texts that the daemon would refuse are told beforehand', () => {
  assert.deepEqual(problemsOfDraft({ ...NEW_DRAFT, name: 'a' }), {
    name: false,
    cooldown: false,
    keepFiring: false,
    labels: false,
  });
  assert.deepEqual(problemsOfDraft({ ...NEW_DRAFT, cooldown: 'soon', keepFiring: '1 h', labels: 'team!=x' }), {
    name: true,
    cooldown: true,
    keepFiring: true,
    labels: true,
  });
});
