/** Work inside and around running guests: a sign of life of the agent, trimming, evidence of a QEMU that hangs. None of it changes what a
 *  guest or a definition holds. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import type { VmInput } from '../allowed-work.ts';

const AGENT_MS = 10_000;
const TRIM_MS = 110_000;

const vmInput = z.object({ vmId: z.string(), name: z.string() });
const vmOf = ({ vmId, name }: VmInput) => ({ type: 'vm', id: vmId, name });

/** Asks the guest's agent whether it lives; libvirt brings their talk back in step for that.
 *  @param ping resolves when it answered */
export function agentSync(
  ping: (vmId: string, options: { readonly deadlineMs: number; readonly signal: AbortSignal }) => Promise<unknown>,
): OperationDefinition<VmInput> {
  return defineOperation({
    kind: 'healing.agent-sync',
    permission: 'vm.power',
    input: vmInput,
    title: ({ name }) => `Wake the agent of ${name}`,
    object: vmOf,
    locks: ({ vmId }) => [`vm:${vmId}`],
    steps: ({ vmId }) => [
      {
        name: 'ping',
        title: 'Ask the agent for a sign of life',
        isCancellable: true,
        act: async ({ signal }) => void (await ping(vmId, { deadlineMs: AGENT_MS, signal })),
      },
    ],
  });
}

export function guestTrim(
  trim: (vmId: string, options: { readonly deadlineMs: number; readonly signal: AbortSignal }) => Promise<void>,
): OperationDefinition<VmInput> {
  return defineOperation({
    kind: 'healing.guest-trim',
    permission: 'vm.configure',
    input: vmInput,
    title: ({ name }) => `Trim the file systems of ${name}`,
    object: vmOf,
    locks: ({ vmId }) => [`vm:${vmId}`],
    steps: ({ vmId }) => [
      {
        name: 'trim',
        title: 'Let the guest give back what it freed',
        isCancellable: true,
        act: ({ signal }) => trim(vmId, { deadlineMs: TRIM_MS, signal }),
      },
    ],
  });
}

/** Writes down what the kernel tells of a QEMU. Takes no lock of the VM: a person who wants to stop it must not have to wait.
 *  @param collect returns the path of what was written */
export function monitorEvidence(
  collect: (vm: VmInput, operationId: string) => Promise<string>,
): OperationDefinition<VmInput> {
  return defineOperation({
    kind: 'healing.monitor-evidence',
    permission: 'host.configure',
    input: vmInput,
    title: ({ name }) => `Collect evidence of the QEMU of ${name}`,
    object: vmOf,
    locks: ({ vmId }) => [`healing-evidence:${vmId}`],
    steps: (input) => [
      {
        name: 'collect',
        title: 'Write down what the kernel tells of its threads',
        act: async (context) => context.remember('path', await collect(input, context.operationId)),
      },
    ],
    result: async (_input, context) => ({ path: context.recall('path') }),
  });
}
