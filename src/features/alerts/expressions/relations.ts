/** Comparing two figures. */

import type { Relation } from '#contract/rules/language.ts';

export function holds(relation: Relation, left: number, right: number): boolean {
  switch (relation) {
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '==':
      return left === right;
    case '!=':
      return left !== right;
  }
}
