import assert from 'node:assert/strict';
import { test } from 'node:test';
import { consoleErrors } from '#contract/consoles.ts';
import { AppError, registerErrors } from '#kernel/errors.ts';
import { KEY_NAMES, keyCodes } from './keys.ts';

registerErrors(consoleErrors);

test('names become Linux key codes in the order given', () => {
  assert.deepEqual(keyCodes(['ctrl', 'alt', 'delete']), [29, 56, 111]);
  assert.deepEqual(keyCodes(['alt', 'sysrq', 'b']), [56, 99, 48]);
  assert.deepEqual(
    keyCodes(['a', 'l', 'z', 'm', 'q', 'p', '1', '0', 'f1', 'f10', 'f11', 'f12']),
    [30, 38, 44, 50, 16, 25, 2, 11, 59, 68, 87, 88],
  );
});

test('every name fits the request schema and no two share a code', () => {
  for (const name of KEY_NAMES) assert.match(name, /^[a-z0-9_]{1,20}$/);
  assert.equal(new Set(keyCodes(KEY_NAMES)).size, KEY_NAMES.length);
});

test('an unknown key is refused with its field, the nearest name and the list', () => {
  assert.throws(
    () => keyCodes(['ctrl', 'delet']),
    (error) =>
      error instanceof AppError &&
      error.status === 422 &&
      error.fields[0]?.path === 'keys.1' &&
      /"delete".*ctrl, /s.test(error.fields[0].mend),
  );
  assert.throws(() => keyCodes(['constructor']), AppError);
});
