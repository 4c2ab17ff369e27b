import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { noticeOf, resolved, startOutbox } from '../fake-outside.ts';
import type { AlertNotice } from '../message.ts';
import { heldAlerts } from './told-alerts.ts';

const MINUTE = 60_000;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const isFull = process.env['HV_TEST_FULL'] === '1';
const STATE = ['vm_state', 'vm_state_desired'];

type Outbox = Awaited<ReturnType<typeof startOutbox>>;

const withOutbox = async (act: (outbox: Outbox) => Promise<void>): Promise<void> => {
  const outbox = await startOutbox();
  try {
    await act(outbox);
  } finally {
    await outbox.close();
  }
};

const own = (rule: Partial<AlertNotice['rule']> = {}) =>
  noticeOf({ fingerprint: 'own', rule: { id: 'rule-1', name: 'mine', metrics: STATE, ...rule } });
const crashed = noticeOf({
  fingerprint: 'crashed',
  rule: { id: 'default:vm_crashed', name: 'vm_crashed', metrics: ['vm_crash_total'], isEvent: true },
});
const down = noticeOf({
  fingerprint: 'down',
  severity: 'critical',
  rule: { id: 'default:vm_down', name: 'vm_down', metrics: STATE },
});
/** As `hook: fingerprint kind`. */
const said = (outbox: Outbox) =>
  outbox.calls.flatMap((call) =>
    outbox
      .alertsOf(call)
      .alerts.map((one) => `${new URL(call.url).hostname.split('.')[0]}: ${one.fingerprint} ${one.kind}`),
  );
/** As a crash goes: the event at once, the own rule ten seconds later, the one of the program after a minute. */
const crash = async (outbox: Outbox, mine: AlertNotice) => {
  await outbox.announce(crashed);
  await outbox.pass(10_000);
  await outbox.announce(mine);
  await outbox.pass(50_000);
  await outbox.announce(down);
  await outbox.pass(2 * MINUTE);
};

test('a crash under a rule of one’s own is one message and one end, and the others say who tells of it', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await crash(outbox, own());
    assert.deepEqual(said(outbox), ['team: own firing']);
    assert.deepEqual(Object.fromEntries(await heldAlerts(outbox.db)), {
      crashed: { alertId: 'own', rule: 'mine' },
      down: { alertId: 'own', rule: 'mine' },
    });
    const held = (await outbox.list()).filter(({ state }) => state === 'inhibited');
    assert.deepEqual(
      held.map(({ lastError }) => lastError),
      ['"mine" tells of it', '"mine" tells of it'],
    );
    // It runs again; the crash lies within the window of its rule for some more minutes.
    await outbox.announce(resolved(own()), resolved(down));
    await outbox.pass(9 * MINUTE);
    await outbox.announce(resolved(crashed));
    await outbox.pass(10 * MINUTE);
    assert.deepEqual(said(outbox), ['team: own firing', 'team: own resolved']);
    assert.equal((await heldAlerts(outbox.db)).size, 0);
  }));

test('without a rule of one’s own a crash is one message too: that it stays down, or that it crashed', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await outbox.announce(crashed);
    await outbox.pass(70_000);
    await outbox.announce(down);
    await outbox.pass(2 * MINUTE);
    await outbox.announce(resolved(down));
    await outbox.pass(9 * MINUTE);
    await outbox.announce(resolved(crashed));
    await outbox.pass(40 * MINUTE);
    assert.deepEqual(said(outbox), ['team: down firing', 'team: down resolved']);
    await outbox.announce({ ...crashed, episode: 2 });
    await outbox.pass(2 * MINUTE);
    assert.deepEqual(said(outbox).slice(2), [], 'something may tell of it yet');
    await outbox.pass(MINUTE);
    assert.deepEqual(said(outbox).slice(2), ['team: crashed firing']);
  }));

test('a crash soon after an operation, which hides the state for two minutes, is one message', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await outbox.announce(crashed);
    await outbox.pass(130_000);
    await outbox.announce(own());
    await outbox.pass(10 * MINUTE);
    assert.deepEqual(said(outbox), ['team: own firing']);
  }));

test('what the own rule does not reach hears of it by the rules of the program', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('mail');
    await outbox.hook('pager');
    await crash(outbox, own({ channels: ['mail'] }));
    assert.deepEqual(said(outbox).sort(), ['mail: own firing', 'pager: down firing']);
    await outbox.announce(resolved(own({ channels: ['mail'] })), resolved(down), resolved(crashed));
    await outbox.pass(10 * MINUTE);
    assert.deepEqual(said(outbox).slice(2).sort(), ['mail: own resolved', 'pager: down resolved']);
  }));

test('a rule of one’s own that nobody hears of, or that is silenced, quiets nothing', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await crash(outbox, own({ channels: [] }));
    assert.deepEqual(said(outbox), ['team: down firing']);
    await outbox.announce(resolved(own()), resolved(down), resolved(crashed));
    await outbox.pass(40 * MINUTE, MINUTE);
    outbox.calls.length = 0;
    await outbox.silences.add({
      project: null,
      match: { rule: 'mine' },
      from: new Date(outbox.clock.now().getTime() - MINUTE).toISOString(),
      to: new Date(outbox.clock.now().getTime() + 60 * MINUTE).toISOString(),
      cron: null,
      durationMinutes: null,
      reason: 'never mind',
      createdBy: 'ann',
      mayHideSecurity: false,
    });
    await outbox.announce({ ...down, episode: 2 }, { ...own(), episode: 2 });
    await outbox.pass(MINUTE);
    assert.deepEqual(said(outbox), ['team: down firing']);
  }));

test('a rule of a project quiets only channels of that project', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('system');
    await outbox.hook('shop', { project: 'prj-shop' });
    const mine = { ...own({ project: 'prj-shop' }), project: 'prj-shop' };
    await outbox.announce(mine, { ...down, project: 'prj-shop' });
    await outbox.pass(MINUTE);
    assert.deepEqual(said(outbox).sort(), ['shop: own firing', 'system: down firing', 'system: own firing']);
  }));

test('when the rule that told goes, what still fires is told, also after a restart between', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await crash(outbox, own());
    // Deleted: its alert ends.
    await outbox.announce(resolved(own()));
    await outbox.pass(MINUTE);
    outbox.restart();
    await outbox.pass(5 * MINUTE);
    assert.deepEqual(said(outbox).sort(), ['team: down still_firing', 'team: own firing', 'team: own resolved']);
  }));

test('an event that nobody heard of is told when the rule that would have told goes', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    // So that its group waits for five minutes.
    await outbox.announce({
      ...own(),
      fingerprint: 'other',
      labels: { vm: 'web2' },
      entity: { kind: 'vm', name: 'web2' },
    });
    await outbox.pass(MINUTE);
    await outbox.announce(crashed, own());
    // Longer than the event waits.
    await outbox.pass(160_000);
    assert.deepEqual(said(outbox), ['team: other firing']);
    const to = new Date(outbox.clock.now().getTime() + 60 * MINUTE).toISOString();
    const from = outbox.clock.now().toISOString();
    const plan = { project: null, from, to, cron: null, durationMinutes: null, reason: 'x', createdBy: 'ann' };
    await outbox.silences.add({ ...plan, match: { rule: 'mine' }, mayHideSecurity: false });
    await outbox.pass(5 * MINUTE);
    assert.deepEqual(said(outbox), ['team: other firing', 'team: crashed still_firing']);
  }));

/** What happens to one VM: its alerts begin and end, the own rule is silenced and heard again, hyperd starts anew. */
const happenings = fc.array(
  fc.tuple(
    fc.constantFrom('own', 'crashed', 'down', 'silence', 'restart'),
    fc.constantFrom(10_000, 40_000, 3 * MINUTE, 6 * MINUTE),
  ),
  { minLength: 1, maxLength: 6 },
);

const BEGINNINGS = [
  [],
  [
    ['own', 40_000],
    ['down', 40_000],
  ],
  [
    ['crashed', 10_000],
    ['own', 50_000],
    ['down', 40_000],
  ],
  [
    ['down', 10_000],
    ['own', 10_000],
  ],
] as const;

test('whatever comes and goes, no channel hears too little: of each thing it hears by one alert or the other', async () => {
  const numRuns = isFull ? 150 : 15;
  let messages = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...BEGINNINGS),
      happenings,
      fc.constantFrom<readonly string[] | null>(null, ['a'], []),
      (first, more, channels) =>
        withOutbox(async (outbox) => {
          await outbox.hook('a');
          await outbox.hook('b');
          const notices: Record<string, AlertNotice> = {
            own: own({ channels, cooldownMs: 0 }),
            crashed: { ...crashed, rule: { ...crashed.rule, cooldownMs: 0 } },
            down: { ...down, rule: { ...down.rule, cooldownMs: 0 } },
          };
          const firing = new Map<string, number>();
          let silence: string | null = null;
          /** Channel and alert → it was told that it fires, and of no end since. */
          const knows = new Set<string>();
          let read = 0;
          const listen = () => {
            for (const line of said(outbox).slice(read)) {
              const [channel, fingerprint, kind] = line.split(/:? /);
              if (kind === 'resolved' || kind === 'was_firing') knows.delete(`${channel} ${fingerprint}`);
              else knows.add(`${channel} ${fingerprint}`);
            }
            read = said(outbox).length;
          };
          const isReached = (channel: string) =>
            firing.has('own') && silence === null && (channels === null || channels.includes(channel));
          let episode = 0;
          let quietSinceMs = outbox.nowMs();
          for (const [what, thenMs] of [...first, ...more, ['restart', 20 * MINUTE] as const]) {
            const notice = notices[what];
            const now = outbox.clock.now().getTime();
            if (notice !== undefined) {
              const begun = firing.get(what);
              episode += 1;
              if (begun === undefined) {
                firing.set(what, now);
                await outbox.announce({ ...notice, episode, startedAtMs: now });
              } else {
                firing.delete(what);
                await outbox.announce({ ...resolved(notice), episode, startedAtMs: begun, endedAtMs: now });
              }
            } else if (what === 'restart') outbox.restart();
            else if (silence === null)
              silence = (
                await outbox.silences.add({
                  project: null,
                  match: { rule: 'mine' },
                  from: outbox.clock.now().toISOString(),
                  to: new Date(now + 24 * 60 * MINUTE).toISOString(),
                  cron: null,
                  durationMinutes: null,
                  reason: 'x',
                  createdBy: 'ann',
                  mayHideSecurity: false,
                })
              ).id;
            else {
              await outbox.silences.remove(silence);
              silence = null;
            }
            quietSinceMs = outbox.nowMs();
            await outbox.pass(thenMs, thenMs > MINUTE ? 30_000 : 10_000);
            listen();
          }
          assert.ok(outbox.nowMs() - quietSinceMs >= 20 * MINUTE);
          for (const channel of ['a', 'b']) {
            const hearsOwn = isReached(channel);
            if (hearsOwn) assert.ok(knows.has(`${channel} own`), `${channel} hears of the own rule`);
            if (!firing.has('down')) continue;
            assert.ok(hearsOwn || knows.has(`${channel} down`), `${channel} hears that it is down`);
          }
          for (const line of knows) assert.ok(firing.has(line.split(' ')[1] ?? ''), `${line} was told its end`);
          messages += outbox.calls.length;
        }),
    ),
    { numRuns, seed },
  );
  console.log(`# count: seed ${seed}: ${numRuns} histories of one VM, ${messages} messages, none lost`);
});
