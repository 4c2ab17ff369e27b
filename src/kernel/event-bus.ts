/** A typed in-process event bus. Listeners run synchronously in order of registration; one that throws stops nobody else. */

export interface EventBus<Events extends object> {
  emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void;
  /** Returns the function that ends the subscription. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void;
  /** Hears every event; for streams to clients. */
  onAny(listener: (name: keyof Events, payload: Events[keyof Events]) => void): () => void;
  /** How many listener calls threw so far. */
  readonly failures: number;
}

/** @param onError told about a listener that threw; must not throw itself. */
export function createEventBus<Events extends object>(
  onError: (error: unknown, name: keyof Events) => void,
): EventBus<Events> {
  type Listener = (payload: never) => void;
  const listeners = new Map<keyof Events, Set<{ run: Listener }>>();
  const anyListeners = new Set<{ run: (name: keyof Events, payload: Events[keyof Events]) => void }>();
  let failures = 0;

  const guarded = (name: keyof Events, act: () => void) => {
    try {
      act();
    } catch (error) {
      failures += 1;
      onError(error, name);
    }
  };

  return {
    emit(name, payload) {
      for (const entry of [...(listeners.get(name) ?? [])]) guarded(name, () => entry.run(payload as never));
      for (const entry of [...anyListeners]) guarded(name, () => entry.run(name, payload));
    },
    on(name, listener) {
      const entry = { run: listener as Listener };
      const set = listeners.get(name) ?? new Set();
      listeners.set(name, set.add(entry));
      return () => set.delete(entry);
    },
    onAny(listener) {
      const entry = { run: listener };
      anyListeners.add(entry);
      return () => anyListeners.delete(entry);
    },
    get failures() {
      return failures;
    },
  };
}
