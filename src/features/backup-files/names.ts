/** Names in file systems are bytes. The API writes them as text that can be shown and read back: what is no UTF-8, control characters and
 *  the backslash itself are written as `\xNN`. */

import { AppError } from '#kernel/errors.ts';

const MOST_PATH_BYTES = 4095;

/** Bytes of a name or path as text. */
export function textOfName(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = '';
  for (let at = 0; at < buffer.length; ) {
    const length = utf8Length(buffer, at);
    const part = buffer.subarray(at, at + Math.max(1, length));
    const shown = length === 0 ? null : part.toString('utf8');
    text += shown === null || /[\p{Cc}\\\u2028\u2029\ufeff]/u.test(shown) ? escaped(part) : shown;
    at += part.length;
  }
  return text;
}

const escaped = (bytes: Buffer) => [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');

/** Bytes of the character that begins there; 0 = none does. */
function utf8Length(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  const part = bytes.subarray(at, at + length);
  if (part.length < length) return 0;
  // Surrogates and overlong forms do not come back as they went in.
  return Buffer.from(part.toString('utf8')).equals(part) ? length : 0;
}

/** The path that a text means, from the root of its volume: `/`, or names each after a slash.
 *  @throws invalid_input for `.`, `..`, NUL, and what is too long */
export function pathOfText(text: string): Buffer {
  const bytes = Buffer.concat(
    text
      .split(/(\\x[0-9a-f]{2})/i)
      .map((part, n) => (n % 2 === 0 ? Buffer.from(part) : Buffer.of(Number.parseInt(part.slice(2), 16)))),
  );
  const names = bytes.toString('latin1').split('/').filter(Boolean);
  const problem = bytes.includes(0)
    ? 'it holds NUL'
    : names.some((name) => name === '.' || name === '..')
      ? 'it has `.` or `..` in it'
      : bytes.length > MOST_PATH_BYTES
        ? 'it is longer than 4095 bytes'
        : null;
  if (problem !== null)
    throw new AppError('invalid_input', {
      detail: 'The path is not one.',
      fields: [{ path: 'path', problem, mend: 'give the names as they are listed, joined by /' }],
    });
  return Buffer.from(`/${names.join('/')}`, 'latin1');
}

/** A name for `Content-Disposition`: plain ASCII, and the whole one as RFC 5987 has it. */
export function dispositionOf(name: string): string {
  const plain =
    name
      .replace(/[^A-Za-z0-9._-]/g, '_')
      .replace(/^\.+/, '_')
      .slice(0, 120) || 'file';
  const whole = encodeURIComponent(name.replace(/[\\/]/g, '_').toWellFormed()).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${whole}`;
}
