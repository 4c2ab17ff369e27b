/** What the database of a hyperd says when nothing is at work. */

import assert from 'node:assert/strict';
import type { DatabaseSync } from 'node:sqlite';

/** No operation holds a lock, and each record of what was to be done has one of how it ended. */
export function assertSettled(database: DatabaseSync): void {
  assert.equal(database.prepare('SELECT count(*) AS n FROM op_lock').get()?.['n'], 0, 'locks left');
  const unpaired = database
    .prepare(
      `SELECT operation_id AS id, sum(phase = 'intent') AS intents, sum(phase = 'outcome') AS outcomes FROM audit
       WHERE operation_id IS NOT NULL GROUP BY operation_id HAVING intents <> 1 OR outcomes <> 1`,
    )
    .all();
  assert.deepEqual(unpaired, [], 'each intent has one outcome');
}
