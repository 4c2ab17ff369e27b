/** What `hv system access-setup` did on this machine: the launcher looks whether it is complete, `--undo` also
 *  gives back what folders are named here. Holds no secrets; lies where only root can write. */

import { ACCESS_RECORD } from '#contract/fence.ts';
import { removeFile, replaceFile, textOf } from './host.ts';

export interface AccessRecord {
  readonly version: 1;
  /** False until the last step was done, and again while it is undone. */
  readonly isComplete: boolean;
  readonly projectAccounts: number;
  /** Folders whose contents were given to hyper. */
  readonly folders: readonly string[];
}

export const EMPTY_RECORD: AccessRecord = {
  version: 1,
  isComplete: false,
  projectAccounts: 0,
  folders: [],
};

/** null when nothing was ever set up here. A record that cannot be read counts as begun: every step looks at the machine itself. */
export async function readRecord(): Promise<AccessRecord | null> {
  const text = await textOf(ACCESS_RECORD);
  if (text === null) return null;
  try {
    return { ...EMPTY_RECORD, ...JSON.parse(text) };
  } catch {
    return EMPTY_RECORD; // cut short by a crash or a full disk
  }
}

export const writeRecord = (record: AccessRecord): Promise<void> =>
  replaceFile(ACCESS_RECORD, `${JSON.stringify(record, null, 2)}\n`, 0o644);

export const removeRecord = (): Promise<void> => removeFile(ACCESS_RECORD);
