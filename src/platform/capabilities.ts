/** What the kernel lets this process do. Source: capabilities(7), `CapEff` of proc(5). */

import { readFile } from 'node:fs/promises';

const CAP_NET_ADMIN = 12n;

/** Whether network devices may be switched on and off. Nothing changes that while the process lives. */
export async function mayChangeLinks(): Promise<boolean> {
  return isNetAdmin(await readFile('/proc/self/status', 'utf8'));
}

/** @param status text of `/proc/PID/status` */
export function isNetAdmin(status: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}
