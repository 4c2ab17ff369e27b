/** What kind of window this is, for the few places where the structure differs and not only the style. */

import { computed, signal } from '@preact/signals';
import { isTrayOpen } from './operations.ts';

/** Narrower than this is a phone or a small tablet. */
const phone = watch('(max-width: 899px)');
/** A page beside the open tray is that narrow too. */
const besideTray = watch('(min-width: 1100px) and (max-width: 1259px)');

/** Cards instead of rows. */
export const isNarrow = computed(() => phone.value || (isTrayOpen.value && besideTray.value));

function watch(query: string) {
  const media = window.matchMedia(query);
  const matches = signal(media.matches);
  media.addEventListener('change', () => {
    matches.value = media.matches;
  });
  return matches;
}
