/** Untrusted text (names of VMs, words of guests) on its way into other people's formats. */

/** Control characters, line and paragraph separators, and marks that turn the direction of text. */
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/g;

/** Cuts to at most `max` UTF-16 units, between characters, and says so by an ellipsis. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = max - 1;
  const isInside = /[\ud800-\udbff]/.test(text[end - 1] ?? '');
  return `${text.slice(0, isInside ? end - 1 : end)}…`;
}

/** The same for bytes of UTF-8. */
export function cutBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  let end = text.length;
  while (end > 0 && Buffer.byteLength(text.slice(0, end)) > maxBytes - 3) end -= 1;
  return cut(text, end + 1);
}

/** One line without anything unseen: fit for headers and titles. Lone surrogates become U+FFFD. */
export function cleanLine(text: string, max: number): string {
  return cut(text.toWellFormed().replace(UNSEEN, ' ').replace(/\s+/g, ' ').trim(), max);
}

const ZERO_WIDTH = '\u200b';

/** Breaks what a service might run or link: expressions of template languages, addresses, mentions. It looks the same as before. */
export function inert(text: string): string {
  return text
    .replaceAll('{{', `{${ZERO_WIDTH}{`)
    .replaceAll('${', `$${ZERO_WIDTH}{`)
    .replaceAll('{%', `{${ZERO_WIDTH}%`)
    .replaceAll('<%', `<${ZERO_WIDTH}%`)
    .replaceAll('://', `:${ZERO_WIDTH}//`)
    .replace(/@(?=[A-Za-z<!])/g, `@${ZERO_WIDTH}`);
}

/** Markdown's marks as plain characters. */
export const escapeMarkdown = (text: string): string => inert(text).replace(/[\\`*_~|[\]()<>#+\-!]/g, '\\$&');

/** `& < >`: what Slack and Telegram ask for, and enough between HTML's tags. */
export const escapeAngles = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

export const escapeHtml = (text: string): string =>
  escapeAngles(text).replaceAll('"', '&quot;').replaceAll("'", '&#39;');

/** Removes secrets from a text for people: each secret as it is, as it stands in addresses, and the telling parts of a secret address. */
export function redact(text: string, secrets: readonly string[]): string {
  const parts = new Set<string>();
  // A whole secret goes however short it is; of the pieces of an address only those that tell something.
  const whole = new Set<string>();
  for (const secret of secrets) {
    whole.add(secret);
    whole.add(encodeURIComponent(secret));
    const url = URL.parse(secret);
    if (url === null) continue;
    parts.add(url.href);
    parts.add(`${url.pathname}${url.search}`);
    for (const piece of [...url.pathname.split('/'), ...url.searchParams.values()]) {
      parts.add(piece);
      parts.add(decodeURIComponentSafely(piece));
    }
  }
  return [...whole, ...[...parts].filter((part) => part.length >= 6)]
    .filter((part) => part !== '')
    .sort((one, other) => other.length - one.length)
    .reduce((shown, part) => shown.replaceAll(part, '…'), text);
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not an encoded text: it stands for itself.
    return text;
  }
}
