import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noticeOf, resolved, type SentCall, startOutbox } from '../fake-outside.ts';

type Outbox = Awaited<ReturnType<typeof startOutbox>>;

const MINUTE = 60_000;
const AT_ONCE = { groupWait: '0s', groupInterval: '0s' };
const toldBy = (outbox: Outbox, call: SentCall) =>
  outbox
    .alertsOf(call)
    .alerts.map(({ kind, fingerprint }) => `${fingerprint} ${kind}`)
    .join();

/** @param answerTo the n-th request, while it is under way */
async function withAnswers(
  answerTo: (n: number, outbox: Outbox) => Promise<number>,
  act: (outbox: Outbox) => Promise<void>,
): Promise<void> {
  let opened: Outbox | null = null;
  let count = 0;
  const outbox = await startOutbox(async () => {
    count += 1;
    assert.ok(opened);
    return { status: await answerTo(count, opened) };
  });
  opened = outbox;
  try {
    outbox.route(AT_ONCE);
    await outbox.hook('team');
    await act(outbox);
  } finally {
    await outbox.close();
  }
}

const endsNow = async (outbox: Outbox) => {
  await outbox.announce(resolved(noticeOf()));
  await outbox.dispatcher.run();
};

test('an alert that ends while its message is under way in vain is told as one that was, under another key', () =>
  withAnswers(
    async (n, outbox) => {
      if (n > 1) return 200;
      await endsNow(outbox);
      return 503;
    },
    async (outbox) => {
      const other = noticeOf({ fingerprint: 'fp-2', entity: { kind: 'vm', name: 'web2' } });
      await outbox.announce(noticeOf(), other);
      await outbox.pass(10 * MINUTE);
      const told = outbox.calls.map((call) => toldBy(outbox, call));
      assert.deepEqual(told.slice(0, 1), ['fp-web1 firing,fp-2 firing']);
      assert.deepEqual(told.slice(1).sort(), ['fp-2 firing', 'fp-web1 was_firing']);
      assert.equal(new Set(outbox.calls.map(({ key }) => key)).size, 3);
    },
  ));

test('an alert that ends while its message is under way and taken is told as resolved', () =>
  withAnswers(
    async (n, outbox) => {
      if (n === 1) await endsNow(outbox);
      return 200;
    },
    async (outbox) => {
      await outbox.announce(noticeOf());
      await outbox.pass(MINUTE);
      assert.deepEqual(
        outbox.calls.map((call) => toldBy(outbox, call)),
        ['fp-web1 firing', 'fp-web1 resolved'],
      );
    },
  ));

test('an alert that ends while its message is refused for good is told by no end', () =>
  withAnswers(
    async (n, outbox) => {
      if (n === 1) await endsNow(outbox);
      return n === 1 ? 410 : 200;
    },
    async (outbox) => {
      await outbox.announce(noticeOf());
      await outbox.pass(10 * MINUTE);
      assert.equal(outbox.calls.length, 1);
      assert.ok((await outbox.list()).every(({ state }) => state !== 'waiting'));
    },
  ));

test('no message of an alert outlives its end: neither the first nor that it got worse', () => {
  let isDown = true;
  return withAnswers(
    async () => (isDown ? 503 : 200),
    async (outbox) => {
      await outbox.announce(noticeOf());
      await outbox.pass(MINUTE);
      await outbox.announce({ ...noticeOf(), kind: 'severity_raised', severity: 'critical' });
      await outbox.pass(MINUTE);
      await endsNow(outbox);
      isDown = false;
      const before = outbox.calls.length;
      await outbox.pass(30 * MINUTE);
      assert.deepEqual(
        outbox.calls.slice(before).map((call) => toldBy(outbox, call)),
        ['fp-web1 was_firing'],
      );
    },
  );
});

test('what was given up and is over by now is sent again as what was', () => {
  let status = 404;
  return withAnswers(
    async () => status,
    async (outbox) => {
      await outbox.announce(noticeOf());
      await outbox.pass(MINUTE);
      const dead = (await outbox.list()).find((one) => one.state === 'dead' && one.channelId !== null);
      await endsNow(outbox);
      status = 200;
      const row = await outbox.notices.find(dead?.id ?? '');
      assert.ok(row);
      await outbox.notices.retry(row);
      await outbox.work();
      const sent = outbox.calls.at(-1);
      assert.ok(sent);
      assert.equal(toldBy(outbox, sent), 'fp-web1 was_firing');
      assert.equal(outbox.alertsOf(sent).status, 'resolved');
    },
  );
});

test('messages keep their order when the date is set back between them', () =>
  withAnswers(
    async () => 200,
    async (outbox) => {
      await outbox.announce(noticeOf());
      await outbox.dispatcher.run();
      outbox.clock.jumpWall(-60 * MINUTE);
      await outbox.clock.advance(1000);
      await outbox.announce(noticeOf({ fingerprint: 'fp-2', rule: { id: 'rule-2', name: 'later' } }));
      await outbox.work();
      assert.deepEqual(
        outbox.calls.map((call) => toldBy(outbox, call)),
        ['fp-web1 firing', 'fp-2 firing'],
      );
    },
  ));

test('a batch of many requests goes on where it stopped', async () => {
  let taken = 0;
  const outbox = await startOutbox(() => {
    taken += 1;
    return { status: taken === 3 ? 503 : 202 };
  });
  try {
    outbox.route(AT_ONCE);
    await outbox.channels.add({
      name: 'duty',
      kind: 'pagerduty',
      project: null,
      secrets: { routingKey: 'k'.repeat(32) },
    });
    const names = ['a', 'b', 'c', 'd'];
    await outbox.announce(...names.map((name) => noticeOf({ fingerprint: name, entity: { kind: 'vm', name } })));
    await outbox.pass(MINUTE);
    assert.deepEqual(
      outbox.calls.map(({ text }) => JSON.parse(text).dedup_key),
      ['a', 'b', 'c', 'c', 'd'],
    );
    assert.equal(outbox.calls[2]?.key, outbox.calls[3]?.key);
  } finally {
    await outbox.close();
  }
});

test('a weekly test that is not taken is told through the other channels', async () => {
  const outbox = await startOutbox(({ url }) => ({ status: url.includes('broken') ? 410 : 200 }));
  try {
    await outbox.hook('broken');
    await outbox.hook('works');
    await outbox.tests.weekly();
    await outbox.pass(MINUTE);
    const events = outbox.calls.filter((call) => outbox.alertsOf(call).kind === 'event');
    assert.deepEqual(
      events.map(({ url }) => new URL(url).hostname),
      ['works.example'],
    );
    assert.match(events[0]?.text ?? '', /The channel broken does not take messages/);
  } finally {
    await outbox.close();
  }
});
