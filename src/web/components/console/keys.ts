/** Keys for a guest's keyboard: characters as presses on a chosen layout, and combinations that a browser keeps for itself.
 *  Keysyms are those of X11 (keysymdef.h); codes are those of KeyboardEvent.code, which noVNC turns into scan codes. */

export interface KeyPress {
  readonly keysym: number;
  readonly code: string;
}

const SHIFT: KeyPress = { keysym: 0xffe1, code: 'ShiftLeft' };
const ALT_GR: KeyPress = { keysym: 0xfe03, code: 'AltRight' };
const ENTER: KeyPress = { keysym: 0xff0d, code: 'Enter' };
const TAB: KeyPress = { keysym: 0xff09, code: 'Tab' };

/** Code, then the characters without, with Shift, and with AltGr. */
type LayoutRow = readonly [code: string, plain: string, shifted: string, altGr?: string];

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];

function letters(
  moved: Readonly<Record<string, string>> = {},
  altGr: Readonly<Record<string, string>> = {},
): LayoutRow[] {
  return LETTERS.map((letter) => [
    `Key${(moved[letter] ?? letter).toUpperCase()}`,
    letter,
    letter.toUpperCase(),
    altGr[letter] ?? '',
  ]);
}

const SPACE: LayoutRow = ['Space', ' ', ' '];

const US: readonly LayoutRow[] = [
  ...letters(),
  ['Backquote', '`', '~'],
  ['Digit1', '1', '!'],
  ['Digit2', '2', '@'],
  ['Digit3', '3', '#'],
  ['Digit4', '4', '$'],
  ['Digit5', '5', '%'],
  ['Digit6', '6', '^'],
  ['Digit7', '7', '&'],
  ['Digit8', '8', '*'],
  ['Digit9', '9', '('],
  ['Digit0', '0', ')'],
  ['Minus', '-', '_'],
  ['Equal', '=', '+'],
  ['BracketLeft', '[', '{'],
  ['BracketRight', ']', '}'],
  ['Backslash', '\\', '|'],
  ['Semicolon', ';', ':'],
  ['Quote', "'", '"'],
  ['Comma', ',', '<'],
  ['Period', '.', '>'],
  ['Slash', '/', '?'],
  SPACE,
];

const UK: readonly LayoutRow[] = [
  ...letters(),
  ['Backquote', '`', '¬'],
  ['Digit1', '1', '!'],
  ['Digit2', '2', '"'],
  ['Digit3', '3', '£'],
  ['Digit4', '4', '$', '€'],
  ['Digit5', '5', '%'],
  ['Digit6', '6', '^'],
  ['Digit7', '7', '&'],
  ['Digit8', '8', '*'],
  ['Digit9', '9', '('],
  ['Digit0', '0', ')'],
  ['Minus', '-', '_'],
  ['Equal', '=', '+'],
  ['BracketLeft', '[', '{'],
  ['BracketRight', ']', '}'],
  ['Backslash', '#', '~'],
  ['IntlBackslash', '\\', '|'],
  ['Semicolon', ';', ':'],
  ['Quote', "'", '@'],
  ['Comma', ',', '<'],
  ['Period', '.', '>'],
  ['Slash', '/', '?'],
  SPACE,
];

const GERMAN: readonly LayoutRow[] = [
  ...letters({ y: 'z', z: 'y' }, { q: '@', e: '€', m: 'µ' }),
  ['Digit1', '1', '!'],
  ['Digit2', '2', '"', '²'],
  ['Digit3', '3', '§', '³'],
  ['Digit4', '4', '$'],
  ['Digit5', '5', '%'],
  ['Digit6', '6', '&'],
  ['Digit7', '7', '/', '{'],
  ['Digit8', '8', '(', '['],
  ['Digit9', '9', ')', ']'],
  ['Digit0', '0', '=', '}'],
  ['Minus', 'ß', '?', '\\'],
  ['BracketLeft', 'ü', 'Ü'],
  ['BracketRight', '+', '*', '~'],
  ['Semicolon', 'ö', 'Ö'],
  ['Quote', 'ä', 'Ä'],
  ['Backslash', '#', "'"],
  ['IntlBackslash', '<', '>', '|'],
  ['Comma', ',', ';'],
  ['Period', '.', ':'],
  ['Slash', '-', '_'],
  SPACE,
];

const FRENCH: readonly LayoutRow[] = [
  ...letters({ a: 'q', q: 'a', z: 'w', w: 'z', m: 'm' }, { e: '€' }).map(
    (row): LayoutRow => (row[1] === 'm' ? ['Semicolon', 'm', 'M'] : row),
  ),
  ['Digit1', '&', '1'],
  ['Digit2', 'é', '2', '~'],
  ['Digit3', '"', '3', '#'],
  ['Digit4', "'", '4', '{'],
  ['Digit5', '(', '5', '['],
  ['Digit6', '-', '6', '|'],
  ['Digit7', 'è', '7', '`'],
  ['Digit8', '_', '8', '\\'],
  ['Digit9', 'ç', '9', '^'],
  ['Digit0', 'à', '0', '@'],
  ['Minus', ')', '°', ']'],
  ['Equal', '=', '+', '}'],
  ['BracketRight', '$', '£'],
  ['Quote', 'ù', '%'],
  ['Backslash', '*', 'µ'],
  ['IntlBackslash', '<', '>'],
  ['KeyM', ',', '?'],
  ['Comma', ';', '.'],
  ['Period', ':', '/'],
  ['Slash', '!', '§'],
  SPACE,
];

export const LAYOUTS = { us: US, uk: UK, de: GERMAN, fr: FRENCH } as const;
export type LayoutName = keyof typeof LAYOUTS;

/** What is pressed together for one character; null when the layout has no key for it. */
export function pressesFor(character: string, layout: LayoutName): readonly KeyPress[] | null {
  if (character === '\n') return [ENTER];
  if (character === '\t') return [TAB];
  for (const [code, plain, shifted, altGr = ''] of LAYOUTS[layout]) {
    if (character === plain) return [{ keysym: keysymOf(character), code }];
    if (character === shifted) return [SHIFT, { keysym: keysymOf(character), code }];
    if (character === altGr) return [ALT_GR, { keysym: keysymOf(character), code }];
  }
  return null;
}

/** The text as it will be typed (line ends made one), and the characters that the layout lacks. */
export function readyToType(
  text: string,
  layout: LayoutName,
): { readonly characters: readonly string[]; readonly missing: readonly string[] } {
  const all = [...text.replace(/\r\n?/g, '\n')];
  const missing = new Set(all.filter((character) => pressesFor(character, layout) === null));
  return { characters: all.filter((character) => !missing.has(character)), missing: [...missing] };
}

/** Latin-1 characters are their own keysym, all others lie in the Unicode range. */
function keysymOf(character: string): number {
  const point = character.codePointAt(0) ?? 0;
  return point < 0x100 ? point : 0x0100_0000 + point;
}

const CTRL: KeyPress = { keysym: 0xffe3, code: 'ControlLeft' };
const ALT: KeyPress = { keysym: 0xffe9, code: 'AltLeft' };
const SUPER: KeyPress = { keysym: 0xffeb, code: 'MetaLeft' };

function functionKey(number: number): KeyPress {
  return { keysym: 0xffbd + number, code: `F${number}` };
}

/** Combinations for the menu, as their parts are pressed. */
export const COMBINATIONS: readonly { readonly label: string; readonly keys: readonly KeyPress[] }[] = [
  { label: 'Ctrl+Alt+Del', keys: [CTRL, ALT, { keysym: 0xffff, code: 'Delete' }] },
  { label: 'Ctrl+Alt+Backspace', keys: [CTRL, ALT, { keysym: 0xff08, code: 'Backspace' }] },
  ...[1, 2, 3, 4, 5, 6, 7].map((number) => ({ label: `Ctrl+Alt+F${number}`, keys: [CTRL, ALT, functionKey(number)] })),
  { label: 'Alt+Tab', keys: [ALT, TAB] },
  { label: 'Alt+F4', keys: [ALT, functionKey(4)] },
  { label: 'Super', keys: [SUPER] },
  { label: 'Ctrl+C', keys: [CTRL, { keysym: 0x63, code: 'KeyC' }] },
  { label: 'Ctrl+W', keys: [CTRL, { keysym: 0x77, code: 'KeyW' }] },
  { label: 'Print', keys: [{ keysym: 0xff61, code: 'PrintScreen' }] },
];

/** Keys that a touch keyboard lacks. */
export const TOUCH_KEYS: readonly { readonly label: string; readonly key: KeyPress }[] = [
  { label: 'Esc', key: { keysym: 0xff1b, code: 'Escape' } },
  { label: 'Tab', key: TAB },
  { label: '←', key: { keysym: 0xff51, code: 'ArrowLeft' } },
  { label: '↑', key: { keysym: 0xff52, code: 'ArrowUp' } },
  { label: '↓', key: { keysym: 0xff54, code: 'ArrowDown' } },
  { label: '→', key: { keysym: 0xff53, code: 'ArrowRight' } },
  { label: 'Enter', key: ENTER },
];

export const TOUCH_MODIFIERS: readonly { readonly label: string; readonly key: KeyPress }[] = [
  { label: 'Ctrl', key: CTRL },
  { label: 'Alt', key: ALT },
];

export const BACKSPACE: KeyPress = { keysym: 0xff08, code: 'Backspace' };
