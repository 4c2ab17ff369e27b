/** Where the tests of kills kill hyperd: before, in and after each step of an operation. A run takes every second step, at a moment that
 *  the seed chooses; six seeds in a row kill everywhere, and so does `./hv test fault --full`. */

const MOMENTS = ['before', 'after', 'recorded'] as const;

/** Names for HV_KILL_POINT, and how many there would be in a full run.
 *  @param steps as `vm.create:disks` */
export function killPoints(steps: readonly string[]): { readonly points: readonly string[]; readonly all: number } {
  const all = steps.length * MOMENTS.length;
  const at = (n: number, moment: number) => `${steps[n]}:${MOMENTS[moment % MOMENTS.length]}`;
  if (process.env['HV_TEST_FULL'] === '1')
    return { points: steps.flatMap((_, n) => MOMENTS.map((_moment, moment) => at(n, moment))), all };
  const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
  const turn = Math.floor(seed / 2);
  const chosen = steps.map((_, n) => n).filter((n) => n % 2 === seed % 2);
  // Neighbours in a row differ, so that each moment comes in a run of three or more.
  return { points: chosen.map((n, place) => at(n, turn + place)), all };
}
