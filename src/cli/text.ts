/** Text on a terminal: how wide it is, how it is cut, and how foreign text is shown without harm. */

/** Characters that move the cursor, turn the writing direction or cannot be seen: shown as escapes. */
const HARMFUL = /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]/gu;

const ZERO_WIDTH = /^(?:\p{Mn}|\p{Me})$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]$|^\p{Emoji_Presentation}$/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: a colour sequence begins with ESC
const COLOUR = /\u001b\[[0-9;]*m/g;

/** One line that is safe on a terminal: control, invisible and direction characters become `\n`, `\t` or `\u{202e}`. */
export function safeText(text: string): string {
  return text.replace(HARMFUL, (character) => {
    if (character === '\n') return '\\n';
    if (character === '\t') return '\\t';
    const code = character.codePointAt(0) ?? 0;
    return `\\u{${code.toString(16)}}`;
  });
}

/** As safeText, but line feeds and tabs stay: for descriptions and definitions. */
export function safeLines(text: string): string {
  return text.replace(HARMFUL, (character) =>
    character === '\n' || character === '\t' ? character : safeText(character),
  );
}

function characterWidth(character: string): number {
  if (character >= ' ' && character <= '~') return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

/** Columns that `text` takes on a terminal; colour sequences take none. */
export function textWidth(text: string): number {
  const plain = text.replace(COLOUR, '');
  let width = 0;
  for (const character of plain) width += characterWidth(character);
  return width;
}

/** `text` (without colour) cut to `width` columns, with an ellipsis where something is missing. */
export function cutText(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let out = '';
  let used = 0;
  for (const character of text) {
    const next = characterWidth(character);
    if (used + next > width - 1) break;
    out += character;
    used += next;
  }
  return width > 0 ? `${out}…` : '';
}

/** `text` filled with blanks to `width` columns. */
export function padText(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const blanks = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'left' ? text + blanks : blanks + text;
}

/** Words of `text` on lines of at most `width` columns; a longer word keeps its own line. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences that a terminal would obey
const TERMINAL_SEQUENCES = /\u001b\[[0-?]*[ -/]*[@-~]|\u001b[\]P^_X][\s\S]*?(?:\u0007|\u001b\\|$)|\u001b[ -/]*[0-~]?/g;

/** What a guest wrote, as plain lines: terminal sequences are taken out so that they cannot act on the reader's terminal. */
export function plainLog(text: string): string {
  return safeLines(text.replace(TERMINAL_SEQUENCES, '').replace(/\r+\n/g, '\n').replace(/\r/g, '\n'));
}
