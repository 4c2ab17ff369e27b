/** What quotas count. Without schemas, so that the dashboard can have it. */

/** Everything that is counted, in the order in which people read it. */
export const QUOTA_RESOURCES = [
  'vms',
  'vcpus',
  'memory',
  'disk',
  'snapshots',
  'backups',
  'images',
  'networks',
] as const;
export type QuotaResource = (typeof QUOTA_RESOURCES)[number];

/** What a resource is called, and whether it is counted in pieces or in bytes. */
export const QUOTA_FACTS: Readonly<
  Record<QuotaResource, { readonly title: string; readonly unit: 'count' | 'bytes'; readonly meaning: string }>
> = {
  vms: { title: 'VMs', unit: 'count', meaning: 'defined VMs' },
  vcpus: { title: 'vCPUs', unit: 'count', meaning: 'virtual processors of defined VMs, running or not' },
  memory: { title: 'Memory', unit: 'bytes', meaning: 'memory of defined VMs, running or not' },
  disk: { title: 'Disk', unit: 'bytes', meaning: 'size of disks as guests see it, those in the trash too' },
  snapshots: { title: 'Snapshots', unit: 'count', meaning: 'snapshots of VMs' },
  backups: { title: 'Backups', unit: 'bytes', meaning: 'bytes of backups before compression' },
  images: { title: 'Images', unit: 'bytes', meaning: 'files of own images, unfinished uploads too' },
  networks: { title: 'Networks', unit: 'count', meaning: 'networks of its own' },
};
