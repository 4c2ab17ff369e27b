/** Words of the health page and of its tiles on the overview. */

const plural = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const healthText = {
  groups: {
    host: 'Host',
    space: 'Space',
    zfs: 'ZFS',
    pools: 'Storage pools',
    ceph: 'Ceph',
    disks: 'Disks',
    hardware: 'Hardware',
    network: 'Network',
    system: 'Operating system',
    libvirt: 'libvirt',
    vms: 'VMs',
    backups: 'Backups',
    security: 'Security',
    hosts: 'Several hosts',
    self: 'hyperd',
  } as Readonly<Record<string, string>>,
  run: 'Check now',
  never: 'Nothing was checked yet',
  neverNote: 'The first results come half a minute after the daemon starts.',
  summary: (bad: number, all: number) =>
    bad === 0
      ? `All ${plural(all, 'check')} are well`
      : `${bad} of ${plural(all, 'check')} ${bad === 1 ? 'needs' : 'need'} attention`,
  libvirtAway: (count: number) => `libvirt does not answer: ${plural(count, 'check')} not known`,
  libvirtAwayNote: 'What to do stands at its own check:',
  checked: 'Checked',
  since: 'for',
  limit: (of: string, warn: string | null, fail: string | null) =>
    `${of}: ${[warn === null ? [] : [`warns at ${warn}`], fail === null ? [] : [`fails at ${fail}`]].flat().join(', ') || 'switched off'}`,
  historyOf: (title: string) => `Changes of ${title}, oldest first`,
  securityTile: 'Security',
  updatesTile: 'Updates',
  allWell: 'Nothing to do.',
} as const;
