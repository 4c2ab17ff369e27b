/** What surrounds every page: navigation, search, what runs now, and the word when the daemon is not heard. */

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { now } from '../../state/clock.ts';
import { live } from '../../state/live.ts';
import { isTrayOpen } from '../../state/operations.ts';
import { currentPath, keepPlace, placeOf } from '../../state/router.ts';
import { isHelpOpen, isSearchOpen } from '../../state/shortcuts.ts';
import { text } from '../../text.ts';
import { roughly } from '../figures.tsx';
import { Glyph } from '../state-mark.tsx';
import { Toasts } from '../toasts.tsx';
import { Help } from './help.tsx';
import { BottomBar, SideBar } from './navigation.tsx';
import { Search } from './search.tsx';
import { TopBar } from './top-bar.tsx';
import { Tray } from './tray.tsx';

export function Frame({ children }: { readonly children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  const path = currentPath.value;
  // Another page begins at its top; the way back leads to where one was.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the path is what this waits for
  useLayoutEffect(() => {
    main.current?.scrollTo(0, placeOf());
  }, [path]);
  const isLost = live.value.kind === 'lost';
  return (
    <div class={`frame ${isLost ? 'is-stale' : ''} ${isTrayOpen.value ? 'has-tray' : ''}`}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        {text.frame.skip}
      </button>
      <SideBar />
      <div class="frame-right">
        <TopBar />
        <ConnectionBanner />
        <main
          id="main"
          ref={main}
          tabIndex={-1}
          data-scroller
          onScroll={(event) => keepPlace(event.currentTarget.scrollTop)}
        >
          <div class="content">{children}</div>
        </main>
      </div>
      <BottomBar />
      {isTrayOpen.value && <Tray />}
      {isSearchOpen.value && <Search onClose={() => (isSearchOpen.value = false)} />}
      {isHelpOpen.value && <Help onClose={() => (isHelpOpen.value = false)} />}
      <Toasts />
    </div>
  );
}

function ConnectionBanner() {
  const state = live.value;
  if (state.kind !== 'lost') return null;
  return (
    <p class="banner" role="alert">
      <Glyph tone="warn" shape="triangle" />
      <span>{text.frame.lost(roughly(Math.max(1000, now.value - state.since)))}</span>
    </p>
  );
}
