/** A small picture of a VM's screen. Asked for only while it is on screen and the tab is visible; a few at a time. */

import { effect, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { can, fetchRaw } from '../state/api.ts';
import { isPageVisible } from '../state/clock.ts';
import { isOn } from '../state/vms.ts';
import { text } from '../text.ts';
import { Icon } from './icon.tsx';

const AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];

/** The newest picture of each VM, so that a row that scrolls back in has one at once. */
const pictures = new Map<string, { readonly url: string; readonly at: number }>();
const KEPT_PICTURES = 80;

/** @param everyMs at least this long between two pictures of one VM */
export function Thumbnail({
  vm,
  width = 128,
  everyMs = 10_000,
  class: extra = '',
}: {
  readonly vm: Vm;
  readonly width?: number;
  readonly everyMs?: number;
  readonly class?: string;
}) {
  const isLive = isOn(vm) && vm.hasVnc && vm.state !== 'suspended' && !vm.staleSince && can('vm.screen');
  const source = useSignal(pictures.get(vm.id)?.url ?? null);
  const { id } = vm;

  useEffect(() => {
    if (!isLive) return;
    const stop = new AbortController();
    const refresh = () => {
      if ((pictures.get(id)?.at ?? 0) > Date.now() - everyMs + 500) return;
      void fetchPicture(id, width, stop.signal).then((url) => {
        if (url && !stop.signal.aborted) source.value = url;
      });
    };
    const unfollow = effect(() => {
      if (!isPageVisible.value) return;
      refresh();
      const timer = window.setInterval(refresh, everyMs);
      return () => window.clearInterval(timer);
    });
    return () => {
      stop.abort();
      unfollow();
    };
  }, [id, isLive, everyMs, width, source]);

  return (
    <span class={`thumbnail ${isLive ? 'is-live' : ''} ${extra}`} aria-hidden="true">
      {isLive && source.value ? (
        <img src={source.value} alt="" decoding="async" />
      ) : (
        <span class="thumbnail-none">
          {vm.hasVnc ? (
            <Icon name={isOn(vm) || vm.state === 'unknown' ? 'screen' : 'power'} />
          ) : (
            <span>{text.badges.headlessShort}</span>
          )}
        </span>
      )}
    </span>
  );
}

/** Reads one picture and gives its blob address; null when there is none now. */
async function fetchPicture(id: string, width: number, stop: AbortSignal): Promise<string | null> {
  await turn();
  try {
    if (stop.aborted) return null;
    const path = `/api/v1/vms/${encodeURIComponent(id)}/screenshot?width=${width}`;
    const url = URL.createObjectURL(await fetchRaw(path, (response) => response.blob(), stop));
    const before = pictures.get(id);
    pictures.delete(id);
    pictures.set(id, { url, at: Date.now() });
    // The old picture may still be painted in this frame.
    if (before) window.setTimeout(() => URL.revokeObjectURL(before.url), 2000);
    dropOldest();
    return url;
  } catch {
    // A missing picture is nothing to report: the next turn tries again, and the connection banner tells about a dead daemon.
    return null;
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

async function turn(): Promise<void> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
}

function dropOldest(): void {
  for (const [id, picture] of pictures) {
    if (pictures.size <= KEPT_PICTURES) return;
    pictures.delete(id);
    URL.revokeObjectURL(picture.url);
  }
}
