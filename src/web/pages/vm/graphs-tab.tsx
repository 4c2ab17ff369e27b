/** The figures of a VM over time, with what was done to it and what was wrong marked below. */

import { useCallback, useEffect, useMemo } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import type { GraphMark } from '../../components/graph/graph-data.ts';
import { VM_GRAPHS } from '../../components/graph/graph-sets.ts';
import { GraphWall } from '../../components/graph/graph-wall.tsx';
import { api, can } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { operations } from '../../state/operations.ts';
import { text } from '../../text.ts';

export function GraphsTab({ vm }: { readonly vm: Vm }) {
  const past = useMemo(
    () => createResource(async () => (await api('GET /operations', { query: { objectId: vm.id, limit: 200 } })).items),
    [vm.id],
  );
  const alerted = useMemo(
    () =>
      createResource(
        async () =>
          can('alert.read') ? (await api('GET /alerts/history', { query: { vm: vm.id, limit: 500 } })).items : [],
        ['alert.changed'],
        2000,
      ),
    [vm.id],
  );
  useEffect(() => past.ensure(), [past]);
  useEffect(() => alerted.ensure(), [alerted]);
  const found = past.data.value;
  const events = alerted.data.value;
  const fresh = operations.data.value;
  const marks = useMemo((): readonly GraphMark[] => {
    const mine = [...(fresh?.values() ?? [])].filter((operation) => operation.objectId === vm.id);
    const all = new Map([...(found ?? []), ...mine].map((operation) => [operation.id, operation]));
    const ofOperations = [...all.values()].map((operation) => ({
      atMs: Date.parse(operation.createdAt),
      kind: 'operation' as const,
      label: `${operation.title} (${operation.actor})`,
    }));
    const ofAlerts = (events ?? [])
      .filter(({ kind }) => kind === 'firing')
      .map(({ at, rule, severity }) => ({
        atMs: Date.parse(at),
        kind: 'alert' as const,
        label: text.vm.alertMark(rule.name, text.severities[severity]),
      }));
    return [...ofOperations, ...ofAlerts];
  }, [found, fresh, events, vm.id]);
  const drives = vm.disks
    .filter(({ device }) => device !== 'disk')
    .map(({ target }) => target)
    .join();
  const isHidden = useCallback((sub: string) => drives.split(',').includes(sub) && sub !== '', [drives]);
  return <GraphWall entity={`vm:${vm.id}`} sets={VM_GRAPHS} marks={marks} isHidden={isHidden} />;
}
