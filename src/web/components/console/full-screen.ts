/** A console that fills the screen, with Esc for the guest where the browser allows that, and the way out of it. */

import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';

/** Chromium only: https://developer.mozilla.org/en-US/docs/Web/API/Keyboard/lock */
interface KeyboardLock {
  lock(keys: readonly string[]): Promise<void>;
  unlock(): void;
}

/** `guest` = Esc goes to the guest while the screen is full, `browser` = it ends the full screen. */
type EscOwner = 'guest' | 'browser';

/** Whose Esc is while a console fills the screen; null while none does. */
const fullScreen = signal<EscOwner | null>(null);

/** Keeps the signal true to the document while a console is shown. */
export function useFullScreen(): EscOwner | null {
  useEffect(() => {
    const onChange = () => {
      if (document.fullscreenElement) return;
      keyboard()?.unlock();
      fullScreen.value = null;
    };
    document.addEventListener('fullscreenchange', onChange);
    return () => document.removeEventListener('fullscreenchange', onChange);
  }, []);
  return fullScreen.value;
}

export async function enterFullScreen(element: HTMLElement): Promise<void> {
  try {
    await element.requestFullscreen();
    fullScreen.value = 'browser';
    await keyboard()?.lock(['Escape']);
    if (keyboard() && document.fullscreenElement) fullScreen.value = 'guest';
  } catch {
    // The browser allows no full screen, or keeps Esc for itself as the hint says then.
  }
}

/** Takes the keyboard back from a console and ends the full screen: what Ctrl-Alt-Shift does. */
export function leaveConsole(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  document.getElementById('main')?.focus();
}

function keyboard(): KeyboardLock | null {
  return 'keyboard' in navigator ? (navigator.keyboard as KeyboardLock) : null;
}
