/** A shell in a guest of a private libvirtd, through its guest agent. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { PrivateLibvirtd } from './libvirtd.ts';

export interface GuestShell {
  /** Runs a script as root in the guest. */
  run(script: string, input?: Uint8Array): Promise<{ readonly code: number; readonly text: string }>;
}

interface Status {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly 'out-data'?: string;
  readonly 'err-data'?: string;
}

/** Waits until the guest's agent answers. @param domain its name in libvirt */
export async function guestShell(libvirtd: PrivateLibvirtd, domain: string, withinMs = 120_000): Promise<GuestShell> {
  const agent = async <Answer>(execute: string, args?: Readonly<Record<string, unknown>>): Promise<Answer> => {
    const command = JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }) });
    const answer: { return: Answer } = JSON.parse(await libvirtd.virsh('qemu-agent-command', domain, command));
    return answer.return;
  };
  const end = performance.now() + withinMs;
  for (;;) {
    try {
      await agent('guest-ping');
      break;
    } catch (error) {
      if (performance.now() > end) throw error;
      await sleep(300);
    }
  }
  return {
    async run(script, input = new Uint8Array()) {
      const { pid } = await agent<{ pid: number }>('guest-exec', {
        path: '/bin/sh',
        arg: ['-c', script],
        'input-data': Buffer.from(input).toString('base64'),
        'capture-output': true,
      });
      for (;;) {
        const status = await agent<Status>('guest-exec-status', { pid });
        const text = [status['out-data'], status['err-data']]
          .map((part) => Buffer.from(part ?? '', 'base64').toString())
          .join('');
        if (status.exited) return { code: status.exitcode ?? -1, text };
        await sleep(50);
      }
    },
  };
}
