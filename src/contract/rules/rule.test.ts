import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { METRIC_NAMES } from '../metric-catalogue.ts';
import { FUNCTIONS, KEYWORDS, RELATIONS, UNITS } from './language.ts';
import { checkRule } from './rule.ts';

/** Rule → what its alerts are about. */
const VALID: Readonly<Record<string, string>> = {
  'vm_state != running': 'vm',
  'disk_usage > 85%': 'fs pool guestfs',
  'cpu_usage > 90% for 5m': 'host vm',
  'cpu_usage{kind=vm, vm=~"db*"} > 90% clear 80% for 1h30m': 'vm',
  'predict(disk_usage, 7d) > 95%': 'fs pool guestfs',
  'absent(backup_last_success{vm="x"})': 'vm',
  'age(backup_last_success) > 26h': 'vm',
  'avg(cpu_usage, 5m) > 90 %': 'host vm',
  'increase(vm_crash_total, 10m) >= 3': 'vm',
  'disk_free / rate(disk_used, 1h) < 8h': 'fs pool guestfs',
  'cpu_usage > 90% unless vm_job == backup': 'vm',
  'count(vm_state == paused by host) >= 3': 'host',
  '(mem_psi_full > 10% and cpu_usage < 50%) or host_state == offline for 2m': 'host',
  'disk_usage{kind=pool} > 85%': 'pool',
  'disk_usage{kind!=pool} > 85%': 'fs guestfs',
  'disk_usage{mount="/srv"} > 85%': 'fs guestfs',
  'disk_usage{vm=~"*"} > 85%': 'guestfs',
  'cpu_usage{project=shop, tag!=batch} > 90%': 'vm',
  'rate(disk_used, 1h) > 1 MiB/s': 'fs pool guestfs',
  'rate(oom_kill_total, 1h) > 0': 'host',
  'changes(vm_state, 1h) > 4': 'vm',
  'age(cert_expiry) > -21d': 'host',
  'swap_out > 0': 'host vm',
  'net_rx > 100 Mbit/s': 'vnic nic',
  'net_drops > 5/s': 'vnic nic',
  'temperature{kind=sensor} > 80°C': 'sensor',
  'temperature > 80 °C': 'sensor disk',
  'libvirt_up == 0': 'host',
  'vm_state == vm_state_desired': 'vm',
  'vm_state == "off"': 'vm',
  '90% < cpu_usage clear 85%': 'host vm',
  'not libvirt_up == 1': 'host',
  'NOT (cpu_usage > 90% AND mem_usage > 90%) FOR 1m': 'host vm',
  'disk_read / disk_read_ops > 64 KiB': 'vdisk disk',
  'disk_latency > 100 ms and cpu_steal > 10%': 'vdisk',
  'mem_rss > 1 GiB and host_state == online and net_rx > 3 MiB/s': 'vnic',
  'count(cpu_usage{kind=vm} > 90%) / count(cpu_usage{kind=vm}) > 0.5': 'host',
  'count(vm_state == crashed by project) > 1': 'project',
  'disk_size * 10% > disk_free': 'fs pool guestfs',
  'mem_used + 1 GiB > mem_balloon': 'vm',
  'age(backup_last_success) - 1h > 26h': 'vm',
  'snapshot_chain * 2 > 10': 'vm',
  'disk_usage > 80% + 5%': 'fs pool guestfs',
  'cpu_usage -5% > 90%': 'host vm',
  'vm_state!=running for 90s': 'vm',
};

for (const [text, kinds] of Object.entries(VALID)) {
  test(`is a rule about ${kinds}: ${text}`, () => {
    const { rule, errors, notes } = checkRule(text);
    assert.deepEqual(errors, []);
    assert.deepEqual(notes, []);
    assert.deepEqual(rule?.kinds, kinds.split(' '));
  });
}

/** Rule → column, code, suggestion of each error. */
const INVALID: readonly (readonly [string, ...(readonly [number, string, (string | null)?])[]])[] = [
  ['cpu_usage > 90%for 5m', [15, 'unit', '% ']],
  ['cpu_usage > 90% for five', [21, 'syntax']],
  ['disk_usage > 85 GiBs', [17, 'unit', 'GiB']],
  ['vm_state = running', [10, 'syntax', '==']],
  ['a > 1 and', [10, 'syntax']],
  ['running', [8, 'syntax']],
  ['cpu_usge > 90%', [1, 'unknown_metric', 'cpu_usage']],
  ['cpu_usage > 90', [13, 'unit_missing', '90%']],
  ['disk_usage > 10 GiB', [14, 'dimension', 'disk_used']],
  ['vm_state != runing', [13, 'enum_value', 'running']],
  ['vm_state > running', [10, 'enum_order', '==']],
  ['rate(cpu_usage, 5m) > 1', [6, 'not_a_counter']],
  ['age(disk_free) > 1h', [5, 'not_a_timestamp']],
  ['avg(cpu_usage) > 90%', [14, 'window_missing', ', 5m)']],
  ['cpu_usage > 90% clear 95%', [23, 'clear_wrong_side']],
  ['cpu_usage{vnic=x} > 1%', [11, 'label']],
  ['net_rx > 1 MB/s and disk_write > 1 B/s', [21, 'join']],
  ['', [1, 'syntax']],
  ['   ', [4, 'syntax']],
  ['cpu_usage', [10, 'syntax']],
  ['cpu_usage >', [12, 'syntax']],
  ['> 90%', [1, 'syntax']],
  ['cpu_usage > 90% mem_usage > 5%', [17, 'syntax']],
  ['cpu_usage > 90% for', [20, 'syntax']],
  ['cpu_usage > 90% for 5', [21, 'syntax']],
  ['cpu_usage > 90% for 1.5h', [21, 'syntax']],
  ['cpu_usage > 90% for 5m and libvirt_up == 0', [24, 'syntax']],
  ['cpu_usage > 90% for 8d', [21, 'for_range', '7d']],
  ['(cpu_usage > 90%', [17, 'syntax']],
  ['cpu_usage > 90%)', [16, 'syntax']],
  ['cpu_usage > 5% > 3%', [16, 'syntax']],
  ['(cpu_usage > 5%) + 3% > 2%', [2, 'syntax']],
  ['cpu_usage and libvirt_up == 1', [11, 'syntax']],
  ['avg(cpu_usage, 5m', [18, 'syntax']],
  ['avg(cpu_usage / 2, 5m) > 3%', [15, 'syntax']],
  ['count(cpu_usage > 5% and mem_usage > 5%) > 3', [22, 'syntax']],
  ['count(vm_state by region) > 3', [19, 'label']],
  ['count(vm_state by hots) > 3', [19, 'label', 'host']],
  ['count(nic_up == 0 by vm) > 3', [22, 'join']],
  ['count(cpu_usage > 90% clear 80%) > 3', [29, 'clear_misplaced']],
  ['cpu_usage{vm} > 5%', [13, 'syntax']],
  ['cpu_usage{vm=} > 5%', [14, 'syntax']],
  ['cpu_usage{vm="db1} > 5%', [14, 'syntax', '"db1} > 5%"']],
  ['cpu_usage{vm=db1 > 5%', [18, 'syntax', '}']],
  ['cpu_usage{vm==db1} > 5%', [13, 'syntax', '=']],
  ['disk_usage{mount=/srv} > 5%', [18, 'syntax']],
  ['cpu_usage{tags=db} > 5%', [11, 'label', 'tag']],
  ['cpu_usage{name=db} > 5%', [11, 'label', 'vm']],
  ['cpu_usage{kind=pool} > 5%', [16, 'label_value']],
  ['disk_usage{kind=pol} > 5%', [17, 'label_value', 'pool']],
  ['disk_usage{mount="/", pool=data} > 5%', [1, 'label']],
  ['cpu_usage ~ 5%', [11, 'syntax']],
  ['cpu_usage > 90% && mem_usage > 5%', [17, 'syntax', 'and']],
  ['libvirt_up == 0||nic_up == 0', [16, 'syntax', 'or'], [18, 'join']],
  ['!libvirt_up == 1', [1, 'syntax', 'not']],
  ['(libvirt_up == 0)and (libvirt_up == 0)', [18, 'keyword_space', ' and']],
  ['not(libvirt_up == 0)', [1, 'keyword_space', 'not ']],
  ['vm_state == shutting-down', [13, 'enum_value', 'shutting_down']],
  ['vm_state == 3', [13, 'enum_value']],
  ['libvirt_up == false', [15, 'enum_value', '0']],
  ['cpu_usage == running', [14, 'unknown_metric']],
  ['foo == running', [1, 'unknown_metric']],
  ['"x" == "y"', [1, 'enum_value'], [8, 'enum_value']],
  ['1 > 2', [1, 'no_metric']],
  ['mean(cpu_usage, 5m) > 5%', [1, 'unknown_function']],
  ['averge(cpu_usage, 5m) > 5%', [1, 'unknown_function']],
  ['mx(cpu_usage, 5m) > 5%', [1, 'unknown_function', 'max']],
  ['avg(vm_state, 5m) == running', [5, 'not_a_gauge']],
  ['avg(oom_kill_total, 5m) > 3', [5, 'not_a_gauge']],
  ['increase(disk_used, 5m) > 3', [10, 'not_a_counter']],
  ['predict(vm_state, 7d) == off', [9, 'not_a_gauge']],
  ['age(backup_last_success, 5m) > 1h', [26, 'window_unexpected']],
  ['avg(cpu_usage, 10s) > 5%', [16, 'window_range', '20s']],
  ['avg(disk_usage, 90s) > 5%', [17, 'window_range', '2m']],
  ['avg(cpu_usage, 2d) > 5%', [16, 'window_range', '1d']],
  ['predict(disk_usage, 5m) > 5%', [21, 'window_range', '1h']],
  ['predict(disk_usage, 100d) > 5%', [21, 'window_range', '90d']],
  ['disk_free > 10', [13, 'unit_missing', '10 GiB']],
  ['temperature > 70', [15, 'unit_missing', '70 °C']],
  ['backup_last_success > 3', [23, 'unit_missing']],
  ['cpu_usage > 2', [13, 'unit_missing', '2%']],
  ['cpu_usage + disk_free > 5%', [13, 'dimension']],
  ['disk_free * disk_free > 5 GiB', [13, 'dimension']],
  ['disk_free / 0 > 5 GiB', [13, 'dimension']],
  ['cpu_usage + disk_usage > 5%', [13, 'join']],
  ['cpu_usage > 90% or disk_usage > 90%', [20, 'join']],
  ['vm_state == off clear 3', [23, 'clear_misplaced']],
  ['not cpu_usage > 90% clear 80%', [27, 'clear_misplaced']],
  ['libvirt_up == 1 unless cpu_usage > 90% clear 80%', [46, 'clear_misplaced']],
  ['cpu_usage < 10% clear 5%', [23, 'clear_wrong_side']],
  ['90% < cpu_usage clear 95%', [23, 'clear_wrong_side']],
  ['cpu_usage > 90% clear 5 GiB', [23, 'dimension']],
  ['cpu_usage > 90% clear mem_usage', [23, 'clear_misplaced']],
  ['cpu_usage > 1h30', [15, 'unit']],
  ['cpu_usage > 5 sec', [15, 'unit', 's']],
  ['cpu_usage > 5 percent', [15, 'unit', '%']],
  ['disk_free > 5 gib', [15, 'unit', 'GiB']],
  ['temperature > 5°F', [16, 'unit', '°C']],
  ['cpu_usage > 1234567890123456%', [13, 'syntax']],
  ['cpu_usage > "a\\b"', [15, 'syntax']],
  ['cpu_usage # 5%', [11, 'syntax']],
  ['cpu_usage > 90% for 5m; drop', [23, 'syntax']],
  // Everything that is wrong is told at once.
  [
    'cpu_usge > 90% and vm_state = runing',
    [1, 'unknown_metric', 'cpu_usage'],
    [29, 'syntax', '=='],
    [31, 'enum_value', 'running'],
  ],
  ['disk_usage > 85 GiBs and cpu_usge > 3%', [17, 'unit', 'GiB'], [26, 'unknown_metric', 'cpu_usage']],
  [
    'avg(cpu_usge) > 90% or rate(cpu_usage, 5s) > 1',
    [5, 'unknown_metric', 'cpu_usage'],
    [13, 'window_missing', ', 5m)'],
    [29, 'not_a_counter'],
    [40, 'window_range', '20s'],
  ],
];

for (const [text, ...expected] of INVALID) {
  test(`is refused with its column: ${text}`, () => {
    const { rule, errors } = checkRule(text);
    assert.equal(rule, null);
    assert.deepEqual(
      errors.map(({ column, code }) => [column, code]),
      expected.map(([column, code]) => [column, code]),
      JSON.stringify(errors, null, 1),
    );
    for (const [n, [, , suggestion]] of expected.entries())
      if (suggestion !== undefined) assert.equal(errors[n]?.suggestion, suggestion);
    for (const { column, length } of errors) assert.ok(column >= 1 && column + length <= text.length + 1);
  });
}

test('more than 100 malformed rules are told with their columns', () => {
  assert.ok(INVALID.length >= 100, `${INVALID.length}`);
});

test('a bare number of a ratio is taken as such, with a note', () => {
  const { rule, notes } = checkRule('cpu_usage > 0.9');
  assert.ok(rule);
  assert.deepEqual(
    notes.map(({ column, code, suggestion }) => [column, code, suggestion]),
    [[13, 'unit_missing', '90%']],
  );
  assert.equal(rule.test.type === 'compare' && rule.test.right.type === 'constant' && rule.test.right.value, 0.9);
});

test('a regular expression where a glob belongs is allowed, with a note of what to write', () => {
  const { rule, notes } = checkRule('cpu_usage{vm=~"db.*"} > 90%');
  assert.ok(rule);
  assert.deepEqual(
    notes.map(({ column, code, suggestion }) => [column, code, suggestion]),
    [[15, 'glob', 'db*']],
  );
});

test('percent divides, so that 95% is 0.95', () => {
  const { rule } = checkRule('cpu_usage > 95%');
  assert.equal(rule?.test.type === 'compare' && rule.test.right.type === 'constant' && rule.test.right.value, 0.95);
});

test('text beyond the limits is refused before it is parsed', () => {
  const long = checkRule(`${'('.repeat(600)}`);
  assert.deepEqual([long.errors[0]?.code, long.errors[0]?.column, long.steps], ['too_long', 513, 0]);
  const deep = checkRule(`${'('.repeat(9)}cpu_usage > 1%${')'.repeat(9)}`);
  assert.deepEqual([deep.errors[0]?.code, deep.errors[0]?.column], ['too_deep', 9]);
  assert.ok(checkRule(`${'('.repeat(8)}cpu_usage > 1%${')'.repeat(8)}`).rule);
  assert.equal(checkRule(`${'not '.repeat(9)}cpu_usage > 1%`).errors[0]?.code, 'too_deep');
  const many = (count: number) => Array.from({ length: count }, () => 'swap_out > 0').join(' and ');
  assert.ok(checkRule(many(20)).rule);
  assert.equal(checkRule(many(21)).errors[0]?.code, 'too_many_comparisons');
});

test('a rule names the metrics that it reads', () => {
  const { rule } = checkRule('vm_state != running and disk_free / rate(disk_used, 1h) < 8h unless vm_job == backup');
  assert.deepEqual(rule?.requires, ['vm_state', 'vm_state_desired', 'disk_free', 'disk_used', 'vm_job']);
  const all = checkRule('vm_state != running', { desiredOnly: false });
  assert.deepEqual(all.rule?.requires, ['vm_state']);
});

test('a rule says how far back it looks', () => {
  const windowOf = (text: string) => checkRule(text).rule?.windowMs;
  assert.equal(windowOf('cpu_usage > 90%'), 0);
  assert.equal(windowOf('avg(cpu_usage, 5m) > 90% and count(max(mem_usage, 1h) > 90%) > 3'), 3_600_000);
  assert.equal(windowOf('predict(disk_usage, 7d) > 90%'), 0);
});

test('a clear threshold may stand apart, with mistakes told in its own columns', () => {
  const { rule, clearErrors } = checkRule('cpu_usage > 90% for 5m', { clear: '70%' });
  assert.deepEqual(clearErrors, []);
  assert.ok(rule?.test.type === 'compare' && rule.test.clear?.type === 'constant' && rule.test.clear.value === 0.7);
  const wrong = (text: string, clear: string) => {
    const found = checkRule(text, { clear });
    assert.equal(found.rule, null);
    return found.clearErrors.map(({ column, code }) => [column, code]);
  };
  assert.deepEqual(wrong('cpu_usage > 90%', '95%'), [[1, 'clear_wrong_side']]);
  assert.deepEqual(wrong('cpu_usage > 90%', ' 5 GiB'), [[2, 'dimension']]);
  assert.deepEqual(wrong('cpu_usage > 90%', '80% for'), [[5, 'syntax']]);
  assert.deepEqual(wrong('cpu_usage > 90%', '80 GiBs'), [[4, 'unit']]);
  assert.deepEqual(wrong('cpu_usage > 90%', ''), [[1, 'syntax']]);
  assert.deepEqual(wrong('vm_state != running', '80%'), [[1, 'clear_misplaced']]);
  assert.deepEqual(wrong('cpu_usage > 90% or mem_usage > 90%', '80%'), [[1, 'clear_misplaced']]);
  assert.deepEqual(wrong('cpu_usage > 90%', '('.repeat(600)), [[513, 'too_long']]);
});

const word = fc.constantFrom(
  ...METRIC_NAMES,
  ...Object.keys(FUNCTIONS),
  ...KEYWORDS,
  ...RELATIONS,
  ...UNITS.keys(),
  ...[
    'count',
    '(',
    ')',
    '{',
    '}',
    ',',
    '+',
    '-',
    '*',
    '/',
    '=',
    '=~',
    '!~',
    '"a"',
    '"',
    '1',
    '5m',
    '90%',
    '0',
    'vm',
    'running',
    '\\',
    '°',
  ],
);

test('no text makes it throw, takes more work than its length allows, or is refused without a place', () => {
  const text = fc.oneof(
    fc.array(word, { maxLength: 60 }).map((words) => words.join(' ')),
    fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
    fc.string({ unit: 'binary', maxLength: 600 }),
  );
  fc.assert(
    fc.property(text, (one) => {
      const { rule, errors, steps } = checkRule(one);
      assert.equal(rule === null, errors.length > 0);
      assert.ok(steps <= 40 * one.length + 10, `${steps} steps for ${one.length} characters`);
      for (const { column, length } of errors) {
        assert.ok(
          column >= 1 && length >= 0 && column + length <= one.length + 1,
          JSON.stringify({ one, column, length }),
        );
      }
    }),
    { numRuns: 2000 },
  );
});
