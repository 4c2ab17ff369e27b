/** Names that guests and devices give themselves, made fit to be labels: short, and without what cannot be shown. */

const MAX_LENGTH = 64;

/** @param text of unknown content */
export function labelOf(text: string): string {
  const plain = text.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD');
  return [...plain].slice(0, MAX_LENGTH).join('');
}
