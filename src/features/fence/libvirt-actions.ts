/** Facts: the permissions of libvirt's access driver as polkit names them, without `org.libvirt.api.` (libvirt 9.0, its
 *  org.libvirt.api.policy), and which of them nobody but
 *  hyperd may hold. A permission of a later libvirt is not here, so it goes to nobody. */

export const LIBVIRT_ACTIONS: readonly string[] = Object.entries({
  connect:
    'detect-storage-pools getattr interface-transaction pm-control read search-domains search-interfaces search-networks search-node-devices search-nwfilter-bindings search-nwfilters search-secrets search-storage-pools write',
  domain:
    'block-read block-write checkpoint core-dump delete fs-freeze fs-trim getattr hibernate init-control inject-nmi mem-read migrate open-device open-graphics open-namespace pm-control read read-secure reset save screenshot send-input send-signal set-password set-time snapshot start stop suspend write',
  interface: 'delete getattr read save start stop write',
  network: 'delete getattr read save search-ports start stop write',
  'network-port': 'create delete getattr read write',
  'node-device': 'delete detach getattr read start stop write',
  nwfilter: 'delete getattr read save write',
  'nwfilter-binding': 'create delete getattr read',
  secret: 'delete getattr read read-secure save write',
  'storage-pool': 'delete format getattr read refresh save search-storage-vols start stop write',
  'storage-vol': 'create data-read data-write delete format getattr read resize',
}).flatMap(([object, verbs]) => verbs.split(' ').map((verb) => `${object}.${verb}`));

/** Why: its holder can become root on the host, reach what only root may read, or go around hyperd's quotas and trash. */
export const NEVER_FOR_PEOPLE: Readonly<Record<string, string>> = {
  'connect.write': 'takes any identity, root included (SET_IDENTITY; measured)',
  'connect.interface-transaction': "changes the host's own network",
  'domain.write':
    'names the program that runs as the emulator (measured: at define time already), and any file as a disk',
  'domain.save': 'stores what domain.write made',
  'domain.read-secure': 'passwords of screens and disks',
  'domain.block-read': "reads a guest's disk past the guest",
  'domain.block-write': 'copies disks to any path',
  'domain.mem-read': "reads a guest's memory",
  'domain.core-dump': "writes a guest's memory to any path, as root",
  'domain.hibernate': 'saves a guest to any path, as root, and restores any saved definition',
  'domain.snapshot': 'makes disk files at any path',
  'domain.checkpoint': 'backups of disks to any path or socket',
  'domain.migrate': 'sends a guest with all its memory anywhere',
  'domain.open-namespace': 'enters the namespaces of a container',
  'domain.set-password': 'becomes root in a guest',
  'domain.delete': 'destroys definitions, with their files',
  'interface.write': "changes the host's own network",
  'interface.save': "changes the host's own network",
  'interface.delete': "changes the host's own network",
  'interface.start': "changes the host's own network",
  'interface.stop': "changes the host's own network",
  'network.write': 'options of dnsmasq name a script that runs as root',
  'network.save': 'stores what network.write made',
  'node-device.detach': 'takes a device from the host',
  'node-device.write': 'makes devices',
  'secret.read-secure': 'the secrets themselves',
  'secret.write': 'the secrets themselves',
  'secret.save': 'the secrets themselves',
  'storage-pool.write': 'a pool can be any folder of the host',
  'storage-pool.save': 'a pool can be any folder of the host',
  'storage-pool.format': 'formats a disk of the host',
  'storage-vol.create': 'makes files as root in the folder of a pool',
  'storage-vol.data-read': 'reads any volume',
  'storage-vol.data-write': 'writes any volume',
  'storage-vol.format': 'wipes any volume',
  'storage-vol.delete': 'removes files as root in the folder of a pool',
};
