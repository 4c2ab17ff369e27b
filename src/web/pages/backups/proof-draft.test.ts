import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_PROOF_SETTINGS, type ProofSettings, proofSettingsSchema } from '#contract/verification.ts';
import { proofDraftOf, proofSettingsOf } from './proof-draft.ts';

const ALL: readonly ProofSettings[] = [
  DEFAULT_PROOF_SETTINGS,
  { level: 0, marker: 'READY', probe: { kind: 'tcp', port: 22 }, hasNetwork: false },
  { level: 5, marker: null, probe: { kind: 'http', port: 8080, path: '/health', expectText: 'ok' }, hasNetwork: true },
  { level: 5, marker: null, probe: { kind: 'script', program: '/bin/test', args: ['-e', '/a b'] }, hasNetwork: true },
];

test('what is opened and saved without a change is told as it was', () => {
  for (const settings of ALL) {
    const { settings: told, problems } = proofSettingsOf(proofDraftOf(settings));
    assert.deepEqual(problems, {});
    assert.deepEqual(told, settings);
    assert.ok(proofSettingsSchema.safeParse(told).success);
  }
});

test('what is wrong is named at its field, and nothing is told', () => {
  const draft = proofDraftOf(DEFAULT_PROOF_SETTINGS);
  for (const [parts, field] of [
    [{ kind: 'tcp', port: '70000' }, 'port'],
    [{ kind: 'http', path: 'health' }, 'path'],
    [{ kind: 'script', program: 'true' }, 'program'],
  ] as const) {
    const { settings, problems } = proofSettingsOf({ ...draft, ...parts });
    assert.equal(settings, null);
    assert.deepEqual(Object.keys(problems), [field]);
  }
});
