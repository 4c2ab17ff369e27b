/** All consoles that are open now, with who opened them: whoever loses his session or his right loses his consoles. */

import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import type { Identity } from '#platform/feature.ts';
import type { ConsoleMode } from './tickets.ts';
import type { Console } from './vnc-bridge.ts';

export interface OpenConsoles {
  /** Opens a console and remembers it until it ends. `open` gets the function to call at its end. */
  add(
    who: { readonly identity: Identity; readonly vmId: string; readonly mode: ConsoleMode },
    open: (onEnd: () => void) => Console,
  ): void;
  /** Ends those whose holders may no longer have them. */
  recheck(): void;
  endSession(sessionId: string): void;
  endAll(code: number, reason: string): void;
  readonly count: number;
}

export function createOpenConsoles(
  isAllowed: (identity: Identity, vmId: string, mode: ConsoleMode) => boolean,
): OpenConsoles {
  const open = new Map<
    symbol,
    { readonly console: Console; readonly identity: Identity; readonly vmId: string; readonly mode: ConsoleMode }
  >();
  return {
    add(who, begin) {
      const key = Symbol();
      let hasEnded = false;
      const console = begin(() => {
        hasEnded = true;
        open.delete(key);
      });
      if (!hasEnded) open.set(key, { console, ...who });
    },
    recheck() {
      for (const { console, identity, vmId, mode } of [...open.values()])
        if (!isAllowed(identity, vmId, mode))
          console.end(CONSOLE_CLOSE.sessionEnded, 'The right to it was taken away.');
    },
    endSession(sessionId) {
      for (const entry of [...open.values()]) {
        if (entry.identity.sessionId === sessionId) entry.console.end(CONSOLE_CLOSE.sessionEnded, 'The session ended.');
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
