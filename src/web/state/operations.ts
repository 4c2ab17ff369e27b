/** Operations: everything that runs or ran lately, and what this browser started so that its end is told. */

import { computed, signal } from '@preact/signals';
import type { Operation } from '#contract/operations.ts';
import { text } from '../text.ts';
import { api, isDeclined, problemOf } from './api.ts';
import { createCollection } from './collection.ts';
import { onEvent } from './live.ts';
import { showToast, type ToastLink } from './toasts.ts';

export const operations = createCollection(
  async () => (await api('GET /operations', { query: { limit: 200 } })).items,
  'operation.changed',
  [],
  forgetOldest,
);

/** What libvirt itself does with VMs now, whoever asked for it. */
export const libvirtJobs = createCollection(
  async () => (await api('GET /jobs')).items,
  'job.changed',
  ['vm.removed'],
  (items) => {
    for (const [id, { kind }] of items) if (kind === 'none') items.delete(id);
  },
);

/** Newest first. */
export const operationList = computed(() =>
  [...(operations.data.value?.values() ?? [])].sort((a, b) => b.createdAt.localeCompare(a.createdAt)),
);

export const openOperations = computed(() => operationList.value.filter(isOpen));

/** Operations that stopped half-way and wait for a person. */
export const operationsNeedingAttention = computed(() =>
  operationList.value.filter((operation) => operation.state === 'attention'),
);

export const isTrayOpen = signal(false);

/** It still works on something. */
export function isOpen(operation: Pick<Operation, 'state'>): boolean {
  return operation.state === 'pending' || operation.state === 'running' || operation.state === 'compensating';
}

type Ending = (operation: Operation) => void;
const mine = new Map<string, Ending>();

/** Operations that ended a moment ago: a quick one is over before the answer to its request is here. */
const justEnded = new Map<string, Operation>();
const JUST_ENDED_MS = 10_000;

onEvent('operation.changed', (operation) => {
  if (isOpen(operation)) return;
  justEnded.set(operation.id, operation);
  window.setTimeout(() => justEnded.delete(operation.id), JUST_ENDED_MS);
  const ending = mine.get(operation.id);
  mine.delete(operation.id);
  ending?.(operation);
});

/** Follows an operation that this browser asked for: it appears in the tray at once and its end is told by a toast.
 *  A refused call shows a toast and gives null; pass `onRefused` to show it elsewhere, in a form for example. */
export async function follow(
  call: Promise<Operation>,
  options: { readonly onDone?: Ending; readonly onRefused?: (error: unknown) => void; readonly isQuiet?: boolean } = {},
): Promise<Operation | null> {
  let operation: Operation;
  try {
    operation = await call;
  } catch (error) {
    if (options.onRefused) options.onRefused(error);
    else showProblem(error);
    return null;
  }
  const ending: Ending = (ended) => {
    if (ended.state === 'done') {
      if (options.onDone) options.onDone(ended);
      else if (!options.isQuiet)
        showToast({ kind: 'good', title: text.toasts.done(ended.title), links: linksTo(ended) });
    } else {
      showEnd(ended);
    }
  };
  const newest = justEnded.get(operation.id) ?? operation;
  operations.put(newest);
  if (isOpen(newest)) mine.set(newest.id, ending);
  else ending(newest);
  return newest;
}

/** Tells about any failure of a call. */
export function showProblem(error: unknown): void {
  const problem = problemOf(error);
  if (isDeclined(problem)) return;
  showToast({ kind: 'bad', title: problem.title, detail: problem.detail, problem });
}

function showEnd(operation: Operation): void {
  const links = [{ href: `/operations/${operation.id}`, label: text.toasts.details }];
  // What had done nothing yet, or nothing that can be taken back, was only stopped.
  const isUndone = operation.steps.some((step) => step.state === 'undone');
  if (operation.state === 'cancelled')
    showToast({ kind: 'info', title: text.toasts.cancelled(operation.title, isUndone), links });
  else
    showToast({
      kind: 'bad',
      title: text.toasts.failed(operation.title),
      ...(operation.error ? { detail: operation.error.detail } : {}),
      links,
    });
}

/** Where its result is seen. */
function linksTo(operation: Operation): ToastLink[] {
  if (operation.objectType !== 'vm' || operation.objectId === null || operation.kind === 'vm.delete') return [];
  return [{ href: `/vms/${operation.objectId}`, label: text.toasts.show(operation.objectName ?? '') }];
}

const MOST_KEPT = 400;

/** A page that stays open for months must not grow: ended operations beyond the newest few hundred are on the server only. */
function forgetOldest(items: Map<string, Operation>): void {
  if (items.size <= MOST_KEPT) return;
  const ended = [...items.values()]
    .filter((operation) => !isOpen(operation))
    .sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  for (const operation of ended.slice(0, items.size - MOST_KEPT)) items.delete(operation.id);
}
