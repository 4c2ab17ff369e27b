/** What was put at a moment, as lists of numbers. They are collected in buffers that stay: lists that grow anew with each tick cost as
 *  much as all other work on a sample. */

import type { Entry } from './book.ts';

export interface HeldFigure {
  readonly entry: Entry;
  readonly scaled: number;
}

/** The numbers of a series are at the same place of each list. */
export interface Taken {
  readonly ids: Float64Array;
  /** Figures times ten to the power of their decimals: whole numbers. */
  readonly scaled: Float64Array;
  /** In the units of the catalogue. */
  readonly values: Float64Array;
  /** Those that hold until they change. */
  readonly held: readonly HeldFigure[];
}

export interface TakenList {
  add(entry: Entry, scaled: number): void;
  /** A copy of what was added, and an empty list again. */
  take(): Taken;
}

const FIRST_LENGTH = 1024;

export function createTakenList(): TakenList {
  let ids = new Float64Array(FIRST_LENGTH);
  let scaledValues = new Float64Array(FIRST_LENGTH);
  let values = new Float64Array(FIRST_LENGTH);
  let held: HeldFigure[] = [];
  let count = 0;
  const grow = () => {
    const [smallIds, smallScaled, smallValues] = [ids, scaledValues, values];
    ids = new Float64Array(2 * count);
    scaledValues = new Float64Array(2 * count);
    values = new Float64Array(2 * count);
    ids.set(smallIds);
    scaledValues.set(smallScaled);
    values.set(smallValues);
  };
  return {
    add(entry, scaled) {
      if (count === ids.length) grow();
      ids[count] = entry.id;
      scaledValues[count] = scaled;
      values[count] = scaled / entry.factor;
      count += 1;
      if (entry.isHeld) held.push({ entry, scaled });
    },
    take() {
      const taken = {
        ids: ids.slice(0, count),
        scaled: scaledValues.slice(0, count),
        values: values.slice(0, count),
        held,
      };
      held = [];
      count = 0;
      return taken;
    },
  };
}

/** With further figures behind. */
export function withFigures(taken: Taken, figures: readonly HeldFigure[]): Taken {
  if (figures.length === 0) return taken;
  const count = taken.ids.length;
  const length = count + figures.length;
  const [ids, scaledValues, values] = [new Float64Array(length), new Float64Array(length), new Float64Array(length)];
  ids.set(taken.ids);
  scaledValues.set(taken.scaled);
  values.set(taken.values);
  for (const [n, { entry, scaled }] of figures.entries()) {
    ids[count + n] = entry.id;
    scaledValues[count + n] = scaled;
    values[count + n] = scaled / entry.factor;
  }
  return { ids, scaled: scaledValues, values, held: taken.held };
}
