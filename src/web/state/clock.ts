/** The present, for texts like "3 min ago"; moves every 10 s and only while the page can be seen. */

import { signal } from '@preact/signals';

/** Epoch milliseconds. */
export const now = signal(Date.now());

export const isPageVisible = signal(document.visibilityState !== 'hidden');

document.addEventListener('visibilitychange', () => {
  isPageVisible.value = document.visibilityState !== 'hidden';
  if (isPageVisible.value) now.value = Date.now();
});

window.setInterval(() => {
  if (isPageVisible.peek()) now.value = Date.now();
}, 10_000);
