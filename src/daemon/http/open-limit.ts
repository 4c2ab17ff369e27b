/** How many event streams and consoles one user may have open at once, whatever they come over. Root at the machine has no limit: nobody
 *  locks the owner out. */

import { AppError } from '#kernel/errors.ts';
import type { Identity } from '#platform/feature.ts';

/** Many pages with a console each. */
export const MAX_OPEN_OF_USER = 128;

export interface OpenLimit {
  /** Counts one more until the signal says that it is gone. @throws too_many_open */
  take(who: Pick<Identity, 'userId' | 'via'>, gone: AbortSignal): void;
}

export function createOpenLimit(): OpenLimit {
  const counts = new Map<string, number>();
  return {
    take({ userId, via }, gone) {
      if (gone.aborted) return;
      const count = counts.get(userId) ?? 0;
      if (count >= MAX_OPEN_OF_USER && via !== 'admin_socket')
        throw new AppError('too_many_open', { params: { limit: MAX_OPEN_OF_USER } });
      counts.set(userId, count + 1);
      const release = () => {
        const left = (counts.get(userId) ?? 1) - 1;
        if (left > 0) counts.set(userId, left);
        else counts.delete(userId);
      };
      gone.addEventListener('abort', release, { once: true });
    },
  };
}
