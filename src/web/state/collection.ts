/** Lists of the API kept current by events: read once, then patched, so that nothing polls. */

import { effect, type ReadonlySignal, signal } from '@preact/signals';
import type { Problem } from '#contract/common.ts';
import type { ApiEventName, ApiEvents } from '#contract/events.ts';
import { problemOf, Unreachable } from './api.ts';
import { live, onEvent, onReset } from './live.ts';

/** Something read from the API. `data` is null until the first answer; `problem` is the last failure, null after a success. */
export interface Resource<Data> {
  readonly data: ReadonlySignal<Data | null>;
  readonly problem: ReadonlySignal<Problem | null>;
  readonly isLoading: ReadonlySignal<boolean>;
  /** Reads when it was never read or is out of date. */
  ensure(): void;
  reload(): Promise<void>;
  /** Changes what is shown at once, as after an event. */
  patch(change: (data: Data) => Data): void;
}

/** Reads that nobody answered; they are repeated when the daemon is heard again. */
const unanswered = new Set<() => Promise<void>>();

effect(() => {
  if (live.value.kind !== 'open') return;
  const reads = [...unanswered];
  unanswered.clear();
  for (const reload of reads) void reload();
});

/** @param read one request
 *  @param staleOn events after which it is read again, at most every `settleMs` */
export function createResource<Data>(
  read: () => Promise<Data>,
  staleOn: readonly ApiEventName[] = [],
  settleMs = 300,
): Resource<Data> {
  const data = signal<Data | null>(null);
  const problem = signal<Problem | null>(null);
  const isLoading = signal(false);
  let wanted = false;
  let running: Promise<void> | null = null;
  let again = false;
  let timer: number | null = null;

  const reload = async (): Promise<void> => {
    wanted = true;
    if (running) {
      again = true;
      return running;
    }
    isLoading.value = true;
    running = read()
      .then((answer) => {
        data.value = answer;
        problem.value = null;
      })
      .catch((error: unknown) => {
        problem.value = problemOf(error);
        if (error instanceof Unreachable) unanswered.add(reload);
      })
      .finally(() => {
        running = null;
        isLoading.value = false;
        if (again) {
          again = false;
          void reload();
        }
      });
    return running;
  };
  const soon = () => {
    if (!wanted || timer !== null) return;
    timer = window.setTimeout(() => {
      timer = null;
      void reload();
    }, settleMs);
  };
  for (const name of staleOn) onEvent(name, soon);
  onReset(soon);
  return {
    data,
    problem,
    isLoading,
    ensure: () => {
      if (!wanted || problem.peek()) void reload();
    },
    reload,
    patch: (change) => {
      const current = data.peek();
      if (current !== null) data.value = change(current);
    },
  };
}

/** Names of events whose payload is a whole object with an id. */
type WholeObjectEvent =
  | { [Name in ApiEventName]: ApiEvents[Name] extends { id: string; createdAt: unknown } ? Name : never }[ApiEventName]
  | 'upload.changed'
  | 'job.changed'
  | 'alert.changed';

/** Longer than a frame, shorter than anybody notices. */
const GATHER_MS = 80;

/** A keyed list: changed objects are put in place, removed ones taken out. Events are gathered.
 *  @param keep takes out what has become too old to be kept in memory */
export function createCollection<Name extends WholeObjectEvent>(
  read: () => Promise<readonly ApiEvents[Name][]>,
  changed: Name,
  removed: readonly ('vm.removed' | 'image.removed' | 'image.unshared' | 'upload.removed')[],
  keep: (items: Map<string, ApiEvents[Name]>) => void = () => undefined,
): Resource<ReadonlyMap<string, ApiEvents[Name]>> & { put(item: ApiEvents[Name]): void } {
  type Item = ApiEvents[Name];
  const resource = createResource(
    async () => new Map((await read()).map((item): [string, Item] => [item.id, item])) as ReadonlyMap<string, Item>,
  );
  const waiting = new Map<string, Item | null>();
  let isPlanned = false;
  const flush = () => {
    // What came in while the list is being read is newer than the list.
    if (resource.isLoading.peek()) {
      window.setTimeout(flush, GATHER_MS);
      return;
    }
    isPlanned = false;
    const changes = [...waiting];
    waiting.clear();
    resource.patch((before) => {
      const after = new Map(before);
      for (const [id, item] of changes) {
        if (item === null) after.delete(id);
        else after.set(id, item);
      }
      keep(after);
      return after;
    });
  };
  const gather = (id: string, item: Item | null) => {
    waiting.set(id, item);
    if (isPlanned) return;
    isPlanned = true;
    window.setTimeout(flush, GATHER_MS);
  };
  onEvent(changed, (item) => gather(item.id, item));
  for (const name of removed) onEvent(name, ({ id }) => gather(id, null));
  return { ...resource, put: (item) => gather(item.id, item) };
}

/** All pages of a list. @param readPage asks for one page from a cursor on */
export async function readAllPages<Item>(
  readPage: (cursor: string | undefined) => Promise<{ items: Item[]; next: string | null }>,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await readPage(cursor);
    items.push(...page.items);
    cursor = page.next ?? undefined;
  } while (cursor !== undefined);
  return items;
}
