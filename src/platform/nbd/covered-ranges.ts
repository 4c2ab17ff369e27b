/** Which bytes of a request have been answered: a server may send the pieces in any order, but each byte exactly once.
 *  Without this a server could leave out a part, and what happened to be in memory would pass for the disk's data. */

/** Pieces that touch no other; a server that sends its pieces in order needs one. */
const MAX_RANGES = 1024;

interface Range {
  start: number;
  end: number;
}

export class CoveredRanges {
  readonly #ranges: Range[] = [];

  /** False when part of [start, end) was there before, or when the pieces are too scattered to keep account of. */
  add(start: number, end: number): boolean {
    let at = this.#ranges.length;
    while (at > 0 && (this.#ranges[at - 1]?.start ?? 0) >= start) at -= 1;
    const before = this.#ranges[at - 1];
    const after = this.#ranges[at];
    if ((before && before.end > start) || (after && after.start < end)) return false;
    const touchesBefore = before?.end === start;
    const touchesAfter = after?.start === end;
    if (before && after && touchesBefore && touchesAfter) {
      before.end = after.end;
      this.#ranges.splice(at, 1);
    } else if (before && touchesBefore) before.end = end;
    else if (after && touchesAfter) after.start = start;
    else this.#ranges.splice(at, 0, { start, end });
    return this.#ranges.length <= MAX_RANGES;
  }

  /** True when exactly [0, length) is covered. */
  isWhole(length: number): boolean {
    const [only, ...more] = this.#ranges;
    return length === 0 || (more.length === 0 && only?.start === 0 && only.end === length);
  }
}
