/** A program of its own, started by the check `fence.nobody`: becomes the user `nobody`, knocks at the sockets that are named, and prints
 *  what came of it as JSON. It loads everything first: as nobody it may be unable to read the program. */

import { createLibvirtHost, LibvirtError } from '#libvirt/index.ts';
import type { KnockAnswer } from './checks/fence.ts';

const NOBODY = 65_534;

async function knock(socketPath: string): Promise<KnockAnswer> {
  const host = createLibvirtHost({ uri: 'qemu:///system', socketPath, isReadOnly: socketPath.endsWith('-ro') });
  await host.start();
  const { status, error } = host.state;
  await host.stop();
  if (status === 'connected') return { socket: socketPath, answer: 'answered' };
  const reason: unknown = error?.cause ?? error;
  const text = reason instanceof Error ? reason.message : String(reason);
  // libvirt said no, or the socket's mode did; or nobody is let in at all, because polkit cannot be asked.
  const isTurnedAway = error instanceof LibvirtError && error.failure !== null && error.procedure.startsWith('AUTH_');
  const isRefused = error?.code === 'libvirt_forbidden' || isTurnedAway || /EACCES|EPERM/.test(text);
  return { socket: socketPath, answer: isRefused ? 'refused' : 'silent' };
}

process.setgroups?.([NOBODY]);
process.setgid?.(NOBODY);
process.setuid?.(NOBODY);
const answers: KnockAnswer[] = [];
if (process.getuid?.() === NOBODY) for (const socket of process.argv.slice(2)) answers.push(await knock(socket));
process.stdout.write(`${JSON.stringify(answers)}\n`);
