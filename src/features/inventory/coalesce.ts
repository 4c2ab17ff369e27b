/** Runs one piece of work at a time, however many ask for it. */

/** Everyone who asks before a run begins shares that run; whoever asks while one goes on shares the next, because the present one may
 *  have looked too early. */
export function coalesced(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;

  const begin = (): Promise<void> => {
    next = null;
    const run = work().finally(() => {
      if (running === run) running = null;
    });
    running = run;
    return run;
  };

  return () => {
    if (!running) return begin();
    next ??= running.then(begin, begin);
    return next;
  };
}
