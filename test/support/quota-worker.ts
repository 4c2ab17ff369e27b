/** One of several processes that reserve in the same ledger: `quota-worker.ts DATABASE PREFIX COUNT START`. Begins at the
 *  given time (ms since 1970), as the others do, and prints how many were accepted. */

import { setTimeout as sleep } from 'node:timers/promises';
import { quotaErrors } from '#contract/quotas.ts';
import { createQuotaLedger } from '#features/quotas/ledger.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { openDatabase } from '#platform/db/database.ts';

registerErrors(quotaErrors);
const [path = '', prefix = '', count = '0', start = '0'] = process.argv.slice(2);
const db = openDatabase(path);
const ledger = createQuotaLedger(db, (id) => id);
let accepted = 0;
await sleep(Math.max(0, Number(start) - Date.now()));
for (let n = 0; n < Number(count); n += 1) {
  const objectId = `${prefix}-${n}`;
  // So that the processes take turns.
  await sleep(Math.random() * 5);
  try {
    await db.transaction((tx) =>
      ledger.reserve(tx, { operationId: `op-${objectId}`, owner: null }, [
        { project: 'p', resource: 'memory', objectId, amount: 4 },
        { project: 'p', resource: 'vcpus', objectId, amount: 2 },
      ]),
    );
    accepted += 1;
  } catch (error) {
    if (!(error instanceof AppError && error.code === 'quota_exceeded')) throw error;
  }
}
await db.close();
process.stdout.write(String(accepted));
