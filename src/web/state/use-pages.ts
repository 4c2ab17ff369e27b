/** A list of what happened, newest first: the first page comes by itself and anew with each change, older ones on demand. */

import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { ApiEventName } from '#contract/events.ts';
import { problemOf } from './api.ts';
import { onEvent } from './live.ts';

const PAGE_SIZE = 100;
/** A question is asked once whoever writes it has paused. */
const ASK_MS = 150;
/** What is new is shown at most so often. */
const LIVE_MS = 1000;

interface Page<Item> {
  readonly items: readonly Item[];
  readonly next: string | null;
}

interface Pages<Item> {
  /** Null before the first answer. */
  readonly items: Signal<readonly Item[] | null>;
  readonly next: Signal<string | null>;
  readonly problem: Signal<Problem | null>;
  readonly isLoading: Signal<boolean>;
  /** Something happened that is not shown yet. */
  readonly hasNews: Signal<boolean>;
  /** @param cursor `next`, or null for the first page again */
  load(cursor: string | null): Promise<void>;
}

/** @param asked what the list is about: another text reads it anew
 *  @param read one page; what it throws is shown
 *  @param event that tells of something new
 *  @param isFollowing whether what is new comes by itself now */
export function usePages<Item>({
  asked,
  read,
  event,
  isFollowing = () => true,
}: {
  readonly asked: string;
  readonly read: (page: { readonly limit: number; readonly cursor?: string }) => Promise<Page<Item>>;
  readonly event: ApiEventName;
  readonly isFollowing?: () => boolean;
}): Pages<Item> {
  const items = useSignal<readonly Item[] | null>(null);
  const next = useSignal<string | null>(null);
  const problem = useSignal<Problem | null>(null);
  const isLoading = useSignal(false);
  const hasNews = useSignal(false);
  const load = async (cursor: string | null) => {
    isLoading.value = true;
    try {
      const page = await read({ limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) });
      items.value = cursor === null ? page.items : [...(items.peek() ?? []), ...page.items];
      next.value = page.next;
      problem.value = null;
      if (cursor === null) hasNews.value = false;
    } catch (error) {
      problem.value = problemOf(error);
    } finally {
      isLoading.value = false;
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: `read` reads the address, which is `asked`
  useEffect(() => {
    const timer = window.setTimeout(() => void load(null), ASK_MS);
    return () => window.clearTimeout(timer);
  }, [asked]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: signals and what reads them are the same each time
  useEffect(() => {
    let timer: number | undefined;
    const stop = onEvent(event, () => {
      hasNews.value = true;
      timer ??= window.setTimeout(() => {
        timer = undefined;
        // Who has gone on to older ones does not want to lose his place.
        const isAtTop = (items.peek()?.length ?? 0) <= PAGE_SIZE;
        if (isAtTop && isFollowing()) void load(null);
      }, LIVE_MS);
    });
    return () => {
      stop();
      window.clearTimeout(timer);
    };
  }, []);
  return { items, next, problem, isLoading, hasNews, load };
}
