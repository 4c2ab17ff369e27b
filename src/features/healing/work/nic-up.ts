/** Gives a guest its network back: libvirt makes the rules of its NICs anew, then those that are off are switched on. In this order there is
 *  no moment without rules. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import { withDeadline } from '#kernel/async.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import type { RunOptions, RunResult } from '#platform/process.ts';
import type { VmInput } from '../allowed-work.ts';

const IP_MS = 10_000;
/** libvirt makes the rules of every running guest anew, and a start of a VM may be before us. */
const RULES_MS = 600_000;

interface Dependencies {
  /** Devices on the host of its NICs that libvirt may have switched off and that are off now; none for one that does not run. */
  silencedOf(vmId: string): Promise<readonly string[]>;
  /** Has libvirt make the rules of all NICs anew, with the addresses that it knows. Ends by itself; nobody need wait for it. */
  renewRules(): Promise<void>;
  run(argv: readonly string[], options: RunOptions): Promise<RunResult>;
}

export function nicUp({ silencedOf, renewRules, run }: Dependencies): OperationDefinition<VmInput> {
  return defineOperation({
    kind: 'healing.nic-up',
    permission: 'network.configure',
    input: z.object({ vmId: z.string(), name: z.string() }),
    title: ({ name }) => `Switch on the NICs of ${name}`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId }) => [`vm:${vmId}`],
    steps({ vmId }) {
      const isWell = async () => (await silencedOf(vmId)).length === 0;
      return [
        {
          name: 'rules',
          title: 'Make the traffic rules anew',
          check: isWell,
          isCancellable: true,
          timeoutMs: null,
          async act({ signal }) {
            try {
              await withDeadline('libvirt', RULES_MS, renewRules, signal);
            } catch (error) {
              signal.throwIfAborted();
              const problem = toAppError(error);
              // Each try costs the rules of every guest: whoever decides when to try again is not this operation. A libvirt that is away
              // is waited for.
              if (problem.status !== 503 || problem.code === 'libvirt_unavailable') throw error;
              throw new AppError('wrong_state', {
                detail: `The traffic rules could not be made: ${problem.message}.`,
                hint: 'See the log of libvirtd, and whether another program changes the packet filter all the time.',
                cause: error,
              });
            }
          },
        },
        {
          name: 'links',
          title: 'Switch the NICs on',
          check: isWell,
          async act() {
            for (const device of await silencedOf(vmId)) {
              const argv = ['ip', 'link', 'set', 'dev', device, 'up'];
              const { code, stderr } = await run(argv, { timeoutMs: IP_MS });
              if (code !== 0)
                throw new AppError('wrong_state', {
                  detail: `${device} cannot be switched on by hyperd: ${stderr.trim().split('\n')[0]}.`,
                  hint: `Its rules are there again. As root: \`${argv.join(' ')}\`.`,
                });
            }
          },
        },
      ];
    },
  });
}
