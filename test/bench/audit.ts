/** The figures of the audit log: what it adds to a change, how many records it takes a second, and how fast a million are checked and
 *  searched, beside programs that only hash or only read the same bytes. */

import { makeChain } from '#test/support/audit-chain.ts';
import type { Measurement } from '../../scripts/test/bench.ts';
import { measureReading } from './audit/reading.ts';
import { measureVerify, measureVerifyMemory } from './audit/verify.ts';
import { measureWriting } from './audit/writing.ts';

/** Takes about six minutes and 8 GB below the system's temporary folder. */
export async function run(): Promise<Measurement[]> {
  const writing = await measureWriting();
  await using chain = await makeChain(1_000_000);
  const rows = [...writing, ...(await measureVerify(chain)), ...(await measureReading(chain))];
  await using long = await makeChain(3_000_000);
  return [...rows, ...(await measureVerifyMemory(chain, long))];
}
