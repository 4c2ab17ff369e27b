/** Pages of a list whose rows go while it is read. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDaemon } from '#test/support/daemon.ts';

test('the page after one whose last project was deleted begins where that one ended', async () => {
  const daemon = await startDaemon({ waitFor: 'doors' });
  try {
    const { admin } = daemon;
    for (const name of ['aa', 'bb', 'cc']) await admin('POST /projects', { body: { name } });
    const first = await admin('GET /projects', { query: { limit: 2 } });
    assert.deepEqual(
      first.items.map(({ name }) => name),
      ['aa', 'bb'],
    );
    await admin('DELETE /projects/{id}', { params: { id: 'bb' } });
    const second = await admin('GET /projects', { query: { limit: 2, cursor: first.next ?? '' } });
    assert.deepEqual(
      second.items.map(({ name }) => name),
      ['cc', 'default'],
    );
    assert.equal(second.next, null);
  } finally {
    await daemon.close();
  }
});
