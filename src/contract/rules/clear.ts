/** How far a figure must come back before its alert ends. */

import type { Dimension } from '../metric-catalogue.ts';
import type { Relation } from './language.ts';

const RATIO_POINTS = 0.05;
const SHARE = 0.05;
const DIGITS = 12;

/** The threshold that takes the trigger's place while the alert fires, where the rule names none: 5 points of a ratio, 5 % of other
 *  numbers. Near the ends of a ratio half of what is left, or `mem_psi_full > 1%` would never clear. */
export function usualClear(relation: Relation, threshold: number, dimension: Dimension): number {
  const isRising = relation === '>' || relation === '>=';
  const room = Math.abs(isRising ? threshold : 1 - threshold);
  const distance = dimension === 'ratio' ? Math.min(RATIO_POINTS, room / 2) : SHARE * Math.abs(threshold);
  // 0.1 + 0.05 is 0.15000000000000002.
  return Number((isRising ? threshold - distance : threshold + distance).toPrecision(DIGITS));
}
