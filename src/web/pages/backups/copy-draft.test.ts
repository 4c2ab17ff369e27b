import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeSchema, placeSecretsSchema } from '#contract/backups.ts';
import { MIB } from '#kernel/units.ts';
import { copiesText } from '../../text-copies.ts';
import {
  copyFieldsOf,
  keepDraftOf,
  newKeepDraft,
  newPlaceDraft,
  type PlaceDraft,
  placeProblems,
  secretsOf,
  settingsOf,
} from './copy-draft.ts';

const words = copiesText.dialog;
const sftp: PlaceDraft = {
  ...newPlaceDraft(),
  name: 'offsite',
  host: ' nas ',
  user: 'backup',
  folder: '/srv/copies',
  privateKey: '  -----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----',
};
const s3: PlaceDraft = {
  ...newPlaceDraft(),
  kind: 's3',
  name: 'vault',
  endpoint: 'https://s3.example.org/',
  bucket: 'backups',
  prefix: '/host1/',
  accessKey: 'AK',
  secretKey: ' SK ',
};

test('what is missing is said of the fields of its kind alone', () => {
  assert.deepEqual(placeProblems(newPlaceDraft()), {
    name: words.needName,
    host: words.needHost,
    user: words.needUser,
    folder: words.needFolder,
    privateKey: words.needKey,
  });
  assert.deepEqual(Object.keys(placeProblems({ ...newPlaceDraft(), kind: 'mount' })), ['name', 'mountFolder']);
  assert.deepEqual(placeProblems({ ...sftp, auth: 'password' }), { password: words.needPassword });
  for (const port of ['', '0', '65536', '22x'])
    assert.deepEqual(placeProblems({ ...sftp, port }), { port: words.needPort });
  for (const lockDays of ['', '0', '3651', '1.5'])
    assert.deepEqual(placeProblems({ ...s3, isLocked: true, lockDays }), { lockDays: words.needDays });
  for (const whole of [sftp, s3, { ...s3, lockDays: 'x' }]) assert.deepEqual(placeProblems(whole), {});
});

test('what is sent is what the contract takes, without blanks around it', () => {
  const hostKey = `SHA256:${'a'.repeat(43)}`;
  assert.deepEqual(placeSchema.parse(settingsOf(sftp, hostKey)), {
    kind: 'sftp',
    host: 'nas',
    port: 22,
    user: 'backup',
    folder: '/srv/copies',
    hostKey,
  });
  assert.deepEqual(placeSchema.parse(settingsOf(s3, null)), {
    kind: 's3',
    endpoint: 'https://s3.example.org',
    region: 'us-east-1',
    bucket: 'backups',
    prefix: 'host1',
    accessKey: 'AK',
    lockDays: null,
    ca: null,
  });
  assert.equal(settingsOf({ ...sftp, kind: 'mount' }, null), null);
});

test('only the secrets of what is chosen are sent, and a private key ends with a line break', () => {
  const typed: PlaceDraft = { ...sftp, password: ' p ', passphrase: 'pp', secretKey: ' SK ' };
  assert.deepEqual(placeSecretsSchema.parse(secretsOf('sftp', typed)), {
    privateKey: `${typed.privateKey.trim()}\n`,
    passphrase: 'pp',
  });
  assert.deepEqual(secretsOf('sftp', { ...typed, auth: 'password' }), { password: ' p ' });
  assert.deepEqual(secretsOf('s3', typed), { secretKey: 'SK' });
  assert.deepEqual(secretsOf('mount', typed), {});
  assert.deepEqual(secretsOf('sftp', newPlaceDraft()), {});
});

test('how a copy is kept comes back from its form as it was', () => {
  const copy = {
    ...{ repositoryId: 'r2', repositoryName: 'offsite', sourceId: 'r1', sourceName: 'shelf', isEnabled: false },
    retention: { last: 0, hourly: 0, daily: 7, weekly: 4, monthly: 0, yearly: 1 },
    ...{ timeZone: 'Europe/Berlin', bytesPerSecond: 1.5 * MIB, state: 'current' as const, points: 1, missing: 0 },
    ...{ missingSince: null, newestAt: null, lastAt: null, succeededAt: null, nextAt: null, problem: null },
    ...{ lockedPoints: 0, takesStates: false, states: 0, missingStates: 0, newestStateAt: null },
  };
  const { source, retention, isEnabled, timeZone, bytesPerSecond, takesStates } =
    copyFieldsOf(keepDraftOf(copy)).fields ?? {};
  assert.deepEqual(
    { source, retention, isEnabled, timeZone, bytesPerSecond, takesStates },
    {
      takesStates: false,
      source: 'r1',
      retention: copy.retention,
      isEnabled: false,
      timeZone: 'Europe/Berlin',
      bytesPerSecond: 1.5 * MIB,
    },
  );
});

test('a form that would keep nothing, or go at no speed, is not sent', () => {
  const draft = newKeepDraft('r1', 'UTC');
  assert.equal(copyFieldsOf(draft).fields?.retention, null);
  assert.deepEqual(copyFieldsOf({ ...draft, source: '' }).problems, { source: words.needSource });
  for (const keep of [
    { ...draft.keep, daily: 'x' },
    { ...draft.keep, daily: '0', weekly: '0', monthly: '0' },
  ])
    assert.deepEqual(copyFieldsOf({ ...draft, isThinned: true, keep }).problems, { keep: words.needKeep });
  for (const limit of ['0', '-1', 'fast'])
    assert.deepEqual(copyFieldsOf({ ...draft, limit }).problems, { limit: words.needLimit });
  assert.equal(copyFieldsOf({ ...draft, limit: '0,5' }).fields?.bytesPerSecond, MIB / 2);
});
