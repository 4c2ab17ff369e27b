/** The first look into a restore point starts a small VM that reads its file systems; on a busy host this takes longer than a request
 *  may. Asking again finds the same VM. */

import { Unreachable } from '../../state/api.ts';

const TRIES = 6;

/** @throws what the last try threw, and at once whatever is not a matter of patience */
export async function patiently<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (let left = TRIES; ; left -= 1) {
    try {
      return await ask();
    } catch (error) {
      if (left <= 1 || !(error instanceof Unreachable) || error.late === null) throw error;
    }
  }
}
