/** `preflight.run`: the preflight as an operation, so that its progress is seen and its result is kept. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import { PROOF_DEADLINE_MS } from './accel.ts';
import type { PreflightService } from './service.ts';

const inputSchema = z.strictObject({});
export type PreflightRunInput = z.infer<typeof inputSchema>;

export function preflightOperation(service: PreflightService): OperationDefinition<PreflightRunInput> {
  return defineOperation({
    kind: 'preflight.run',
    permission: 'host.configure',
    input: inputSchema,
    title: () => 'Check the machine',
    object: () => null,
    locks: () => ['preflight'],
    steps: () => [
      {
        name: 'run-checks',
        title: 'Run the checks',
        isCancellable: true,
        timeoutMs: PROOF_DEADLINE_MS + 60_000,
        async act(context) {
          await service.run({
            isForced: true,
            signal: context.signal,
            onDone: (done, total, check) => context.progress({ ratio: done / total, note: check.title }),
          });
        },
      },
    ],
    result: async () => service.last(),
  });
}
