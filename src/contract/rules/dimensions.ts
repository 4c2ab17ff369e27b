/** What comes out when figures are reckoned with each other. */

import type { Dimension } from '../metric-catalogue.ts';

/** Counts, plain numbers and 0-or-1 compare and add as numbers. */
const PLAIN: readonly Dimension[] = ['number', 'count', 'bool'];

export const isPlain = (dimension: Dimension): boolean => PLAIN.includes(dimension);

/** Whether two figures may stand on the sides of a comparison. */
export function areComparable(left: Dimension, right: Dimension): boolean {
  return left === right || (isPlain(left) && isPlain(right));
}

/** `left × right`, both ways round. */
const PRODUCTS: readonly (readonly [Dimension, Dimension, Dimension])[] = [
  ['bytes_per_second', 'seconds', 'bytes'],
  ['per_second', 'seconds', 'number'],
];

/** `left ÷ right`. */
const QUOTIENTS: readonly (readonly [Dimension, Dimension, Dimension])[] = [
  ['bytes', 'bytes_per_second', 'seconds'],
  ['bytes', 'seconds', 'bytes_per_second'],
  ['bytes_per_second', 'per_second', 'bytes'],
  ['number', 'per_second', 'seconds'],
  ['number', 'seconds', 'per_second'],
];

const REFUSED: readonly Dimension[] = ['enum', 'timestamp'];

/** @param isScale a side that is a bare number: it makes the other side bigger or smaller and keeps what it is
 *  @returns null when it makes no sense */
export function dimensionOf(
  operator: '+' | '-' | '*' | '/',
  left: Dimension,
  right: Dimension,
  isScale: { readonly left: boolean; readonly right: boolean } = { left: false, right: false },
): Dimension | null {
  if (operator === '+' || operator === '-') return sumOf(operator, left, right);
  if (REFUSED.includes(left) || REFUSED.includes(right)) return null;
  const plainLeft = isPlain(left) ? 'number' : left;
  const plainRight = isPlain(right) ? 'number' : right;
  if (operator === '/') {
    if (isScale.right) return plainLeft;
    if (plainLeft === plainRight) return 'ratio';
    return QUOTIENTS.find(([a, b]) => a === plainLeft && b === plainRight)?.[2] ?? scaled(plainLeft, plainRight);
  }
  if (isScale.left) return plainRight;
  const product = PRODUCTS.find(
    ([a, b]) => (a === plainLeft && b === plainRight) || (b === plainLeft && a === plainRight),
  );
  return product?.[2] ?? scaled(plainLeft, plainRight) ?? scaled(plainRight, plainLeft);
}

function sumOf(operator: '+' | '-', left: Dimension, right: Dimension): Dimension | null {
  if (left === 'timestamp' && right === 'timestamp') return operator === '-' ? 'seconds' : null;
  if (left === 'timestamp' && right === 'seconds') return 'timestamp';
  if (left === 'enum' || !areComparable(left, right)) return null;
  return left === right && left !== 'bool' ? left : isPlain(left) ? 'number' : left;
}

/** A plain number or a ratio makes something bigger or smaller. */
function scaled(what: Dimension, by: Dimension): Dimension | null {
  return by === 'number' || by === 'ratio' ? what : null;
}
