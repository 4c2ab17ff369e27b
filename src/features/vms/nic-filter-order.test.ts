/** Who may choose which traffic filter for a NIC. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessErrors } from '#contract/access.ts';
import { networkErrors } from '#contract/networks.ts';
import type { NicFilter } from '#contract/vms.ts';
import { NIC_FILTERS } from '#features/inventory/index.ts';
import { registerErrors } from '#kernel/errors.ts';
import { changedNicFilter, type FilterWorld, newNicFilter } from './nic-filter-order.ts';

registerErrors(accessErrors);
registerErrors(networkErrors);

const world = (more: Partial<FilterWorld> = {}): FilterWorld => ({
  hasFilters: true,
  isTenants: true,
  mayOpenNics: false,
  defaultFilter: (network) => (network === 'default' ? 'mac_ip' : 'mac'),
  ...more,
});

test('a new NIC gets the usual filter of its network unless told otherwise', () => {
  assert.equal(newNicFilter('f', undefined, 'default', world()), 'mac_ip');
  assert.equal(newNicFilter('f', undefined, null, world()), 'mac');
  assert.equal(newNicFilter('f', 'mac_ip', null, world()), 'mac_ip', 'more than usual is free');
});

test('less than usual needs the right to configure networks, for new NICs and for those that are there', () => {
  const atLeast = (least: NicFilter | null) => (filter: NicFilter) =>
    NIC_FILTERS.indexOf(filter) >= NIC_FILTERS.indexOf(least ?? 'mac');
  for (const wanted of NIC_FILTERS) {
    for (const network of ['default', 'lab']) {
      const isFree = atLeast(world().defaultFilter(network))(wanted);
      const choose = (more?: Partial<FilterWorld>) => newNicFilter('f', wanted, network, world(more));
      if (isFree) assert.equal(choose(), wanted);
      else assert.throws(() => choose(), { code: 'forbidden' }, `${wanted} on ${network}`);
      assert.equal(choose({ mayOpenNics: true }), wanted);
    }
    for (const had of [null, ...NIC_FILTERS]) {
      const choose = (more?: Partial<FilterWorld>) => changedNicFilter('f', wanted, had, world(more));
      if (atLeast(had)(wanted)) assert.equal(choose(), wanted);
      else assert.throws(() => choose(), { code: 'forbidden' }, `${had} to ${wanted}`);
      assert.equal(choose({ mayOpenNics: true }), wanted);
    }
  }
});

test('on a host that cannot filter, a VM of a tenant is refused; others go without unless a filter was asked for', () => {
  const hasFilters = false;
  assert.throws(() => newNicFilter('f', undefined, 'default', world({ hasFilters })), {
    code: 'nic_filter_unavailable',
  });
  assert.equal(newNicFilter('f', undefined, 'default', world({ hasFilters, isTenants: false })), null);
  assert.throws(() => newNicFilter('f', 'mac_ip', 'default', world({ hasFilters, isTenants: false })), {
    code: 'nic_filter_unavailable',
  });
});
