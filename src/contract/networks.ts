/** Networks and storage pools that libvirt knows. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';

export const networkErrors = defineErrors({
  no_free_subnet: {
    status: 409,
    title: 'No subnet is free for the NAT network',
    hint: 'All usual private ranges are in use on this host. Define a libvirt network `default` yourself, or give the NIC a bridge.',
  },
  nic_filter_unavailable: {
    status: 503,
    title: 'NICs cannot be filtered on this host',
    hint: 'libvirt has no network filter driver here. Install it (`apt-get install libvirt-daemon-driver-nwfilter`, where libvirt is split into such packages) and restart libvirtd; `hv preflight` shows when it is there.',
  },
  network_not_started: {
    status: 503,
    title: 'The network does not start',
    hint: 'Another program may use its bridge, its subnet or its DHCP port (dnsmasq must be installed); the log has the reason.',
  },
});

/** A VM that uses something; of those that the asker may see. */
const vmUserSchema = z.object({ vmId: z.string(), name: z.string(), project: z.string() });

export const networkSchema = z.object({
  id: z.string().describe('UUID; for a bridge of the host its name'),
  name: z.string(),
  state: z.enum(['active', 'inactive', 'unknown']),
  kind: z
    .enum(['nat', 'route', 'isolated', 'open', 'bridge', 'other', 'host_bridge'])
    .describe('host_bridge = a bridge of the host that NICs can attach to'),
  bridge: z.string().nullable(),
  addresses: z.array(z.object({ address: z.string(), prefix: z.int(), dhcp: z.boolean() })),
  autostart: z.boolean(),
  managed: z.boolean(),
  leases: z.array(
    z.object({
      mac: z.string(),
      address: z.string(),
      hostname: z.string().nullable(),
      expiresAt: z.string().nullable(),
    }),
  ),
  usedBy: z.array(vmUserSchema),
});
export type Network = z.infer<typeof networkSchema>;

export const poolSchema = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['active', 'inactive', 'building', 'degraded', 'unknown']),
  kind: z.string().describe('dir, logical, zfs, …'),
  path: z.string().nullable().describe('null for those who see only their own volumes'),
  capacityBytes: z.number().nullable(),
  allocatedBytes: z.number().nullable(),
  availableBytes: z.number().nullable(),
  autostart: z.boolean(),
  managed: z.boolean(),
  isDefault: z.boolean().describe('new disks go here unless told otherwise'),
  volumes: z.array(
    z.object({
      name: z.string(),
      sizeBytes: z.number(),
      allocatedBytes: z.number(),
      format: z.string().nullable(),
      usedBy: vmUserSchema.nullable(),
    }),
  ),
});
export type Pool = z.infer<typeof poolSchema>;

const usableInSchema = z
  .string()
  .max(64)
  .optional()
  .describe('id or name of a project: only what the asker may give to VMs of it');

export const networkRoutes = defineRoutes({
  'GET /networks': {
    summary: 'List networks and bridges',
    permission: 'network.read',
    list: true,
    query: z.object({ ...pageQuery, usableIn: usableInSchema }),
    response: pageOf(networkSchema),
  },
  'GET /networks/{id}': {
    summary: 'Show a network with its leases',
    permission: 'network.read',
    params: idParam('UUID or name'),
    object: { type: 'network', param: 'id' },
    response: networkSchema,
  },
});

export const poolRoutes = defineRoutes({
  'GET /pools': {
    summary: 'List storage pools',
    permission: 'storage.read',
    list: true,
    query: z.object({ ...pageQuery, usableIn: usableInSchema }),
    response: pageOf(poolSchema),
  },
  'GET /pools/{id}': {
    summary: 'Show a storage pool with its volumes',
    permission: 'storage.read',
    params: idParam('UUID or name'),
    object: { type: 'pool', param: 'id' },
    response: poolSchema,
  },
});
