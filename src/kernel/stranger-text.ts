/** Text of a guest, made fit to be shown: one line, no control characters, nothing that turns the direction of writing. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: taking them out is the purpose
const UNSHOWN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+/g;

export function plainLine(text: string, maxLength: number): string {
  return text.replace(UNSHOWN, ' ').trim().slice(0, maxLength);
}
