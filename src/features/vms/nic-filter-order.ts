/** Which traffic filter a NIC gets, and who may choose less than the usual one. */

import type { NicFilter } from '#contract/vms.ts';
import { isWeaker } from '#features/inventory/index.ts';
import { AppError } from '#kernel/errors.ts';

/** What an order needs to know of filters. */
export interface FilterWorld {
  /** Libvirt can filter here. */
  readonly hasFilters: boolean;
  /** The VM belongs to a tenant: never without a filter. */
  readonly isTenants: boolean;
  /** The asker may let NICs out that are filtered less than usual. */
  readonly mayOpenNics: boolean;
  defaultFilter(network: string | null): NicFilter;
}

/** @param path of the field, for the message
 *  @returns null = none, on a host that cannot filter
 *  @throws AppError nic_filter_unavailable, forbidden */
export function newNicFilter(
  path: string,
  wanted: NicFilter | undefined,
  network: string | null,
  world: FilterWorld,
): NicFilter | null {
  const usual = world.defaultFilter(network);
  requireRight(path, wanted ?? usual, usual, world);
  if (world.hasFilters) return wanted ?? usual;
  if (world.isTenants || wanted !== undefined) throw new AppError('nic_filter_unavailable');
  return null;
}

/** @throws AppError nic_filter_unavailable, forbidden */
export function changedNicFilter(
  path: string,
  wanted: NicFilter,
  had: NicFilter | null,
  world: FilterWorld,
): NicFilter {
  // One without gets the filter by MAC at its next definition in any case.
  requireRight(path, wanted, had ?? 'mac', world);
  if (!world.hasFilters) throw new AppError('nic_filter_unavailable');
  return wanted;
}

function requireRight(path: string, wanted: NicFilter, least: NicFilter, { mayOpenNics }: FilterWorld): void {
  if (isWeaker(wanted, least) && !mayOpenNics) throw refused(path);
}

const refused = (path: string) =>
  new AppError('forbidden', {
    detail: 'Only who configures networks may let a NIC be filtered less.',
    hint: 'Leave the filter out, or ask an administrator of the system.',
    fields: [{ path, problem: 'it lets more through than usual', mend: 'leave it out' }],
  });
