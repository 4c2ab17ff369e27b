/** Gives a guest its network back: libvirt makes the rules of its NICs anew, then those that are off are switched on. In this order there is
 *  no moment without rules. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { RunOptions, RunResult } from '#platform/process.ts';
import type { VmInput } from '../allowed-work.ts';

const IP_MS = 10_000;

interface Dependencies {
  /** Devices on the host of its filtered NICs, as they are now; empty for one that does not run. */
  devicesOf(vmId: string): readonly string[];
  isLinkOff(device: string): Promise<boolean>;
  /** Has libvirt make the rules of all NICs anew, with the addresses that it knows. */
  renewRules(): Promise<void>;
  run(argv: readonly string[], options: RunOptions): Promise<RunResult>;
}

export function nicUp({ devicesOf, isLinkOff, renewRules, run }: Dependencies): OperationDefinition<VmInput> {
  const offOf = async (vmId: string): Promise<string[]> => {
    const off: string[] = [];
    for (const device of devicesOf(vmId)) if (await isLinkOff(device)) off.push(device);
    return off;
  };
  return defineOperation({
    kind: 'healing.nic-up',
    permission: 'network.configure',
    input: z.object({ vmId: z.string(), name: z.string() }),
    title: ({ name }) => `Switch on the NICs of ${name}`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId }) => [`vm:${vmId}`],
    steps: ({ vmId }) => [
      { name: 'rules', title: 'Make the traffic rules anew', act: renewRules },
      {
        name: 'links',
        title: 'Switch the NICs on',
        check: async () => (await offOf(vmId)).length === 0,
        async act() {
          for (const device of await offOf(vmId)) {
            const argv = ['ip', 'link', 'set', 'dev', device, 'up'];
            const { code, stderr } = await run(argv, { timeoutMs: IP_MS });
            if (code !== 0)
              throw new AppError('unavailable', {
                detail: `${device} cannot be switched on by hyperd: ${stderr.trim().split('\n')[0]}.`,
                hint: `Its rules are there again. As root: \`${argv.join(' ')}\`.`,
              });
          }
        },
      },
    ],
  });
}
