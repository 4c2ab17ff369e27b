/** What happened in the time that graphs show: operations and alerts, as far as one may see them; read again when something begins or ends. */

import { type ReadonlySignal, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { GraphMark } from '../components/graph/graph-data.ts';
import { markOfAlert, markOfOperation } from '../components/graph/marks.ts';
import { chosenRange, timesOf } from '../components/graph/range.ts';
import { api, can, problemOf } from './api.ts';
import { onEvent, onReset } from './live.ts';
import { isOpen } from './operations.ts';

export interface Marks {
  readonly marks: readonly GraphMark[];
  /** Older ones that are too many to be marked. */
  readonly leftOut: number;
}

export interface MarksReading {
  readonly found: ReadonlySignal<Marks>;
  readonly problem: ReadonlySignal<Problem | null>;
}

const SETTLE_MS = 500;
const MOST_ALERTS = 1000;
const NONE: Marks = { marks: [], leftOut: 0 };

/** @param vmId null = of everything that one may see */
export function useMarks(vmId: string | null): MarksReading {
  const found = useSignal<Marks>(NONE);
  const problem = useSignal<Problem | null>(null);
  const chosen = chosenRange.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the chosen time is a signal of another module, and another one is read anew
  useEffect(() => {
    const abort = new AbortController();
    let timer: number | null = null;
    const load = async () => {
      timer = null;
      try {
        const marks = await readMarks(vmId, timesOf(chosen, Date.now()), chosen.kind === 'live', abort.signal);
        if (abort.signal.aborted) return;
        found.value = marks;
        problem.value = null;
      } catch (error) {
        if (!abort.signal.aborted) problem.value = problemOf(error);
      }
    };
    const soon = () => {
      timer ??= window.setTimeout(() => void load(), SETTLE_MS);
    };
    const stops = [
      onReset(soon),
      onEvent('operation.changed', (operation) => {
        if (vmId !== null && operation.vmId !== vmId) return;
        // How far it is, which is told several times a second, moves no mark.
        const isKnown = found.peek().marks.some(({ id }) => id === operation.id);
        if (!isKnown || !isOpen(operation)) soon();
      }),
      onEvent('alert.changed', (alert) => {
        if (vmId === null || alert.vmId === vmId) soon();
      }),
    ];
    void load();
    return () => {
      abort.abort();
      if (timer !== null) window.clearTimeout(timer);
      for (const stop of stops) stop();
    };
  }, [vmId, chosen, found, problem]);
  return useMemo(() => ({ found, problem }), [found, problem]);
}

async function readMarks(
  vmId: string | null,
  range: { readonly fromMs: number; readonly toMs: number },
  isLive: boolean,
  signal: AbortSignal,
): Promise<Marks> {
  const query = {
    ...(vmId === null ? {} : { vm: vmId }),
    from: new Date(range.fromMs).toISOString(),
    // The clock of the server may be ahead.
    ...(isLive ? {} : { to: new Date(range.toMs).toISOString() }),
  };
  const [operations, alerts] = await Promise.all([
    can('operation.read') ? api('GET /operations/timeline', { query, signal }) : { items: [], total: 0 },
    can('alert.read')
      ? api('GET /alerts/history', { query: { ...query, limit: MOST_ALERTS }, signal })
      : { items: [], total: 0 },
  ]);
  return {
    marks: [
      ...operations.items.map(markOfOperation),
      ...alerts.items.filter(({ kind }) => kind === 'firing').map(markOfAlert),
    ],
    leftOut: operations.total - operations.items.length + (alerts.total - alerts.items.length),
  };
}
