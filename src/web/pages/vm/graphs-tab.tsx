/** The figures of a VM over time, with what was done to it and what was wrong marked below. */

import { useCallback } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { VM_GRAPHS } from '../../components/graph/graph-sets.ts';
import { GraphWall } from '../../components/graph/graph-wall.tsx';

export function GraphsTab({ vm }: { readonly vm: Vm }) {
  const drives = vm.disks
    .filter(({ device }) => device !== 'disk')
    .map(({ target }) => target)
    .join();
  const isHidden = useCallback((sub: string) => drives.split(',').includes(sub) && sub !== '', [drives]);
  return <GraphWall entity={`vm:${vm.id}`} sets={VM_GRAPHS} isHidden={isHidden} />;
}
