/** All consoles that are open now, by the session that opened them: a revoked session loses its consoles at once. */

import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import type { Identity } from '#platform/feature.ts';
import type { Console } from './vnc-bridge.ts';

export interface OpenConsoles {
  /** Opens a console and remembers it until it ends. `open` gets the function to call at its end. */
  add(identity: Identity, open: (onEnd: () => void) => Console): void;
  endSession(sessionId: string): void;
  endAll(code: number, reason: string): void;
  readonly count: number;
}

export function createOpenConsoles(): OpenConsoles {
  const open = new Map<symbol, { readonly console: Console; readonly sessionId: string | null }>();
  return {
    add(identity, begin) {
      const key = Symbol();
      let hasEnded = false;
      const console = begin(() => {
        hasEnded = true;
        open.delete(key);
      });
      if (!hasEnded) open.set(key, { console, sessionId: identity.sessionId });
    },
    endSession(sessionId) {
      for (const entry of [...open.values()]) {
        if (entry.sessionId === sessionId) entry.console.end(CONSOLE_CLOSE.sessionEnded, 'The session ended.');
      }
    },
    endAll(code, reason) {
      for (const entry of [...open.values()]) entry.console.end(code, reason);
    },
    get count() {
      return open.size;
    },
  };
}
