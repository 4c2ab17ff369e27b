import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '#kernel/logger.ts';
import { noticeOf, resolved, startOutbox } from '../fake-outside.ts';
import type { NotificationTables } from '../migrations.ts';
import { createAlertmanagerLoop } from './alertmanager-loop.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

type Outbox = Awaited<ReturnType<typeof startOutbox>>;

const withOutbox = async (
  act: (outbox: Outbox) => Promise<void>,
  answer?: Parameters<typeof startOutbox>[0],
): Promise<void> => {
  const outbox = await startOutbox(answer);
  try {
    await act(outbox);
  } finally {
    await outbox.close();
  }
};
const kindsOf = (outbox: Outbox) =>
  outbox.calls.map((call) =>
    outbox
      .alertsOf(call)
      .alerts.map(({ kind }) => kind)
      .join(','),
  );

test('alerts of one rule and host within the group wait come as one message, and their end as one', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    const all = Array.from({ length: 50 }, (_, n) =>
      noticeOf({ fingerprint: `fp-${n}`, entity: { kind: 'vm', name: `vm${n}` } }),
    );
    for (const notice of all) await outbox.announce(notice);
    await outbox.pass(29_000, 1000);
    assert.equal(outbox.calls.length, 0);
    await outbox.pass(2000, 1000);
    assert.equal(outbox.calls.length, 1);
    assert.equal(outbox.alertsOf(outbox.calls[0]!).alerts.length, 50);
    await outbox.announce(...all.map(resolved));
    await outbox.pass(6 * MINUTE);
    assert.equal(outbox.calls.length, 2);
    assert.equal(outbox.alertsOf(outbox.calls[1]!).status, 'resolved');
  }));

test('a host that goes dark with 50 VMs is one message and one resolve', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    const vms = Array.from({ length: 50 }, (_, n) =>
      noticeOf({ fingerprint: `fp-${n}`, entity: { kind: 'vm', name: `vm${n}` } }),
    );
    const dark = noticeOf({
      fingerprint: 'fp-host',
      rule: { id: 'default:host_unreachable', name: 'host_unreachable' },
      severity: 'critical',
      entity: { kind: 'host', name: 'node1' },
      labels: {},
    });
    // The VMs are missed before their host is.
    await outbox.announce(...vms);
    await outbox.pass(20_000);
    await outbox.announce(dark);
    await outbox.pass(HOUR, MINUTE);
    assert.equal(outbox.calls.length, 1);
    await outbox.announce(...[...vms, dark].map(resolved));
    await outbox.pass(20 * MINUTE, MINUTE);
    assert.equal(outbox.calls.length, 2);
    assert.deepEqual(kindsOf(outbox), ['firing', 'resolved']);
    assert.equal((await outbox.list()).filter(({ state }) => state === 'inhibited').length, 50);
  }));

test('what its cause took along and stays after it is told by itself', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    const dark = noticeOf({
      fingerprint: 'fp-host',
      rule: { id: 'default:host_unreachable', name: 'host_unreachable' },
      entity: { kind: 'host', name: 'node1' },
    });
    await outbox.announce(dark, noticeOf());
    await outbox.pass(MINUTE);
    await outbox.announce(resolved(dark));
    await outbox.pass(5 * MINUTE + 30_000);
    assert.deepEqual(
      outbox.calls.map((call) =>
        outbox
          .alertsOf(call)
          .alerts.map((one) => `${one.fingerprint} ${one.kind}`)
          .join(),
      ),
      ['fp-host firing', 'fp-web1 still_firing', 'fp-host resolved'],
    );
  }));

test('cooldown delays neither a rise of severity nor the resolve', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    const first = noticeOf();
    await outbox.announce(first);
    await outbox.pass(35_000);
    await outbox.announce({ ...first, kind: 'severity_raised', severity: 'critical' });
    await outbox.pass(35_000);
    assert.deepEqual(kindsOf(outbox), ['firing', 'severity_raised']);
    await outbox.announce(resolved({ ...first, severity: 'critical' }));
    await outbox.pass(6 * MINUTE);
    assert.deepEqual(kindsOf(outbox), ['firing', 'severity_raised', 'resolved']);
    // Again, within the cooldown: it waits for its end.
    await outbox.announce({ ...first, episode: 2 });
    await outbox.pass(15 * MINUTE);
    assert.equal(outbox.calls.length, 3);
    await outbox.pass(10 * MINUTE);
    assert.deepEqual(kindsOf(outbox).slice(3), ['firing']);
  }));

test('an episode that came and went within the cooldown is not told', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await outbox.announce(noticeOf());
    await outbox.pass(35_000);
    await outbox.announce(resolved(noticeOf()));
    await outbox.pass(6 * MINUTE);
    await outbox.announce(noticeOf({ episode: 2 }), resolved(noticeOf({ episode: 2 })));
    await outbox.pass(HOUR, MINUTE);
    assert.deepEqual(kindsOf(outbox), ['firing', 'resolved']);
    assert.ok((await outbox.list()).some(({ state }) => state === 'not_sent'));
  }));

test('firing and resolve that were not delivered become one message, under a key of its own', () => {
  let isDown = true;
  return withOutbox(
    async (outbox) => {
      await outbox.hook('team');
      await outbox.announce(noticeOf());
      await outbox.pass(MINUTE);
      await outbox.announce(resolved(noticeOf()));
      await outbox.pass(6 * MINUTE);
      isDown = false;
      await outbox.pass(30 * MINUTE);
      const delivered = outbox.calls.at(-1);
      assert.equal(outbox.alertsOf(delivered!).alerts[0]?.kind, 'was_firing');
      assert.notEqual(delivered?.key, outbox.calls[0]?.key);
      const states = (await outbox.list()).map(({ state }) => state).sort();
      assert.deepEqual(states, ['merged', 'sent']);
    },
    () => (isDown ? { status: 503 } : { status: 200 }),
  );
});

test('a resolve goes only where the firing went', () =>
  withOutbox(
    async (outbox) => {
      await outbox.hook('works');
      await outbox.hook('refuses');
      await outbox.announce(noticeOf());
      await outbox.pass(MINUTE);
      await outbox.hook('later');
      await outbox.announce(resolved(noticeOf()));
      await outbox.pass(6 * MINUTE);
      const hosts = outbox.calls
        .filter((call) => outbox.alertsOf(call).alerts[0]?.kind === 'resolved')
        .map(({ url }) => new URL(url).hostname);
      assert.deepEqual(hosts, ['works.example']);
    },
    ({ url }) => ({ status: url.includes('refuses') ? 404 : 200 }),
  ));

test('every attempt carries the same key; pauses double up to 15 minutes, and Retry-After is honoured', () => {
  const at: number[] = [];
  let outbox: Outbox | null = null;
  return withOutbox(
    async (opened) => {
      outbox = opened;
      await opened.hook('team');
      await opened.announce(noticeOf());
      await opened.pass(90 * MINUTE);
      assert.equal(new Set(opened.calls.map(({ key }) => key)).size, 1);
      const pauses = at.slice(1).map((ms, index) => Math.round((ms - (at[index] ?? 0)) / 1000));
      assert.equal(pauses[0], 120, `Retry-After: ${pauses}`);
      assert.deepEqual(pauses.slice(1, 4), [10, 20, 40]);
      assert.equal(Math.max(...pauses), 900);
      assert.ok(pauses.slice(-3).every((pause) => pause === 900));
    },
    () => {
      at.push(outbox?.clock.monotonicMs() ?? 0);
      return at.length === 1 ? { status: 429, headers: { 'retry-after': '120' } } : { status: 503 };
    },
  );
});

test('retry_after in the answer of a chat counts in seconds', () =>
  withOutbox(
    async (outbox) => {
      await outbox.channels.add({
        name: 'chat',
        kind: 'discord',
        project: null,
        secrets: { url: 'https://discord.com/api/webhooks/1/x' },
      });
      await outbox.announce(noticeOf());
      await outbox.pass(31_000, 1000);
      assert.equal(outbox.calls.length, 1);
      await outbox.pass(62_000, 1000);
      assert.equal(outbox.calls.length, 1);
      await outbox.pass(4000, 1000);
      assert.equal(outbox.calls.length, 2);
    },
    () => ({ status: 429, body: '{"message":"slow down","retry_after":64.5,"global":false}' }),
  ));

test('a refusal for good is given up at once and told through the other channels, once a day', () =>
  withOutbox(
    async (outbox) => {
      const broken = await outbox.hook('broken');
      await outbox.hook('works');
      await outbox.announce(noticeOf());
      await outbox.announce(noticeOf({ fingerprint: 'fp-2', rule: { id: 'other', name: 'other' } }));
      await outbox.pass(2 * MINUTE);
      const dead = (await outbox.list()).filter(({ state }) => state === 'dead');
      assert.deepEqual(
        dead.map((one) => [one.channelId, one.attempts]),
        [
          [broken.id, 1],
          [broken.id, 1],
        ],
      );
      const events = outbox.calls.filter((call) => outbox.alertsOf(call).kind === 'event');
      assert.equal(events.length, 1);
      assert.match(events[0]?.text ?? '', /The channel broken does not take messages/);
      assert.ok(events.every(({ url }) => url.includes('works')));
      assert.ok(dead.every(({ lastError }) => lastError?.includes('410') && !lastError.includes('secret-path')));
    },
    ({ url }) => (url.includes('broken') ? { status: 410, body: `gone: ${url}` } : { status: 200 }),
  ));

test('a warning is given up after a day of waiting and a critical alert after three; a leap of the date gives nothing up', () =>
  withOutbox(
    async (outbox) => {
      await outbox.hook('team');
      await outbox.announce(
        noticeOf({ rule: { id: 'w', name: 'w', cooldownMs: 30 * 86_400_000 } }),
        noticeOf({
          fingerprint: 'fp-c',
          severity: 'critical',
          rule: { id: 'c', name: 'c', cooldownMs: 30 * 86_400_000 },
        }),
      );
      await outbox.pass(MINUTE);
      outbox.clock.jumpWall(365 * 86_400_000);
      await outbox.pass(10 * MINUTE);
      const stateOf = async (severity: string) =>
        (await outbox.list()).find((one) => one.severity === severity && one.channelId !== null)?.state;
      assert.equal(await stateOf('warning'), 'waiting');
      await outbox.pass(28 * HOUR, 16 * MINUTE);
      assert.equal(await stateOf('warning'), 'dead');
      assert.equal(await stateOf('critical'), 'waiting');
      await outbox.pass(56 * HOUR, 16 * MINUTE);
      assert.equal(await stateOf('critical'), 'dead');
    },
    () => ({ status: 503 }),
  ));

test('what was given up can be sent again', () => {
  let isDown = true;
  return withOutbox(
    async (outbox) => {
      await outbox.hook('team');
      await outbox.announce(noticeOf());
      await outbox.pass(MINUTE);
      const dead = (await outbox.list()).find(({ channelId }) => channelId !== null);
      assert.equal(dead?.state, 'dead');
      isDown = false;
      const row = await outbox.notices.find(dead?.id ?? '');
      await outbox.notices.retry(row!);
      await outbox.work();
      assert.equal((await outbox.notices.find(dead?.id ?? ''))?.state, 'sent');
      assert.equal(outbox.calls.at(-1)?.key, outbox.calls[0]?.key);
      await assert.rejects(outbox.notices.retry((await outbox.notices.find(dead?.id ?? ''))!), {
        code: 'notice_not_dead',
      });
    },
    () => (isDown ? { status: 404 } : { status: 200 }),
  );
});

test('a channel takes 30 messages an hour and 10 critical ones beside; the rest is one digest', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    for (let n = 0; n < 60; n += 1)
      await outbox.announce(
        noticeOf({
          fingerprint: `fp-${n}`,
          severity: n < 45 ? 'warning' : 'critical',
          rule: { id: `rule-${n}`, name: `rule-${n}` },
        }),
      );
    await outbox.pass(10 * MINUTE);
    const sent = outbox.calls.map((call) => outbox.alertsOf(call));
    assert.equal(sent.filter(({ kind }) => kind === 'alert').length, 40);
    const digests = sent.filter(({ kind }) => kind === 'digest');
    assert.equal(digests.length, 1);
    assert.equal(digests[0]?.alerts.length, 20);
  }));

test('silenced alerts are counted and shown, and told in one message when they fire still at its end', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    const now = outbox.clock.now().getTime();
    const silence = await outbox.silences.add({
      project: null,
      match: { rule: 'vm_*' },
      from: new Date(now).toISOString(),
      to: new Date(now + HOUR).toISOString(),
      cron: null,
      durationMinutes: null,
      reason: 'moving racks',
      createdBy: 'alice',
      mayHideSecurity: false,
    });
    const notices = [1, 2, 3].map((n) => noticeOf({ fingerprint: `fp-${n}`, rule: { id: `r${n}`, name: `vm_${n}` } }));
    await outbox.announce(...notices);
    await outbox.pass(10 * MINUTE);
    await outbox.announce(resolved(notices[0]!));
    await outbox.pass(49 * MINUTE, MINUTE);
    assert.equal(outbox.calls.length, 0);
    assert.equal(outbox.silences.get(silence.id)?.hits, 3);
    await outbox.pass(2 * MINUTE);
    assert.equal(outbox.calls.length, 1);
    assert.deepEqual(
      outbox.alertsOf(outbox.calls[0]!).alerts.map(({ kind }) => kind),
      ['still_firing', 'still_firing'],
    );
    assert.match(outbox.calls[0]?.text ?? '', /moving racks/);
  }));

test('who may not see a channel sees neither its name nor what it answered', () =>
  withOutbox(
    async (outbox) => {
      const system = await outbox.hook('system');
      await outbox.hook('shop', { project: 'shop' });
      await outbox.announce(noticeOf({ project: 'shop' }));
      await outbox.pass(MINUTE);
      const seesChannel = (id: string) => id !== system.id;
      const { items } = await outbox.notices.list({ limit: 100, projects: ['shop'], seesChannel });
      assert.deepEqual(items.map(({ channel }) => channel).sort(), ['shop', null].sort());
      assert.doesNotMatch(JSON.stringify(items), /system|inner/);
    },
    ({ url }) => (url.includes('system') ? { status: 410, body: 'an inner word' } : { status: 200 }),
  ));

test('what a silence of the system is for is told to no project', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('system');
    await outbox.hook('shop', { project: 'shop' });
    const now = outbox.clock.now().getTime();
    await outbox.silences.add({
      project: null,
      match: { rule: '*' },
      from: new Date(now).toISOString(),
      to: new Date(now + HOUR).toISOString(),
      cron: null,
      durationMinutes: null,
      reason: 'hunting an intruder',
      createdBy: 'alice',
      mayHideSecurity: false,
    });
    await outbox.announce(noticeOf({ project: 'shop' }));
    await outbox.pass(62 * MINUTE, MINUTE);
    const texts = new Map(outbox.calls.map(({ url, text }) => [new URL(url).hostname, text]));
    assert.match(texts.get('system.example') ?? '', /hunting an intruder/);
    assert.match(texts.get('shop.example') ?? '', /after the silence ended/);
    assert.doesNotMatch(`${texts.get('shop.example')} ${JSON.stringify(await outbox.list())}`, /intruder/);
  }));

test('what fires on is told again every four hours until somebody acknowledges it', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await outbox.announce(noticeOf());
    await outbox.pass(9 * HOUR, 10 * MINUTE);
    assert.deepEqual(kindsOf(outbox), ['firing', 'repeat', 'repeat']);
    await outbox.acknowledge('fp-web1');
    await outbox.pass(9 * HOUR, 10 * MINUTE);
    assert.equal(outbox.calls.length, 3);
  }));

test('escalation reaches the next channels in time, and stops with an acknowledge', () =>
  withOutbox(async (outbox) => {
    for (const name of ['first', 'second', 'third']) await outbox.hook(name);
    const escalation = [
      { afterMinutes: 15, channels: ['second'] },
      { afterMinutes: 30, channels: ['third'] },
    ];
    outbox.route({ routes: [{ name: 'all', channels: ['first'], escalation }] });
    await outbox.announce(noticeOf());
    await outbox.pass(20 * MINUTE, MINUTE);
    assert.deepEqual(
      outbox.calls.map(({ url }) => new URL(url).hostname),
      ['first.example', 'second.example'],
    );
    await outbox.acknowledge('fp-web1');
    await outbox.pass(HOUR);
    assert.equal(outbox.calls.length, 2);
    await outbox.announce(resolved(noticeOf()));
    await outbox.pass(6 * MINUTE);
    assert.equal(outbox.calls.length, 4, 'both that heard of it hear of its end');
  }));

test('a project’s alert reaches channels of that project and of the system only', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('system');
    await outbox.hook('shop', { project: 'shop' });
    await outbox.hook('other', { project: 'other' });
    await outbox.announce(
      noticeOf({ project: 'shop' }),
      noticeOf({ fingerprint: 'fp-host', rule: { id: 'h', name: 'h' } }),
    );
    await outbox.pass(MINUTE);
    assert.deepEqual(outbox.calls.map(({ url }) => new URL(url).hostname).sort(), [
      'shop.example',
      'system.example',
      'system.example',
    ]);
    // Naming a channel in the rule opens no other project's either.
    await outbox.announce(
      noticeOf({ fingerprint: 'fp-3', project: 'shop', rule: { id: 'n', name: 'n', channels: ['other'] } }),
    );
    await outbox.pass(MINUTE);
    assert.equal(outbox.calls.length, 3);
    assert.equal((await outbox.list())[0]?.state, 'unrouted');
  }));

test('a rule that sends to a channel that is gone is told by the others, and complained of once', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    for (const n of [1, 2]) await outbox.announce(noticeOf({ fingerprint: `fp-${n}`, rule: { channels: ['gone'] } }));
    await outbox.pass(2 * MINUTE);
    await outbox.announce(noticeOf({ fingerprint: 'fp-3', rule: { channels: ['gone'] } }));
    await outbox.pass(10 * MINUTE);
    const sent = outbox.calls.map((call) => outbox.alertsOf(call));
    assert.equal(sent.flatMap(({ alerts }) => alerts).length, 3);
    assert.equal(sent.filter(({ kind }) => kind === 'event').length, 1);
    assert.ok(outbox.calls.some(({ text }) => text.includes('There is no channel \\"gone\\"')));
  }));

test('an event is told once however often it is announced', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    const event = {
      key: 'heal-1',
      severity: 'warning',
      title: 'web1 was started',
      text: 'after a crash',
      project: null,
      labels: {},
    } as const;
    for (let n = 0; n < 3; n += 1) {
      await outbox.announceEvent(event);
      await outbox.pass(10_000);
    }
    assert.equal(outbox.calls.length, 1);
  }));

test('an Alertmanager gets the whole state again and again, and what is over for five minutes more', () =>
  withOutbox(async (outbox) => {
    await outbox.channels.add({
      name: 'am',
      kind: 'alertmanager',
      project: null,
      settings: { server: 'https://am.example/' },
    });
    await outbox.announce(noticeOf());
    const { signal } = new AbortController();
    await outbox.loop.run(signal);
    const [alert] = JSON.parse(outbox.calls[0]?.text ?? '[]');
    assert.equal(outbox.calls[0]?.url, 'https://am.example/api/v2/alerts');
    assert.equal(Date.parse(alert.endsAt) - outbox.clock.now().getTime(), 4 * MINUTE);
    await outbox.announce(resolved(noticeOf()));
    await outbox.loop.run(signal);
    assert.equal(JSON.parse(outbox.calls[1]?.text ?? '[]')[0].endsAt, '2026-01-01T10:09:00.000Z');
    await outbox.pass(6 * MINUTE);
    await outbox.loop.run(signal);
    assert.equal(outbox.calls.length, 2, 'no message besides, and nothing when all is long over');
  }));

test('an Alertmanager is told of no end when an alert that it knows is silenced, and of nothing that was quiet from the start', () =>
  withOutbox(async (outbox) => {
    await outbox.channels.add({
      name: 'am',
      kind: 'alertmanager',
      project: null,
      settings: { server: 'https://am.example/' },
    });
    const { signal } = new AbortController();
    const shown = async () => {
      await outbox.loop.run(signal);
      const names = JSON.parse(outbox.calls.at(-1)?.text ?? '[]').map(
        (one: { labels: { vm: string } }) => one.labels.vm,
      );
      return names.sort().join();
    };
    await outbox.announce(noticeOf());
    assert.equal(await shown(), 'web1');
    await outbox.pass(MINUTE);
    const now = outbox.clock.now().getTime();
    await outbox.silences.add({
      project: null,
      match: { rule: '*' },
      from: new Date(now).toISOString(),
      to: new Date(now + HOUR).toISOString(),
      cron: null,
      durationMinutes: null,
      reason: 'work',
      createdBy: 'alice',
      mayHideSecurity: false,
    });
    await outbox.announce(noticeOf({ fingerprint: 'fp-2', labels: { vm: 'web2' } }));
    assert.equal(await shown(), 'web1');
    // Another process knows only what the database keeps.
    const { db, channels, facts } = outbox;
    const next = createAlertmanagerLoop({ db, log: silentLogger, channels, facts, outside: outbox.outside });
    await next.run(signal);
    assert.equal(JSON.parse(outbox.calls.at(-1)?.text ?? '[]').length, 1);
  }));

test('an Alertmanager whose secrets cannot be opened keeps no other from its state', () =>
  withOutbox(async (outbox) => {
    for (const name of ['broken', 'works'])
      await outbox.channels.add({
        name,
        kind: 'alertmanager',
        project: null,
        settings: { server: `https://${name}.example/` },
        secrets: { token: 'token-of-it' },
      });
    await outbox.db
      .tables<NotificationTables>()
      .updateTable('channel')
      .set({ sealed: 'v1.a.b.c' })
      .where('name', '=', 'broken')
      .execute();
    await outbox.channels.load([]);
    await outbox.announce(noticeOf());
    await outbox.loop.run(new AbortController().signal);
    assert.deepEqual(
      outbox.calls.map(({ url }) => new URL(url).hostname),
      ['works.example'],
    );
    const broken = outbox.channels.get('broken');
    assert.equal((await outbox.channels.states()).get(broken?.id ?? '')?.is_failing, 1);
  }));

test('what waits for its cooldown opens no transaction until that ends', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await outbox.announce(noticeOf());
    await outbox.pass(35_000);
    await outbox.announce(resolved(noticeOf()));
    await outbox.pass(6 * MINUTE);
    await outbox.announce(noticeOf({ episode: 2 }));
    await outbox.pass(6 * MINUTE);
    const nextMs = await outbox.dispatcher.run();
    assert.ok(nextMs !== null && nextMs - outbox.nowMs() > 10 * MINUTE);
    await outbox.announce(resolved(noticeOf({ episode: 2 })));
    await outbox.dispatcher.run();
    assert.equal((await outbox.list())[0]?.state, 'not_sent', 'news is looked at all the same');
  }));

test('after a start with the clock set back nothing waits longer than before', () =>
  withOutbox(async (outbox) => {
    await outbox.hook('team');
    await outbox.announce(noticeOf());
    await outbox.pass(MINUTE);
    outbox.clock.jumpWall(-HOUR);
    await outbox.settle();
    await outbox.announce(resolved(noticeOf()));
    await outbox.pass(6 * MINUTE);
    assert.deepEqual(kindsOf(outbox), ['firing', 'resolved']);
  }));

test('a message that is not taken keeps none that comes after it waiting', () =>
  withOutbox(
    async (outbox) => {
      await outbox.hook('team');
      await outbox.announce(noticeOf());
      await outbox.pass(30 * MINUTE, 15_000);
      assert.equal((await outbox.list())[0]?.state, 'waiting');
      await outbox.announce(noticeOf({ fingerprint: 'fp-2', rule: { id: 'other', name: 'other' } }));
      await outbox.pass(35_000);
      assert.deepEqual((await outbox.list()).map(({ state }) => state).sort(), ['sent', 'waiting']);
    },
    ({ text }) => ({ status: text.includes('fp-2') ? 200 : 503 }),
  ));

test('a channel that is switched off or removed gets nothing any more', () =>
  withOutbox(async (outbox) => {
    const off = await outbox.hook('off');
    const gone = await outbox.hook('gone');
    await outbox.announce(noticeOf());
    await outbox.clock.advance(31_000);
    await outbox.dispatcher.run();
    await outbox.channels.change(off, { isEnabled: false });
    await outbox.channels.remove(gone);
    await outbox.work();
    assert.equal(outbox.calls.length, 0);
    assert.deepEqual(
      (await outbox.list()).map(({ state }) => state),
      ['not_sent', 'not_sent'],
    );
  }));

test('a silence is forgotten ninety days after its end', () =>
  withOutbox(async (outbox) => {
    const day = 24 * HOUR;
    const until = (days: number) =>
      outbox.silences.add({
        project: null,
        match: { rule: `rule-${days}` },
        from: outbox.clock.now().toISOString(),
        to: new Date(outbox.clock.now().getTime() + days * day).toISOString(),
        cron: null,
        durationMinutes: null,
        reason: 'x',
        createdBy: 'ann',
        mayHideSecurity: false,
      });
    await until(1);
    const longer = await until(30);
    outbox.clock.jumpWall(92 * day);
    await outbox.silences.trim();
    assert.deepEqual(
      outbox.silences.all().map(({ id }) => id),
      [longer.id],
    );
    await outbox.silences.load();
    assert.equal(outbox.silences.all().length, 1, 'on the disk too');
  }));
