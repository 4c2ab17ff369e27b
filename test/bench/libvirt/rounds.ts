/** Fair comparison on a machine that others use too: both sides take turns, and the best turn of each counts. */

export type Side = () => Promise<number>;

/** Runs the sides in turn. @returns the smallest figure of each, or the largest when more is better */
export async function inTurns<const Names extends string>(
  sides: Readonly<Record<Names, Side>>,
  options: { readonly rounds: number; readonly better: 'less' | 'more' },
): Promise<Record<Names, number>> {
  const names = Object.keys(sides) as Names[];
  const figures = new Map<Names, number[]>(names.map((name) => [name, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const name of names) figures.get(name)?.push(await sides[name]());
  }
  const best = options.better === 'less' ? Math.min : Math.max;
  return Object.fromEntries(names.map((name) => [name, best(...(figures.get(name) ?? []))])) as Record<Names, number>;
}

export async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
