/** Keeps one console WebSocket open: a fresh single-use ticket for each attempt, back-off between them, and no attempt where the server said no. */

import type { Signal } from '@preact/signals';
import { ApiProblem } from '#contract/client.ts';
import type { Problem } from '#contract/common.ts';
import { api, problemOf } from '../../state/api.ts';

export type LinkState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'open' }
  /** `until` = epoch ms of the next attempt. */
  | { readonly kind: 'waiting'; readonly until: number; readonly problem: Problem | null }
  /** The server refused; only the user can start the next attempt. */
  | { readonly kind: 'refused'; readonly problem: Problem };

export interface ConsoleLinkOptions {
  readonly vmId: string;
  readonly kind: 'vnc' | 'serial';
  readonly mode: 'control' | 'view';
  readonly state: Signal<LinkState>;
  readonly stop: AbortSignal;
  /** Opens the socket, calls `onOpen` when it works, and resolves when it has closed. */
  readonly connect: (url: string, onOpen: () => void) => Promise<void>;
}

const FIRST_WAIT_MS = 700;
const LAST_WAIT_MS = 10_000;

export async function keepConsoleOpen({ vmId, kind, mode, state, stop, connect }: ConsoleLinkOptions): Promise<void> {
  let failures = 0;
  while (!stop.aborted) {
    let problem: Problem | null = null;
    state.value = { kind: 'connecting' };
    try {
      const ticket = await api('POST /vms/{id}/tickets', { params: { id: vmId }, body: { kind, mode }, signal: stop });
      const url = new URL(ticket.path, window.location.href);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      await connect(url.href, () => {
        failures = 0;
        state.value = { kind: 'open' };
      });
    } catch (error) {
      if (stop.aborted) return;
      problem = problemOf(error);
      if (error instanceof ApiProblem && isFinal(error.problem)) {
        state.value = { kind: 'refused', problem };
        return;
      }
    }
    if (stop.aborted) return;
    const waitMs = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** failures);
    failures += 1;
    state.value = { kind: 'waiting', until: Date.now() + waitMs, problem };
    await new Promise((resolve) => {
      const timer = window.setTimeout(resolve, waitMs);
      stop.addEventListener('abort', () => {
        window.clearTimeout(timer);
        resolve(undefined);
      });
    });
  }
}

/** 409 is a guest that stops or starts just now, 429 a server that wants a pause: both pass. A VM without the console asked for stays without. */
function isFinal({ status, code }: Problem): boolean {
  if (code === 'no_screen' || code === 'no_serial') return true;
  return status >= 400 && status < 500 && status !== 409 && status !== 429;
}
