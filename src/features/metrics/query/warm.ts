/** Asks the history once, before anybody does. Code that never ran is compiled while it runs: the first day of a VM that a process is
 *  asked for took three times as long as the next one (measured: 188 and 55 ms of processor time). */

import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { OwnerBook } from '../store/book.ts';
import type { History } from '../store/history.ts';
import type { ReadRequest } from './read.ts';

const HOUR_MS = 3_600_000;
/** As a page asks for; less leaves a part of the code as it was. */
const HOURS = 24;
const POINTS = 1_500;

/** Reads the last day of all figures of whoever has most, one after the other, in steps as any question. Never rejects. */
export async function warmUp(
  history: Pick<History, 'rawHours'> & { readonly book: Pick<History['book'], 'owners'> },
  read: (request: ReadRequest) => Promise<unknown>,
  log: Logger,
): Promise<void> {
  try {
    const hours = history.rawHours();
    const [first, ...others] = history.book.owners();
    if (hours === null || first === undefined) return;
    const owner = others.reduce<OwnerBook>((a, b) => (b.entries.length > a.entries.length ? b : a), first);
    const toMs = hours.last * HOUR_MS;
    for (const metric of new Set(owner.entries.map((entry) => entry.metric)))
      await read({ metric, owners: [owner], fromMs: toMs - HOURS * HOUR_MS, toMs, points: POINTS });
  } catch (error) {
    log.debug({ err: error }, `the history was asked in vain: ${messageOf(error)}`);
  }
}
