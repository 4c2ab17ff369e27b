/** Everything that was done to a VM, newest first. */

import { useMemo } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { OperationItem } from '../../components/operation-item.tsx';
import { Card, EmptyState, Loaded } from '../../components/page.tsx';
import { api } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { operations } from '../../state/operations.ts';
import { text } from '../../text.ts';

export function ActivityTab({ vm }: { readonly vm: Vm }) {
  const past = useMemo(
    () => createResource(async () => (await api('GET /operations', { query: { objectId: vm.id, limit: 200 } })).items),
    [vm.id],
  );
  return (
    <Loaded resource={past}>
      {(items) => {
        const fresh = [...(operations.data.value?.values() ?? [])].filter((operation) => operation.objectId === vm.id);
        const all = [...new Map([...items, ...fresh].map((operation) => [operation.id, operation])).values()].sort(
          (a, b) => b.createdAt.localeCompare(a.createdAt),
        );
        if (all.length === 0) return <EmptyState icon="operations" title={text.vm.noOperations} />;
        return (
          <Card>
            <div class="separated">
              {all.map((operation) => (
                <OperationItem key={operation.id} operation={operation} />
              ))}
            </div>
          </Card>
        );
      }}
    </Loaded>
  );
}
