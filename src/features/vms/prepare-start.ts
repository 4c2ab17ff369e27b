/** What has to be there before a VM starts: its networks, the filters of its NICs, and what other slices say. */

import type { VmServices } from './services.ts';

export async function prepareStart(
  vmId: string,
  signal: AbortSignal,
  { known, networks, startGates }: Pick<VmServices, 'known' | 'networks' | 'startGates'>,
): Promise<void> {
  const active = new Set(
    known
      .networks()
      .filter((network) => network.state === 'active')
      .map((network) => network.name),
  );
  const nics = known.storedFacts(vmId)?.nics ?? [];
  for (const nic of nics) {
    if (nic.sourceType === 'network' && nic.source !== null && !active.has(nic.source))
      await networks.ensureActive(nic.source, signal);
  }
  if (nics.length > 0) await networks.ensureFilters();
  for (const ready of startGates) await ready(vmId, signal);
}
