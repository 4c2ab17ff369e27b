import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatFigure } from '../figures.ts';
import { completions } from './completions.ts';
import { explain } from './explain.ts';
import { checkRule } from './rule.ts';

const SENTENCES: Readonly<Record<string, string>> = {
  'cpu_usage{kind=vm} > 90% for 5m':
    'When cpu usage of a VM stays above 90 % for 5 min; clears when it is at most 85 %; one alert for each VM.',
  'vm_state != running':
    'When vm state of a VM is not running; only VMs that should be running; one alert for each VM.',
  'disk_usage > 85%':
    'When disk usage of a file system of the host, a storage pool or a file system inside a VM is above 85 %; clears when it is at most 80 %; one alert for each file system of the host, each storage pool or each file system inside a VM.',
  'cpu_usage > 90% unless vm_job == backup':
    'When cpu usage of a VM is above 90 %, unless vm job of a VM is backup; clears when it is at most 85 %; one alert for each VM.',
  'avg(cpu_usage{vm=~"db*", kind=vm}, 5m) >= 0.5 clear 40%':
    'When the average over 5 min of cpu usage of a VM (vm is like db*) is at least 50 %; clears when it is below 40 %; one alert for each VM.',
  'count(vm_state == paused by host) >= 3':
    'When the number of cases of vm state of a VM is paused by host is at least 3; one alert for each host.',
  'absent(backup_last_success{vm=x})': 'When backup last success of a VM (vm is x) is missing; one alert for each VM.',
  'disk_free{kind=pool} / rate(disk_used, 1h) < 8h':
    'When disk free of a storage pool / the growth per second over 1 h of disk used of a storage pool is below 8 h; clears when it is at least 8 h 24 min; one alert for each storage pool.',
  'not (libvirt_up == 1 and cpu_usage < 5%)':
    'When it is not so that (libvirt up of a host is 1 and cpu usage of a host is below 5 %); one alert for each host.',
};

for (const [text, sentence] of Object.entries(SENTENCES)) {
  test(`is explained in one sentence: ${text}`, () => {
    const { rule } = checkRule(text);
    assert.ok(rule);
    assert.equal(explain(rule), sentence);
  });
}

test('figures are written in the units of rules', () => {
  assert.deepEqual(
    [
      formatFigure(0.85, 'ratio'),
      formatFigure(10 * 2 ** 30, 'bytes'),
      formatFigure(2 ** 20, 'bytes_per_second'),
      formatFigure(5, 'per_second'),
      formatFigure(0.025, 'seconds'),
      formatFigure(-21 * 86_400, 'seconds'),
      formatFigure(70.5, 'celsius'),
      formatFigure(3, 'count'),
      formatFigure(1, 'enum', ['off', 'running']),
      formatFigure(0, 'timestamp'),
    ],
    ['85 %', '10 GiB', '1 MiB/s', '5/s', '25 ms', '−21 d', '70.5 °C', '3', 'running', '1970-01-01T00:00:00.000Z'],
  );
});

/** `|` is the cursor. */
const COMPLETIONS: readonly (readonly [string, number, readonly string[]])[] = [
  ['cpu_us|', 0, ['cpu_usage']],
  ['cpu_usage > 90% and vm_st|', 20, ['vm_state', 'vm_state_desired']],
  ['vm_state == ru|', 12, ['running']],
  ['vm_state_desired != |', 20, ['running', 'off', 'paused']],
  ['cpu_usage{|', 10, ['host', 'kind', 'vm', 'uuid', 'project', 'tag']],
  ['cpu_usage{vm=x, pr|', 16, ['project']],
  ['cpu_usage{kind=|', 15, ['host', 'vm']],
  ['cpu_usage{vm|', 10, ['vm']],
  ['cpu_usage > 90|', 14, ['%', 'and', 'or', 'unless', 'for', 'clear']],
  ['disk_free < 10 G|', 15, ['GB', 'GiB']],
  ['disk_free < 10G|', 14, ['GB', 'GiB']],
  ['cpu_usage > 90% f|', 16, ['for']],
  ['vm_state == off |', 16, ['and', 'or', 'unless', 'for']],
  ['incr|', 0, ['increase']],
  ['age(cert|', 4, ['cert_expiry']],
  ['count(vm_state == off by |', 25, ['host', 'vm', 'project']],
  ['cpu_usage |', 10, ['>', '>=', '<', '<=', '==', '!=', '+', '-', '*', '/']],
  ['nob| and cpu_usage > 1%', 0, []],
];

for (const [marked, from, texts] of COMPLETIONS) {
  test(`what may come next: ${marked}`, () => {
    const found = completions(marked.replace('|', ''), marked.indexOf('|'));
    assert.deepEqual([found.from, found.items.map(({ text }) => text)], [from, texts]);
  });
}
