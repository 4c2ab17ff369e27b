/** What it costs to know who asks and what he may do. */

import type { Measurement } from '../../scripts/test/bench.ts';
import { measureDecisions, measureSessions } from './daemon/access.ts';

/** Takes about ten seconds. */
export async function run(): Promise<Measurement[]> {
  return [...measureDecisions(), ...(await measureSessions())];
}
