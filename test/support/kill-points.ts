/** Where the tests of kills kill hyperd: before, in and after each step of an operation. Each step is killed in once in every run, at a
 *  moment that the seed chooses; `./hv test fault --full` kills everywhere. */

const MOMENTS = ['before', 'after', 'recorded'] as const;

/** Names for HV_KILL_POINT, and how many there would be in a full run.
 *  @param steps as `vm.create:disks` */
export function killPoints(steps: readonly string[]): { readonly points: readonly string[]; readonly all: number } {
  const everywhere = steps.map((step) => MOMENTS.map((moment) => `${step}:${moment}`));
  const all = steps.length * MOMENTS.length;
  if (process.env['HV_TEST_FULL'] === '1') return { points: everywhere.flat(), all };
  const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
  // Neighbours in a row differ, so that each moment comes in each run.
  return { points: everywhere.flatMap((ofStep, n) => ofStep.slice((seed + n) % ofStep.length).slice(0, 1)), all };
}
