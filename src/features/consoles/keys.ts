/** Key names of the API as Linux key codes (linux/input-event-codes.h), which libvirt passes on to the guest's keyboard. */

import { AppError } from '#kernel/errors.ts';
import { nearestName } from '#kernel/names.ts';

/** How long the keys stay down, in milliseconds. */
export const KEY_HOLD_MS = 100;

const numbered = (names: readonly string[], first: number): [string, number][] =>
  names.map((name, index) => [name, first + index]);

const CODES: ReadonlyMap<string, number> = new Map([
  ['esc', 1],
  ...numbered([...'1234567890'], 2),
  ['minus', 12],
  ['equal', 13],
  ['backspace', 14],
  ['tab', 15],
  ...numbered([...'qwertyuiop'], 16),
  ['leftbrace', 26],
  ['rightbrace', 27],
  ['enter', 28],
  ['ctrl', 29],
  ...numbered([...'asdfghjkl'], 30),
  ['semicolon', 39],
  ['apostrophe', 40],
  ['grave', 41],
  ['shift', 42],
  ['backslash', 43],
  ...numbered([...'zxcvbnm'], 44),
  ['comma', 51],
  ['dot', 52],
  ['slash', 53],
  ['rightshift', 54],
  ['alt', 56],
  ['space', 57],
  ['capslock', 58],
  ...numbered(['f1', 'f2', 'f3', 'f4', 'f5', 'f6', 'f7', 'f8', 'f9', 'f10'], 59),
  ['numlock', 69],
  ['scrolllock', 70],
  ['f11', 87],
  ['f12', 88],
  ['rightctrl', 97],
  ['sysrq', 99],
  ['rightalt', 100],
  ['home', 102],
  ['up', 103],
  ['pageup', 104],
  ['left', 105],
  ['right', 106],
  ['end', 107],
  ['down', 108],
  ['pagedown', 109],
  ['insert', 110],
  ['delete', 111],
  ['pause', 119],
  ['meta', 125],
  ['rightmeta', 126],
  ['menu', 127],
]);

/** All names, in the order of the keyboard. */
export const KEY_NAMES: readonly string[] = [...CODES.keys()];

/** The codes of a combination, in the order given.
 *  @throws AppError `unknown_key` with the list of names */
export function keyCodes(names: readonly string[]): number[] {
  return names.map((name, index) => {
    const code = CODES.get(name);
    if (code !== undefined) return code;
    const near = nearestName(name, KEY_NAMES);
    throw new AppError('unknown_key', {
      detail: `There is no key "${name}".`,
      fields: [
        {
          path: `keys.${index}`,
          problem: `"${name}" is not a key name`,
          mend: `${near ? `Did you mean "${near}"? ` : ''}Use one of: ${KEY_NAMES.join(', ')}.`,
        },
      ],
      params: { keys: KEY_NAMES },
    });
  });
}
