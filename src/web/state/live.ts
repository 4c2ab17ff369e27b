/** The one event stream of the dashboard (`GET /api/v1/events`): reconnects with back-off, resumes by event id, and tells how old the data is. */

import { signal } from '@preact/signals';
import { type ApiEventName, type ApiEvents, RESET_EVENT } from '#contract/events.ts';
import { doubts, isDaemonThere, session } from './api.ts';
import { createEventParser } from './event-parser.ts';

type Listener<Name extends ApiEventName> = (payload: ApiEvents[Name]) => void;

/** `lost` carries since when nothing is heard (epoch ms). */
export type LiveState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'open' }
  | { readonly kind: 'lost'; readonly since: number };

export const live = signal<LiveState>({ kind: 'connecting' });

const listeners = new Map<string, Set<(payload: never) => void>>();
const resetListeners = new Set<() => void>();

/** No byte for so long means that the line is dead: the server sends a comment every 15 s. */
const SILENCE_MS = 20_000;
const CONNECT_MS = 6000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;
const WITHOUT_RIGHTS_MS = 15_000;

/** Calls back for each event of a name. Returns the way to stop. */
export function onEvent<Name extends ApiEventName>(name: Name, listener: Listener<Name>): () => void {
  const known = listeners.get(name) ?? new Set();
  known.add(listener);
  listeners.set(name, known);
  return () => known.delete(listener);
}

/** Calls back when events were missed and everything shown must be read again. */
export function onReset(listener: () => void): () => void {
  resetListeners.add(listener);
  return () => resetListeners.delete(listener);
}

/** Opens the stream and keeps it open until the signal aborts. */
export async function followEvents(stop: AbortSignal): Promise<void> {
  let lastId = '';
  let failures = 0;
  let heardAt = Date.now();
  let wasOpen = false;
  let hadNoRights = false;
  while (!stop.aborted) {
    const attempt = new AbortController();
    const onStop = () => attempt.abort();
    stop.addEventListener('abort', onStop);
    // An open stream does not notice that the network went away.
    window.addEventListener('offline', onStop);
    const startedAt = Date.now();
    let isOpen = false;
    const watchdog = window.setInterval(() => {
      if (isOpen ? Date.now() - heardAt > SILENCE_MS : Date.now() - startedAt > CONNECT_MS) attempt.abort();
    }, 1000);
    // A request that hangs tells earlier than the silence of the stream that nobody is there.
    let isAsking = false;
    const unfollow = doubts.subscribe(() => {
      if (!isOpen || isAsking) return;
      isAsking = true;
      void isDaemonThere().then((isThere) => {
        isAsking = false;
        if (isThere || attempt.signal.aborted) return;
        live.value = { kind: 'lost', since: heardAt };
        attempt.abort();
      });
    });
    try {
      const response = await fetch('/api/v1/events', {
        headers: { accept: 'text/event-stream', ...(lastId ? { 'last-event-id': lastId } : {}) },
        credentials: 'same-origin',
        cache: 'no-store',
        signal: attempt.signal,
      });
      if (response.status === 401) {
        session.value = { kind: 'signed_out' };
        return;
      }
      if (response.status === 403) {
        // Whoever may see nothing hears nothing. The rights may come: asked for now and then.
        live.value = { kind: 'connecting' };
        if (!hadNoRights) for (const listener of resetListeners) listener();
        hadNoRights = true;
        failures = 0;
        await pause(WITHOUT_RIGHTS_MS, stop);
        continue;
      }
      if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
      failures = 0;
      heardAt = Date.now();
      isOpen = true;
      live.value = { kind: 'open' };
      // Without an id to resume from nobody knows what was missed while the line was down.
      if ((wasOpen && !lastId) || hadNoRights) for (const listener of resetListeners) listener();
      wasOpen = true;
      hadNoRights = false;
      const feed = createEventParser(
        ({ name, data }) => dispatch(name, data),
        (id) => {
          lastId = id;
        },
      );
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
        heardAt = Date.now();
        feed(decoder.decode(chunk.value, { stream: true }));
      }
    } catch {
      // Refused, torn or silent: all are answered by the next attempt; the banner tells the user.
    } finally {
      window.clearInterval(watchdog);
      unfollow();
      isOpen = false;
      stop.removeEventListener('abort', onStop);
      window.removeEventListener('offline', onStop);
    }
    if (stop.aborted) return;
    failures += 1;
    // The first failure is often just a restart of the daemon or a laptop waking up: the banner waits for the second.
    if (failures > 1 && live.value.kind !== 'lost') live.value = { kind: 'lost', since: heardAt };
    await pause(Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)), stop);
  }
}

function dispatch(name: string, data: string): void {
  if (name === RESET_EVENT) {
    for (const listener of resetListeners) listener();
    return;
  }
  const known = listeners.get(name);
  if (!known || known.size === 0) return;
  // The payload is what the same contract made on the server (see src/contract/events.ts).
  const payload = JSON.parse(data) as never;
  for (const listener of known) listener(payload);
}

/** Waits, or returns early when the machine comes back online. */
function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      window.clearTimeout(timer);
      window.removeEventListener('online', done);
      stop.removeEventListener('abort', done);
      resolve();
    };
    const timer = window.setTimeout(done, ms);
    window.addEventListener('online', done);
    stop.addEventListener('abort', done);
  });
}
