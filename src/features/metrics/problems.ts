/** What is wrong with the history, in the words of the overview. */

import type { Overview } from '#contract/system.ts';
import { formatDuration } from '#kernel/units.ts';
import type { HistoryTrouble } from './store/history.ts';

type ProblemItem = Overview['problems'][number];

export function historyProblems(troubles: readonly HistoryTrouble[], monotonicMs: number): ProblemItem[] {
  return troubles.map((trouble) => problemOf(trouble, monotonicMs));
}

function problemOf(trouble: HistoryTrouble, monotonicMs: number): ProblemItem {
  switch (trouble.kind) {
    case 'aside':
      return {
        id: 'metrics.aside',
        severity: 'warn',
        title: 'The history of figures begins anew',
        detail:
          'Its file was damaged and was put aside as metrics.db.bad in the state folder. Figures are measured as before.',
        hint: 'Look at the disk of the state folder (`dmesg`, SMART). Delete metrics.db.bad when you do not need it; this line goes with the next start.',
        link: null,
      };
    case 'not_written':
      return {
        id: 'metrics.not-written',
        severity: 'warn',
        title: 'The history of figures is not written',
        detail: `For ${formatDuration(monotonicMs - trouble.sinceMs)}: ${trouble.why}. Figures of the last hour stay in memory, and alert rules go on.`,
        hint: 'Free space on the file system of the state folder, and check that it is writable.',
        link: '/hosts',
      };
    case 'damaged':
      return {
        id: 'metrics.damaged',
        severity: 'warn',
        title: 'Parts of the history of figures are damaged',
        detail: `${trouble.blocks} ${trouble.blocks === 1 ? 'block does' : 'blocks do'} not fit the checksum and are shown as gaps; the rest is whole.`,
        hint: 'Look at the disk of the state folder (`dmesg`, SMART): it changed what was written to it.',
        link: null,
      };
  }
}
