/** Whom libvirt takes a connection for (its SET_IDENTITY), and whether that binds: with libvirt's polkit access driver the rules judge
 *  the identity that was set, without it nobody is judged. Needs `connect.write` in libvirt's access rules, which is root-equivalent. */

import { readFile } from 'node:fs/promises';
import { struct, u } from './codec.ts';
import type { CallOptions, Connection } from './connection.ts';
import { LibvirtError } from './errors.ts';
import { domainRefCodec, P, type Procedure } from './table.ts';

/** A user of the host, as libvirt's access driver is to see it. */
export interface LibvirtIdentity {
  readonly userName: string;
  readonly userId: number;
  readonly groupName: string;
  readonly groupId: number;
}

/** polkit judges a process: it is named by its id and by when it began (field 22 of /proc/self/stat, in clock ticks). */
async function ownProcess(): Promise<{ readonly id: number; readonly startedTicks: bigint }> {
  const stat = await readFile('/proc/self/stat', 'utf8');
  // The command in brackets may hold blanks and brackets; what follows the last one are numbers from field 3 on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { id: Number(stat.slice(0, stat.indexOf(' '))), startedTicks: BigInt(fields[19] ?? '0') };
}

/** From now on libvirt takes the connection for `identity`. @throws LibvirtError libvirt_forbidden without `connect.write` */
export async function setIdentity(
  connection: Connection,
  identity: LibvirtIdentity,
  options?: CallOptions,
): Promise<void> {
  const { id, startedTicks } = await ownProcess();
  const params = [
    { name: 'user-name', type: 'string', value: identity.userName },
    { name: 'unix-user-id', type: 'ullong', value: identity.userId },
    { name: 'group-name', type: 'string', value: identity.groupName },
    { name: 'unix-group-id', type: 'ullong', value: identity.groupId },
    { name: 'process-id', type: 'llong', value: id },
    { name: 'process-time', type: 'ullong', value: startedTicks },
  ] as const;
  await connection.call(P.connectSetIdentity, { params, flags: 0 }, options);
}

/** Whether the identity that was set binds: who may set another one is not bound. Call it after `setIdentity` only. */
export async function isBound(
  connection: Connection,
  identity: LibvirtIdentity,
  options?: CallOptions,
): Promise<boolean> {
  try {
    await setIdentity(connection, identity, options);
    return false;
  } catch (error) {
    if (error instanceof LibvirtError && error.code === 'libvirt_forbidden') return true;
    throw error;
  }
}

/** Answers with a descriptor of a new connection to the VM's screen, which Node cannot receive; the host's leave to open it is the answer
 *  that we want, and the connection that it made ends with ours. */
const openGraphicsFd: Procedure<unknown, unknown> = {
  program: 'remote',
  number: 343,
  name: 'DOMAIN_OPEN_GRAPHICS_FD',
  args: struct({ dom: domainRefCodec, idx: u, flags: u }),
  result: struct({}),
  acl: 'domain:open_graphics',
  isHighPriority: false,
  isWrite: false,
  stream: null,
};

/** Resolves when libvirt lets this connection open the VM's first screen. The connection is good for nothing else afterwards.
 *  @throws LibvirtError libvirt_forbidden when it may not */
export async function askForScreen(connection: Connection, uuid: string, options?: CallOptions): Promise<void> {
  try {
    await connection.call(openGraphicsFd, { dom: { name: '', uuid, id: -1 }, idx: 0, flags: 0 }, options);
  } catch (error) {
    // No `failure` = it was not the host that complained, but we about the descriptor: leave was given.
    if (error instanceof LibvirtError && error.code === 'unsupported_by_host' && error.failure === null) return;
    throw error;
  }
}
