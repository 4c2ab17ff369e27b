/** Keys of the dashboard: `/` search, `?` help, `g` and a letter for pages. Nothing reacts while the user types or a console has the keyboard. */

import { signal } from '@preact/signals';

export const isSearchOpen = signal(false);
export const isHelpOpen = signal(false);

const SECOND_KEY_MS = 1500;

/** @param pages letter after `g` to the path that it opens. Returns the way to stop. */
export function startShortcuts(pages: ReadonlyMap<string, string>, go: (path: string) => void): () => void {
  let firstKeyAt = Number.NEGATIVE_INFINITY;
  const onKey = (event: KeyboardEvent) => {
    const isSearchCombo = event.key === 'k' && (event.ctrlKey || event.metaKey);
    if (event.defaultPrevented || (!isSearchCombo && (event.ctrlKey || event.metaKey || event.altKey))) return;
    if (takesText(event.target) || document.querySelector('dialog[open]')) return;
    if (event.key === '/' || isSearchCombo) {
      event.preventDefault();
      isSearchOpen.value = true;
    } else if (event.key === '?') {
      event.preventDefault();
      isHelpOpen.value = true;
    } else if (event.key === 'g') {
      // When it was pressed, not when a busy page came to it.
      firstKeyAt = event.timeStamp;
    } else if (event.timeStamp - firstKeyAt < SECOND_KEY_MS) {
      firstKeyAt = Number.NEGATIVE_INFINITY;
      const path = pages.get(event.key);
      if (path) go(path);
    }
  };
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}

function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return (
    target.isContentEditable ||
    target.matches('input:not([type=checkbox], [type=radio]), textarea, select, [data-takes-keys], [data-takes-keys] *')
  );
}
