import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noticeOf, startOutbox } from './fake-outside.ts';
import { insertDelivery } from './outbox/deliveries.ts';

const DAY_MS = 86_400_000;

test('what was given up counts for four days, and a test message that failed never', async () => {
  const outbox = await startOutbox(() => ({ status: 410 }));
  try {
    const { figures } = outbox;
    const { id: channelId } = await outbox.hook('gone');
    await outbox.db.transaction((tx) =>
      insertDelivery(tx, {
        id: 'ntc-test',
        channelId,
        grp: 'test',
        project: null,
        message: {
          key: 'test',
          thread: 'test',
          kind: 'test',
          severity: 'info',
          title: 'Test message of node1',
          text: '',
          alerts: [],
          atMs: outbox.clock.now().getTime(),
          host: 'node1',
          origin: 'https://node1.example',
        },
        state: 'waiting',
        nowMs: 0,
      }),
    );
    await outbox.pass(10_000);
    assert.equal((await outbox.list()).find(({ id }) => id === 'ntc-test')?.state, 'dead');
    assert.equal((await figures.read()).dead, 0);

    await outbox.announce(noticeOf());
    await outbox.pass(60_000);
    assert.equal((await figures.read()).dead, 1);
    await outbox.acknowledge('fp-web1');
    await outbox.pass(4 * DAY_MS, DAY_MS);
    assert.equal((await figures.read()).dead, 0);
  } finally {
    await outbox.close();
  }
});
