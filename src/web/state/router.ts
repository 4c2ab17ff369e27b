/** Where the user is: the address bar as a signal, and plain links turned into page changes without a reload. */

import { computed, signal } from '@preact/signals';

const href = signal(window.location.href);

/** The current address. */
export const currentUrl = computed(() => new URL(href.value));
export const currentPath = computed(() => currentUrl.value.pathname);
export const currentQuery = computed(() => currentUrl.value.searchParams);

/** How far down each entry of the history was scrolled, in pixels; entries are told apart by a number in their state. */
const places = new Map<number, number>();
let entries = 0;

function entryOf(): number {
  const state: unknown = window.history.state;
  return typeof state === 'number' ? state : 0;
}

/** Remembers how far down the page is scrolled. */
export function keepPlace(pixels: number): void {
  places.set(entryOf(), pixels);
}

/** Where this entry of the history was left; 0 for a new one. */
export function placeOf(): number {
  return places.get(entryOf()) ?? 0;
}

/** Goes to a path of the dashboard. `replace` leaves no entry in the history. */
export function navigate(to: string, options: { readonly replace?: boolean } = {}): void {
  const target = new URL(to, window.location.href);
  if (target.href === window.location.href) return;
  if (options.replace) window.history.replaceState(entryOf(), '', target);
  else {
    entries += 1;
    window.history.pushState(entries, '', target);
  }
  href.value = target.href;
}

/** Changes fields of the query; null or '' removes one. Filters live in the address so that a link shows the same. */
export function setQuery(changes: Readonly<Record<string, string | null>>): void {
  const target = new URL(window.location.href);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') target.searchParams.delete(name);
    else target.searchParams.set(name, value);
  }
  navigate(target.href, { replace: true });
}

/** Matches `/vms/:id` against a path; null when it does not fit. */
export function matchPath(pattern: string, path: string): Readonly<Record<string, string>> | null {
  const wanted = pattern.split('/');
  const found = path.replace(/(.)\/$/, '$1').split('/');
  if (wanted.length !== found.length) return null;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = found[index] ?? '';
    if (part.startsWith(':')) {
      if (value === '') return null;
      params[part.slice(1)] = decode(value);
    } else if (part !== value) {
      return null;
    }
  }
  return params;
}

/** Watches the address bar and link clicks. Returns the way to stop. */
export function startRouter(): () => void {
  const onPopState = () => {
    href.value = window.location.href;
  };
  const onClick = (event: MouseEvent) => {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.target || link.hasAttribute('download') || link.origin !== window.location.origin) return;
    if (link.pathname.startsWith('/api/')) return;
    event.preventDefault();
    navigate(link.href);
  };
  window.addEventListener('popstate', onPopState);
  document.addEventListener('click', onClick);
  return () => {
    window.removeEventListener('popstate', onPopState);
    document.removeEventListener('click', onClick);
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A lone % in a typed address: take it as it is, the page will say that there is no such object.
    return part;
  }
}
