/** How numbers of the catalogue are written on axes and in read-outs. */

import { measuredText } from '#contract/figures.ts';
import type { Dimension } from '#contract/metric-catalogue.ts';
import { text } from '../../text.ts';

/** Unknown is a dash, a point in time stands in the zone of who looks. */
export function valueText(value: number | null | undefined, dimension: Dimension): string {
  if (value === null || value === undefined) return text.unknownValue;
  return dimension === 'timestamp' ? new Date(value * 1000).toLocaleString() : measuredText(value, dimension);
}

const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const DECIMAL_STEPS = Array.from({ length: 15 }, (_, power) =>
  [1, 2, 2.5, 5].map((digit) => digit * 10 ** (power - 7)),
).flat();

/** Distances between the lines of an axis that make round numbers: powers of two for bytes. */
export function axisSteps(dimension: Dimension): number[] {
  return dimension === 'bytes' || dimension === 'bytes_per_second' ? BINARY_STEPS : DECIMAL_STEPS;
}
