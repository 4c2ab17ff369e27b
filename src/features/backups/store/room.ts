/** How much may be on its way at once: who wants more waits. */

export interface Room {
  /** Resolves when there is room; first come, first served. More than all of it is let through alone.
   *  @returns gives the room back; to be called once */
  take(bytes: number): Promise<() => void>;
  /** Resolves when nothing is on its way any more. */
  empty(): Promise<void>;
}

export function createRoom(maxBytes: number, maxPieces: number): Room {
  let used = 0;
  let pieces = 0;
  const waiting: { readonly bytes: number; readonly enter: () => void }[] = [];
  let onEmpty: (() => void)[] = [];
  const admit = () => {
    for (;;) {
      const [first] = waiting;
      if (!first || (pieces > 0 && (used + first.bytes > maxBytes || pieces >= maxPieces))) break;
      waiting.shift();
      used += first.bytes;
      pieces += 1;
      first.enter();
    }
    if (pieces > 0) return;
    const listeners = onEmpty;
    onEmpty = [];
    for (const each of listeners) each();
  };
  return {
    async take(bytes) {
      await new Promise<void>((enter) => {
        waiting.push({ bytes, enter });
        admit();
      });
      return () => {
        used -= bytes;
        pieces -= 1;
        admit();
      };
    },
    empty: () =>
      new Promise((resolve) => {
        onEmpty.push(resolve);
        if (pieces === 0 && waiting.length === 0) admit();
      }),
  };
}
