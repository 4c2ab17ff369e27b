/** Globs with `*` and `?` only. The work is bounded by the product of both lengths; a regular expression of a user's may take for ever. */

export function matchesGlob(text: string, glob: string): boolean {
  let at = 0;
  let globAt = 0;
  let starAt = -1;
  let retryAt = 0;
  while (at < text.length) {
    if (globAt < glob.length && glob[globAt] === '*') {
      starAt = globAt;
      retryAt = at;
      globAt += 1;
    } else if (globAt < glob.length && (glob[globAt] === '?' || glob[globAt] === text[at])) {
      at += 1;
      globAt += 1;
    } else if (starAt >= 0) {
      retryAt += 1;
      at = retryAt;
      globAt = starAt + 1;
    } else return false;
  }
  while (glob[globAt] === '*') globAt += 1;
  return globAt === glob.length;
}
