/** What kind of window this is, for the few places where the structure differs and not only the style. */

import { signal } from '@preact/signals';

const narrow = window.matchMedia('(max-width: 899px)');

/** Phone and small tablet: cards instead of tables. */
export const isNarrow = signal(narrow.matches);

narrow.addEventListener('change', () => {
  isNarrow.value = narrow.matches;
});
