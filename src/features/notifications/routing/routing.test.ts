import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCron } from '#contract/cron.ts';
import { type Route, routeSchema } from '#contract/notifications.ts';
import { matchesGlob } from '#kernel/glob.ts';
import { noticeOf } from '../fake-outside.ts';
import type { AlertNotice } from '../message.ts';
import { createCauses } from './inhibition.ts';
import { routeFits } from './match.ts';
import { channelsFor, escalationFor } from './routes.ts';
import { covers, isQuiet, type StoredSilence, windowPlan } from './silences.ts';

const channels = ['a', 'b', 'c'].map((name) => ({ id: `id-${name}`, name, project: null, isEnabled: true }));
const route = (value: unknown): Route => routeSchema.parse(value);
const noon = new Date('2026-11-26T12:00:00');
const namesFor = (routes: readonly Route[], notice = noticeOf(), at = noon) =>
  channelsFor(notice, { routes: [...routes], channels, projectName: (id) => `name-of-${id}`, now: () => at }).map(
    ({ name }) => name,
  );

test('the first route that fits decides; one that goes on lets the following add theirs', () => {
  const critical = route({ name: 'critical', match: { severities: ['critical'] }, channels: ['a'] });
  const vms = route({ name: 'vms', match: { rule: 'vm_*' }, channels: ['b'] });
  const rest = route({ name: 'rest', channels: ['id-c'] });
  assert.deepEqual(namesFor([critical, vms, rest]), ['b']);
  assert.deepEqual(namesFor([critical, vms, rest], noticeOf({ severity: 'critical' })), ['a']);
  assert.deepEqual(namesFor([{ ...critical, goesOn: true }, vms], noticeOf({ severity: 'critical' })), ['a', 'b']);
  assert.deepEqual(namesFor([critical, rest], noticeOf({ rule: { name: 'other' } })), ['c']);
  assert.deepEqual(namesFor([critical]), ['a', 'b', 'c'], 'without a fitting route all get warnings');
  assert.deepEqual(namesFor([], noticeOf({ severity: 'info' })), []);
});

test('names that lead to no channel quiet nothing: the routing, then the default takes it', () => {
  const all = ['a', 'b', 'c'];
  const gone = route({ name: 'gone', channels: ['x'] });
  const vms = route({ name: 'vms', channels: ['b'] });
  const by = (...names: string[]) => noticeOf({ rule: { channels: names } });
  assert.deepEqual(namesFor([vms], by('x')), ['b']);
  assert.deepEqual(namesFor([], by('x')), all);
  assert.deepEqual(namesFor([gone]), all);
  assert.deepEqual(namesFor([vms], by('x', 'a')), ['a'], 'what is there is enough');
  assert.deepEqual(namesFor([vms], by()), [], 'nobody, on purpose');
  assert.deepEqual(namesFor([route({ name: 'drop', channels: [] })]), [], 'nobody, on purpose');
});

test('routes match any or all, inverted, by label, project name and times over midnight', () => {
  const fits = (value: object, notice = noticeOf(), at = noon) =>
    routeFits(route({ name: 'x', channels: [], ...value }), notice, 'shop', at);
  const label = (value: string, isNot = false) => ({ labels: [{ label: 'vm', value, isNot }] });
  assert.equal(fits({ match: label('web*') }), true);
  assert.equal(fits({ match: label('web*', true) }), false);
  assert.equal(fits({ match: { ...label('db*'), severities: ['warning'] } }), false);
  assert.equal(fits({ match: { ...label('db*'), severities: ['warning'] }, mode: 'any' }), true);
  assert.equal(fits({ match: label('db*'), isInverted: true }), true);
  assert.equal(fits({ match: { project: 'shop' } }, noticeOf({ project: 'prj-1' })), true);
  const night = { match: { times: { from: '22:00', to: '06:00', days: [4] } } };
  assert.equal(fits(night, noticeOf(), new Date('2026-11-26T23:00:00')), true, 'Thursday night');
  assert.equal(fits(night, noticeOf(), new Date('2026-11-27T05:00:00')), true, 'which lasts into Friday');
  assert.equal(fits(night, noticeOf(), new Date('2026-11-26T05:00:00')), false, 'Wednesday’s night');
  assert.equal(fits(night), false);
});

test('labels that a rule gives itself do not hide what its alert is about', () => {
  const wanted = [
    ['severity', 'critical'],
    ['rule', 'vm_down'],
    ['kind', 'vm'],
    ['entity', 'web1'],
    ['host', 'node1'],
  ] as const;
  const labels = { vm: 'web1', ...Object.fromEntries(wanted.map(([label]) => [label, 'forged'])) };
  const notice = noticeOf({ severity: 'critical', labels });
  for (const [label, value] of wanted) {
    const fits = (text: string) =>
      routeFits(route({ name: 'x', channels: [], match: { labels: [{ label, value: text }] } }), notice, null, noon);
    assert.equal(fits(value), true, label);
    assert.equal(fits('forged'), false, label);
  }
});

test('escalation lists its steps by time, and only channels that may hear of it', () => {
  const steps = escalationFor(noticeOf({ project: 'p' }), {
    routes: [
      route({
        name: 'x',
        channels: ['a'],
        escalation: [
          { afterMinutes: 30, channels: ['c'] },
          { afterMinutes: 15, channels: ['b', 'd'] },
        ],
      }),
    ],
    channels: [...channels, { id: 'id-d', name: 'd', project: 'other', isEnabled: true }],
    projectName: () => null,
    now: () => noon,
  });
  assert.deepEqual(
    steps.map((step) => [step.afterMs / 60_000, step.channels.map(({ name }) => name)]),
    [
      [15, ['b']],
      [30, ['c']],
    ],
  );
});

test('globs are linear and agree with the regular expression they mean', () => {
  const began = performance.now();
  assert.equal(matchesGlob('a'.repeat(20_000), '*a*a*a*a*a*a*b'), false);
  assert.ok(performance.now() - began < 500);
  const letters = fc.array(fc.constantFrom('a', 'b', '*', '?'), { maxLength: 8 }).map((all) => all.join(''));
  const texts = fc.array(fc.constantFrom('a', 'b'), { maxLength: 10 }).map((all) => all.join(''));
  fc.assert(
    fc.property(letters, texts, (glob, text) => {
      const pattern = new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`);
      assert.equal(matchesGlob(text, glob), pattern.test(text));
    }),
  );
});

const silence = (change: Partial<StoredSilence> = {}): StoredSilence => ({
  id: 'sil-1',
  project: null,
  match: { rule: '*' },
  from: '2026-11-01T00:00:00Z',
  to: '2026-12-01T00:00:00Z',
  cron: null,
  durationMinutes: null,
  reason: 'work',
  createdBy: 'alice',
  createdAt: '2026-11-01T00:00:00Z',
  hits: 0,
  mayHideSecurity: false,
  ...change,
});

test('a silence covers what all its matchers fit, and in its project only', () => {
  assert.equal(covers(silence(), noticeOf()), true);
  assert.equal(covers(silence({ match: { rule: 'disk*' } }), noticeOf()), false);
  assert.equal(covers(silence({ project: 'p' }), noticeOf()), false);
  assert.equal(covers(silence({ project: 'p' }), noticeOf({ project: 'p' })), true);
});

test('critical security alerts are silenced only by those who may configure alerts', () => {
  const attack = noticeOf({ severity: 'critical', labels: { category: 'security' } });
  const failed = noticeOf({ severity: 'critical', rule: { condition: 'rate(auth_failures_total, 5m) > 1 /s' } });
  for (const notice of [attack, failed]) {
    assert.equal(covers(silence(), notice), false);
    assert.equal(covers(silence({ mayHideSecurity: true }), notice), true);
  }
  assert.equal(covers(silence(), { ...attack, severity: 'warning' }), true);
});

test('a maintenance window is quiet for its length after each begin, within its plan', () => {
  const window = silence({
    cron: '0 3 * * *',
    durationMinutes: 60,
    from: '2026-11-01T00:00:00Z',
    to: '2026-12-01T00:00:00Z',
  });
  let asked = 0;
  const schedule = parseCron('0 3 * * *');
  assert.ok(schedule);
  const counted = {
    matches(time: Date) {
      asked += 1;
      return schedule.matches(time);
    },
  };
  const plan = windowPlan(counted, 60);
  const at = (time: string) => isQuiet(window, plan, new Date(time));
  for (let n = 0; n < 1000; n += 1) at('2026-11-10T12:00:30');
  assert.equal(asked, 60, 'the window is looked through once a minute, however many alerts ask');
  assert.equal(at('2026-11-10T02:59:00'), false);
  assert.equal(at('2026-11-10T03:00:00'), true);
  assert.equal(at('2026-11-10T03:59:59'), true);
  assert.equal(at('2026-11-10T04:00:00'), false);
  assert.equal(at('2027-11-10T03:00:00'), false);
});

const hostDown = noticeOf({
  fingerprint: 'h',
  rule: { id: 'default:host_unreachable', name: 'host_unreachable' },
  entity: { kind: 'host', name: 'node1' },
  labels: {},
});
const causeOf = (notice: AlertNotice, ...firing: readonly AlertNotice[]) =>
  createCauses([...firing, notice]).of(notice)?.fingerprint;
const speakerOf = (notice: AlertNotice, ...firing: readonly AlertNotice[]) =>
  createCauses([...firing, notice]).speakersFor(notice)[0]?.fingerprint;

test('a cause explains what follows from it on its host, and nothing else', () => {
  const libvirt = { ...hostDown, fingerprint: 'l', rule: { ...hostDown.rule, id: 'default:libvirt_down' } };
  const pool = noticeOf({
    fingerprint: 'p',
    rule: { condition: 'disk_usage{kind=pool} > 95%', name: 'pool' },
    entity: { kind: 'pool', name: 'fast' },
    labels: { pool: 'fast' },
  });
  const disk = noticeOf({
    fingerprint: 'd',
    entity: { kind: 'disk', name: 'sda' },
    labels: {},
    rule: { name: 'smart' },
  });
  const enospc = noticeOf({
    fingerprint: 'e',
    rule: { name: 'paused', condition: 'vm_pause_reason == enospc' },
    labels: { vm: 'web1', pool: 'fast' },
  });
  assert.equal(causeOf(noticeOf(), hostDown), 'h');
  assert.equal(causeOf({ ...noticeOf(), host: 'node2' }, hostDown), undefined);
  assert.equal(causeOf(disk, hostDown), 'h');
  assert.equal(causeOf(disk, libvirt), undefined);
  assert.equal(causeOf(noticeOf(), libvirt), 'l');
  assert.equal(causeOf(enospc, pool), 'p');
  assert.equal(causeOf({ ...enospc, labels: { pool: 'slow' } }, pool), undefined);
  assert.equal(causeOf({ ...enospc, severity: 'critical' }, pool), undefined, 'a warning hides nothing graver');
  assert.equal(causeOf(hostDown, libvirt), undefined);
});

test('a rule that only bears the name of a cause quiets nobody', () => {
  const named = { ...hostDown, rule: { ...hostDown.rule, id: 'rule-7' } };
  assert.equal(causeOf(noticeOf({ project: 'shop' }), named), undefined, 'a rule of a user');
  assert.equal(causeOf(noticeOf({ project: 'shop' }), { ...hostDown, project: 'other' }), undefined, 'of a project');
  const vm = { ...hostDown, entity: { kind: 'vm', name: 'web2' } };
  assert.equal(causeOf(noticeOf(), vm), undefined, 'not about a host');
});

test('of two default rules about one thing only the graver one is told', () => {
  const about = (name: string, severity: 'warning' | 'critical', change: Partial<AlertNotice> = {}) =>
    noticeOf({
      fingerprint: name,
      severity,
      rule: { id: `default:${name}`, name, metrics: ['disk_usage'] },
      entity: { kind: 'fs', name: '/' },
      labels: {},
      ...change,
    });
  const full = about('disk_full', 'critical');
  const filling = about('disk_filling', 'warning');
  assert.equal(speakerOf(filling, full), 'disk_full');
  assert.equal(speakerOf(full, filling), undefined);
  assert.equal(speakerOf({ ...filling, entity: { kind: 'fs', name: '/var' } }, full), undefined);
  assert.equal(speakerOf({ ...filling, host: 'node2' }, full), undefined);
  assert.equal(speakerOf({ ...filling, severity: 'critical' }, { ...full, severity: 'warning' }), undefined);
  const guest = { entity: { kind: 'guestfs', name: '/' } };
  const inOne = about('guest_disk_full', 'critical', { ...guest, labels: { vm: 'web1' } });
  assert.equal(
    speakerOf(about('guest_disk_filling', 'warning', { ...guest, labels: { vm: 'web2' } }), inOne),
    undefined,
  );
  assert.equal(
    speakerOf(about('guest_disk_filling', 'warning', { ...guest, labels: { vm: 'web1' } }), inOne),
    'guest_disk_full',
  );
});

const shipped = (name: string, metrics: readonly string[], change: Parameters<typeof noticeOf>[0] = {}) =>
  noticeOf({ fingerprint: name, ...change, rule: { id: `default:${name}`, name, metrics, ...change.rule } });
const own = (change: Parameters<typeof noticeOf>[0] = {}) =>
  noticeOf({ fingerprint: 'own', ...change, rule: { id: 'rule-8', name: 'own', ...change.rule } });
const STATE = ['vm_state', 'vm_state_desired'];

test('a rule that somebody made speaks for those of the program that say the same of one thing', () => {
  const down = shipped('vm_down', STATE, { severity: 'critical' });
  const crashed = shipped('vm_crashed', ['vm_crash_total'], { rule: { isEvent: true } });
  assert.equal(speakerOf(down, own()), 'own', 'whatever its severity: not to run has no degrees');
  assert.equal(speakerOf(crashed, own(), down), 'own', 'and before the graver one of the program');
  assert.equal(speakerOf(crashed, down), 'vm_down');
  assert.equal(speakerOf(own(), down), undefined, 'nothing speaks for a rule that somebody made');
  assert.equal(speakerOf(own(), own({ fingerprint: 'second' })), undefined);
  const hourAgo = own({ startedAtMs: crashed.startedAtMs - 3_600_000 });
  assert.equal(speakerOf(crashed, hourAgo), undefined, 'a state from before the crash is something else');
  assert.equal(speakerOf(down, own({ entity: { kind: 'vm', name: 'web2' }, labels: { vm: 'web2' } })), undefined);
  assert.equal(speakerOf(down, own({ host: 'node2' })), undefined);
  assert.equal(speakerOf(down, own({ rule: { metrics: ['cpu_usage'] } })), undefined);
  assert.equal(
    speakerOf(down, own({ rule: { metrics: [...STATE, 'cpu_usage'] } })),
    undefined,
    'it says something else',
  );
  assert.equal(speakerOf(down, own({ rule: { metrics: [] } })), undefined, 'of a rule of an older version');
});

test('where there are degrees a rule that somebody made hides nothing graver', () => {
  const disk = { entity: { kind: 'fs', name: '/' }, labels: {} };
  const mine = own({ ...disk, rule: { metrics: ['disk_usage'] } });
  assert.equal(speakerOf(shipped('disk_filling', ['disk_usage'], disk), mine), 'own');
  assert.equal(speakerOf(shipped('disk_full', ['disk_usage'], { ...disk, severity: 'critical' }), mine), undefined);
  assert.equal(speakerOf(shipped('disk_fills_fast', ['disk_free', 'disk_used'], disk), mine), undefined);
  const loop = shipped('vm_crash_loop', ['vm_crash_total'], { severity: 'critical' });
  assert.equal(speakerOf(loop, own({ rule: { metrics: ['vm_crash_total'] } })), undefined);
});
