/** Permissions on a command line: one, or a list with commas. */

import { PERMISSIONS, type Permission } from '#contract/permissions.ts';
import type { OptionSpec } from './command.ts';
import { usageFailure } from './failure.ts';
import { didYouMean } from './parse.ts';
import { textList, textOption } from './values.ts';

/** @throws Failure exit 2 for what is no permission */
function readPermission(text: string, name: string): Permission {
  const found = PERMISSIONS.find((each) => each === text);
  if (found !== undefined) return found;
  throw usageFailure(
    `--${name} "${text}" is no permission${didYouMean(text, PERMISSIONS)}`,
    '`hv role show admin` lists them all.',
  );
}

export function permissionOption(summary: string): OptionSpec<Permission | undefined> {
  return {
    ...textOption('PERMISSION', summary),
    choices: PERMISSIONS,
    read: (texts, name) => (texts[0] === undefined ? undefined : readPermission(texts[0], name)),
  };
}

/** Given several times, or once with commas; each permission once. */
export function permissionList(summary: string): OptionSpec<readonly Permission[]> {
  return {
    ...textList('PERMISSION,…', summary),
    choices: PERMISSIONS,
    read: (texts, name) => [
      ...new Set(
        texts
          .flatMap((text) => text.split(','))
          .map((text) => text.trim())
          .filter(Boolean)
          .map((text) => readPermission(text, name)),
      ),
    ],
  };
}
