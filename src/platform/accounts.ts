/** Users and groups of this machine by name, wherever it keeps them (files, LDAP …): asked of `getent`. */

import { run } from './process.ts';

const LOOK_UP_MS = 5_000;
/** What `useradd` takes; anything else is nobody's name. */
const NAME = /^[a-z_][a-z0-9_-]{0,31}$/;

async function entry(database: 'passwd' | 'group', name: string): Promise<readonly string[] | null> {
  if (!NAME.test(name)) return null;
  const { code, stdout } = await run(['getent', database, name], { timeoutMs: LOOK_UP_MS });
  return code === 0 ? stdout.trim().split(':') : null;
}

/** null when there is no such user. @throws program_missing, timeout */
export async function findAccount(name: string): Promise<{ readonly uid: number; readonly gid: number } | null> {
  const fields = await entry('passwd', name);
  return fields === null ? null : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** Its id, or null when there is no such group. @throws program_missing, timeout */
export async function findGroup(name: string): Promise<number | null> {
  const fields = await entry('group', name);
  return fields === null ? null : Number(fields[2]);
}
