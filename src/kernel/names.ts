/** Rules for names, and the nearest known name for a mistyped one. */

/** The rule for every name a user gives: lower-case letters, digits and dashes, 63 at most, no dash at an end. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The prefix of project-owned domains; users may not take it. */
export const RESERVED_NAME_PATTERN = /^p[0-9]+-/;

/** Id and name of the project that everything belongs to unless another is named. */
export const DEFAULT_PROJECT = 'default';

export const NAME_RULE =
  'lower-case letters, digits and dashes, at most 63, beginning and ending with a letter or digit';

/** The id in a scope `project:ID` or `vm:ID`. */
export const idOfScope = (scope: string): string => scope.slice(scope.indexOf(':') + 1);

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The candidate nearest to `name`, or null when none is near enough to be meant. */
export function nearestName(name: string, candidates: readonly string[]): string | null {
  const wanted = name.slice(0, 100).toLowerCase();
  let best: string | null = null;
  // Replacing every character is not a typing mistake.
  let bestDistance = Math.min(Math.max(2, Math.floor(wanted.length / 3)) + 1, Math.max(1, wanted.length));
  for (const candidate of candidates) {
    const found = distance(wanted, candidate.slice(0, 100).toLowerCase());
    if (found < bestDistance) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best;
}
