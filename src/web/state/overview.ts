/** What the first page and the frame need: one request, then events. */

import { api } from './api.ts';
import { createResource } from './collection.ts';
import { onEvent } from './live.ts';
import { isOpen } from './operations.ts';
import { isOn } from './vms.ts';

export const overview = createResource(
  () => api('GET /system/overview'),
  ['preflight.changed', 'vm.removed', 'trash.changed'],
  400,
);

onEvent('host.changed', (host) =>
  overview.patch((before) => (before.host?.id === host.id ? { ...before, host } : before)),
);

onEvent('operation.changed', (operation) => {
  overview.patch((before) => ({
    ...before,
    operations: [operation, ...before.operations.filter((known) => known.id !== operation.id)]
      .sort((a, b) => b.createdAt.localeCompare(a.createdAt))
      .slice(0, 20),
  }));
  // Its end may have brought or cured a problem.
  if (!isOpen(operation) && overview.data.peek()) soon();
});

onEvent('vm.changed', (vm) => {
  const known = overview.data.peek()?.vms.running.find((candidate) => candidate.id === vm.id);
  const knownAsOn = known !== undefined;
  if (knownAsOn !== isOn(vm)) return soon();
  if (!known) return;
  overview.patch((before) => ({
    ...before,
    vms: {
      ...before.vms,
      running: before.vms.running.map((candidate) =>
        candidate.id === vm.id
          ? {
              id: vm.id,
              name: vm.name,
              startedAt: vm.startedAt,
              cpuRatio: vm.usage?.cpuRatio ?? null,
              memoryBytes: vm.memoryBytes,
            }
          : candidate,
      ),
    },
  }));
});

let isPlanned = false;

function soon(): void {
  if (isPlanned) return;
  isPlanned = true;
  window.setTimeout(() => {
    isPlanned = false;
    if (overview.data.peek()) void overview.reload();
  }, 300);
}
