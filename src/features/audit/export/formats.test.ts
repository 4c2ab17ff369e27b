import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AuditRecord } from '#contract/audit.ts';
import { syslogFrame } from '../mirrors/syslog.ts';
import { cefLine } from './cef.ts';
import { CSV_HEAD, csvLine } from './csv.ts';
import { ocsfClass, ocsfLine } from './ocsf.ts';

const record: AuditRecord = {
  id: 'aud-1',
  at: '2026-01-01T00:00:00.000Z',
  phase: 'outcome',
  outcome: 'done',
  actor: 'ada',
  via: 'session',
  address: '192.0.2.7',
  action: 'POST /vms/{id}/start',
  permission: 'vm.power',
  objectType: 'vm',
  objectId: 'vm-1',
  objectName: 'web1',
  requestId: 'req-1',
  operationId: 'op-1',
  code: null,
  seq: 7,
  hash: 'ab'.repeat(32),
  actorId: 'usr-1',
  method: 'passkey',
  sessionId: '0123',
  project: 'blue',
  grant: 'grant-1',
  params: { force: true },
  durationMs: 12,
};

test('a row of CSV has as many cells as the head, whatever is in them', () => {
  const cells = (row: string) => [...row.trimEnd().matchAll(/("(?:[^"]|"")*"|[^",]*)(,|$)/g)].length;
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const row = csvLine({ ...record, actor: text, objectName: text });
      assert.ok(row.endsWith('\r\n'));
      assert.equal(cells(row.replace(/[\r\n]/g, ' ')), cells(CSV_HEAD));
    }),
  );
});

test('a line of CEF stays one line, and its values cannot begin another field', () => {
  const line = cefLine({ ...record, actor: 'a=b\\c\nact=forged', action: 'x|y' }, '1|2');
  assert.equal(line.trimEnd().includes('\n'), false);
  assert.match(line, /^CEF:0\|Hyper-NixOS\|hyperd\|1\\\|2\|x\\\|y\|/);
  assert.match(line, /suser=a\\=b\\\\c\\nact\\=forged /);
  assert.match(line, /cs1Label=object cs1=vm vm-1 web1 /);
});

test('events have the class of OCSF that fits, and its required fields', () => {
  const classOf = (action: string) => ocsfClass(action).uid;
  assert.equal(classOf('POST /auth/link'), 3002);
  assert.equal(classOf('POST /auth/logout'), 3002);
  assert.equal(classOf('POST /users'), 3001);
  assert.equal(classOf('POST /grants'), 3003);
  assert.equal(classOf('POST /tokens'), 3003);
  assert.equal(classOf('POST /vms'), 6003);
  const event: Record<string, unknown> = JSON.parse(ocsfLine(record, '1.0'));
  for (const field of [
    'category_uid',
    'class_uid',
    'activity_id',
    'type_uid',
    'time',
    'severity_id',
    'metadata',
    'api',
    'actor',
    'src_endpoint',
  ])
    assert.ok(field in event, field);
  assert.equal(event['type_uid'], 600301);
  assert.equal(event['time'], Date.parse(record.at));
  const signIn: Record<string, unknown> = JSON.parse(
    ocsfLine({ ...record, action: 'POST /auth/link', outcome: 'denied' }, '1.0'),
  );
  assert.deepEqual([signIn['type_uid'], signIn['status_id'], 'user' in signIn], [300201, 2, true]);
});

test('a syslog frame counts octets, not letters', () => {
  const frame = syslogFrame({ text: '{"name":"ü€"}', at: record.at, outcome: 'denied' }, 'host', 5).toString('utf8');
  const [length = '', ...rest] = frame.split(' ');
  assert.equal(Number(length), Buffer.byteLength(rest.join(' ')));
  assert.match(frame, /^\d+ <108>1 2026-01-01T00:00:00.000Z host hyperd 5 audit - \{/);
});
