/** Which operations keep alerts of which VMs quiet at this tick. The journal says what runs; here is for how long it may hide something. */

import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { Clock } from '#kernel/clock.ts';
import type { RunningRule } from '../evaluation.ts';
import type { Mask } from '../machine/machine.ts';
import { ABSOLUTE_CAP_MS, capOf, GRACE_MS, masks } from '../masks.ts';
import type { MaskRow } from '../store.ts';

interface Entry {
  readonly row: MaskRow;
  readonly mask: Mask;
  readonly startedMs: number;
  progressMs: number;
  progress: string;
  endedMs: number | null;
  /** In the row's table already. */
  isWritten: boolean;
}

export interface MaskBook {
  /** Takes up what an earlier life of the daemon left. @param isOpen whether the operation still runs */
  load(rows: readonly MaskRow[], isOpen: (row: MaskRow) => boolean): void;
  operationChanged(operation: Operation): void;
  /** What began and what ended since the tick before, as rows. What is told is told again until `written`. */
  sweep(atMs: number): { readonly rows: readonly MaskRow[]; written(): void };
  /** As of the last sweep. */
  maskOf(rule: RunningRule, vmId: string): Mask | null;
}

/** Whatever moves while an operation works. */
const progressOf = ({ steps, progress }: Operation): string =>
  `${steps.map(({ state }) => state).join()} ${progress?.ratio ?? ''} ${progress?.doneBytes ?? ''}`;

export function createMaskBook(clock: Clock): MaskBook {
  const entries = new Map<string, Entry>();
  /** At the last sweep. */
  let active: readonly Entry[] = [];

  const isActive = ({ row, startedMs, progressMs, endedMs }: Entry): boolean => {
    const nowMs = clock.monotonicMs();
    const capMs = capOf(row.operation_kind) ?? 0;
    const limitMs = Math.min(startedMs + ABSOLUTE_CAP_MS, progressMs + capMs);
    return nowMs < (endedMs === null ? limitMs : Math.min(endedMs, limitMs) + GRACE_MS);
  };

  return {
    load(rows, isOpen) {
      const nowMs = clock.monotonicMs();
      for (const row of rows) {
        const ageMs = Math.min(ABSOLUTE_CAP_MS, Math.max(0, clock.now().getTime() - row.from_ms));
        entries.set(row.operation_id, {
          row,
          mask: { operationId: row.operation_id, title: row.title, fromAtMs: row.from_ms },
          startedMs: nowMs - ageMs,
          progressMs: nowMs - ageMs,
          progress: '',
          endedMs: isOpen(row) ? null : nowMs,
          isWritten: true,
        });
      }
    },

    operationChanged(operation) {
      const { id, kind, title, objectType, objectId, state } = operation;
      if (objectType !== 'vm' || objectId === null || capOf(kind) === null) return;
      const nowMs = clock.monotonicMs();
      const isOver = FINAL_STATES.includes(state) || state === 'attention';
      const known = entries.get(id);
      if (known !== undefined) {
        const progress = progressOf(operation);
        if (progress !== known.progress) known.progressMs = nowMs;
        known.progress = progress;
        known.endedMs ??= isOver ? nowMs : null;
        return;
      }
      const fromMs = clock.now().getTime();
      entries.set(id, {
        row: { operation_id: id, vm_id: objectId, operation_kind: kind, title, from_ms: fromMs, until_ms: null },
        mask: { operationId: id, title, fromAtMs: fromMs },
        startedMs: nowMs,
        progressMs: nowMs,
        progress: progressOf(operation),
        endedMs: isOver ? nowMs : null,
        isWritten: false,
      });
    },

    sweep(atMs) {
      const rows: MaskRow[] = [];
      const begun: [string, Entry][] = [];
      const over: string[] = [];
      for (const [id, entry] of entries) {
        if (!isActive(entry)) {
          over.push(id);
          if (entry.isWritten) rows.push({ ...entry.row, until_ms: atMs });
        } else if (!entry.isWritten) {
          const row = { ...entry.row, from_ms: atMs };
          rows.push(row);
          begun.push([id, { ...entry, row, isWritten: true }]);
        }
      }
      active = [...entries.values()].filter((entry) => !over.includes(entry.row.operation_id));
      return {
        rows,
        written() {
          for (const id of over) entries.delete(id);
          for (const [id, entry] of begun) {
            const { progressMs, progress, endedMs } = entries.get(id) ?? entry;
            entries.set(id, { ...entry, progressMs, progress, endedMs });
          }
        },
      };
    },

    maskOf(rule, vmId) {
      const hiding = active.find(({ row }) => row.vm_id === vmId && masks(row.operation_kind, rule.compiled.requires));
      return hiding?.mask ?? null;
    },
  };
}
