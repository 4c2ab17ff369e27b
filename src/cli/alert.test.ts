/** `hv alert` against a stand-in daemon. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Alert, AlertRule } from '#contract/alerts.ts';
import { type FakeDaemon, pageWith, startFakeDaemon } from './fake-daemon.ts';

const alert: Alert = {
  id: 'a1',
  episode: 1,
  rule: { id: 'default:vm_down', name: 'vm_down', condition: 'vm_state == off for 1m', project: null, runbook: null },
  severity: 'critical',
  state: 'firing',
  isNoData: false,
  isFlapping: false,
  entity: { kind: 'vm', name: 'web\u001b[31m1' },
  labels: { host: 'host1', vm: 'web1' },
  project: 'default',
  vmId: 'v1',
  value: 4,
  valueText: 'off',
  text: 'web1: vm_down, now off.',
  since: '2026-01-01T00:00:00Z',
  startedAt: '2026-01-01T00:00:00Z',
  endedAt: null,
  acknowledged: null,
  maskedBy: null,
  inhibitedBy: null,
};
const rule: AlertRule = {
  id: 'rule-1',
  name: 'cpu_high',
  condition: 'cpu_usge > 90%',
  severity: 'warning',
  cooldown: '30m',
  clear: null,
  keepFiring: null,
  noData: 'keep',
  labels: {},
  runbook: null,
  description: null,
  channels: null,
  desiredOnly: true,
  enabled: true,
  project: null,
  origin: 'user',
  explanation: null,
  problems: [],
  firing: 0,
  lastFiredAt: null,
};

describe('hv alert', () => {
  let daemon: FakeDaemon;
  before(async () => {
    daemon = await startFakeDaemon();
    daemon.on('GET /alerts', () => pageWith([alert]));
    daemon.on('GET /rules', () => pageWith([rule]));
    daemon.on('GET /rules/{id}', () => rule);
    daemon.on('POST /rules', () => rule, 201);
    daemon.on('PATCH /rules/{id}', () => rule);
  });
  after(() => daemon.close());

  test('a critical alert that fires makes the list exit with 7, and its name cannot act on the terminal', async () => {
    const { code, stdout } = await daemon.hv(['alert', 'list']);
    assert.equal(code, 7);
    assert.match(stdout, /critical +vm_down +web\\u\{1b\}\[31m1 +off +firing/);
    const json = await daemon.hv(['alert', 'list', '--json', '--severity', 'critical', '--vm', 'web1']);
    const list: unknown = JSON.parse(json.stdout);
    assert.ok(Array.isArray(list) && list.length === 1);
    assert.equal(daemon.calls.at(-1)?.query.get('severity'), 'critical');
  });

  test('the beginning of an id stands for it, where it is of one alert only', async () => {
    const ids = ['3f9c0a51d2aaaaaaaaaaaaaa', '3f9c77777777777777777777'];
    daemon.on('GET /alerts', ({ query }) =>
      pageWith(query.get('state') === 'active' ? ids.map((id) => ({ ...alert, id })) : []),
    );
    daemon.on('POST /alerts/{id}/acknowledge', () => alert);
    const acknowledged = await daemon.hv(['alert', 'ack', '3f9c0a51']);
    assert.equal(acknowledged.code, 0);
    assert.equal(daemon.calls.at(-1)?.path, `/api/v1/alerts/${ids[0]}/acknowledge`);
    const both = await daemon.hv(['alert', 'ack', '3f9c']);
    assert.equal(both.code, 2);
    assert.match(both.stderr, /several alerts begin with 3f9c/);
    daemon.on('GET /alerts', () => pageWith([alert]));
  });

  test('mistakes in a condition are shown below their place, with exit 2', async () => {
    const problem = {
      code: 'unknown_metric',
      field: 'condition' as const,
      column: 1,
      length: 8,
      message: 'there is no metric cpu_usge: did you mean cpu_usage?',
      suggestion: 'cpu_usage',
    };
    daemon.on('POST /rules/check', () => ({
      isValid: false,
      problems: [problem],
      explanation: null,
      metrics: [],
    }));
    const { code, stdout } = await daemon.hv(['rule', 'check', 'cpu_usge > 90%']);
    assert.equal(code, 2);
    assert.equal(stdout, '  cpu_usge > 90%\n  ^^^^^^^^\n  there is no metric cpu_usge: did you mean cpu_usage?\n');
  });

  test('a rule is added with what was said of it and nothing else', async () => {
    const args = [
      'rule',
      'add',
      'cpu_high',
      'cpu_usage > 90%',
      '--label',
      'team=storage',
      '--no-data',
      'ok',
      '--all-vms',
    ];
    assert.equal((await daemon.hv(args)).code, 0);
    assert.deepEqual(JSON.parse(daemon.calls.at(-1)?.body.toString() ?? ''), {
      name: 'cpu_high',
      condition: 'cpu_usage > 90%',
      noData: 'ok',
      labels: { team: 'storage' },
      desiredOnly: false,
    });
    const { code, stderr } = await daemon.hv([...args, '--label', 'x']);
    assert.equal(code, 2);
    assert.match(stderr, /"x" is no label/);
  });

  test('an edit without anything to change is refused; one that empties a field sends null', async () => {
    assert.equal((await daemon.hv(['rule', 'edit', 'cpu_high'])).code, 2);
    assert.equal((await daemon.hv(['rule', 'edit', 'cpu_high', '--clear', ''])).code, 0);
    assert.deepEqual(JSON.parse(daemon.calls.at(-1)?.body.toString() ?? ''), { clear: null });
  });

  test('completion offers rules by name', async () => {
    const { stdout } = await daemon.hv(['completion', 'words', '--', 'rule', 'show', 'cpu']);
    assert.equal(stdout, 'cpu_high\n');
  });
});
