/** `health.run`: all health checks now, as an operation, so that its progress is seen. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import type { HealthCheckService } from './service.ts';

const inputSchema = z.strictObject({});

const TIMEOUT_MS = 300_000;

export function healthRunOperation(service: HealthCheckService): OperationDefinition<z.infer<typeof inputSchema>> {
  return defineOperation({
    kind: 'health.run',
    permission: 'host.configure',
    input: inputSchema,
    title: () => 'Run the health checks',
    object: () => null,
    locks: () => ['health'],
    steps: () => [
      {
        name: 'run-checks',
        title: 'Run the checks',
        isCancellable: true,
        timeoutMs: TIMEOUT_MS,
        act: (context) =>
          service.runAll(context.signal, (done, total, note) => context.progress({ ratio: done / total, note })),
      },
    ],
    result: async () => ({ status: service.results().status }),
  });
}
