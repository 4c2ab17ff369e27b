/** What our permissions are worth on the host itself, to people who use virsh or virt-manager there: the same table as everywhere, in
 *  libvirt's words. Most changes need leave to define a domain or to write files as root, which is root itself; those are worth nothing
 *  here and go through hyperd. */

import type { Permission } from '#contract/permissions.ts';
import { NEVER_FOR_PEOPLE } from './libvirt-actions.ts';

const IN_HYPERD_ALONE: readonly string[] = [];

/** Every permission has a line, so that a new one is thought about. */
const HOST_ACTIONS: Readonly<Record<Permission, readonly string[]>> = {
  'self.manage': IN_HYPERD_ALONE,
  'vm.read': ['connect.getattr', 'connect.read', 'connect.search-domains', 'domain.getattr', 'domain.read'],
  'vm.screen': ['domain.screenshot'],
  'vm.console': ['domain.open-graphics', 'domain.open-device', 'domain.send-input'],
  // A start plugs the VM's NICs into their networks and a stop pulls them out; libvirt asks for that in the caller's name (measured, 9.0).
  'vm.power': [
    'domain.start',
    'domain.stop',
    'domain.reset',
    'domain.suspend',
    'domain.init-control',
    'network.getattr',
    'network.read',
    'network-port.create',
    'network-port.delete',
    'network-port.getattr',
    'network-port.read',
  ],
  'vm.configure': IN_HYPERD_ALONE,
  'vm.create': IN_HYPERD_ALONE,
  'vm.delete': IN_HYPERD_ALONE,
  'vm.hardware': IN_HYPERD_ALONE,
  'vm.import-xml': IN_HYPERD_ALONE,
  'vm.adopt': IN_HYPERD_ALONE,
  'vm.migrate': IN_HYPERD_ALONE,
  'snapshot.read': IN_HYPERD_ALONE,
  'snapshot.create': IN_HYPERD_ALONE,
  'snapshot.revert': IN_HYPERD_ALONE,
  'snapshot.delete': IN_HYPERD_ALONE,
  'backup.read': IN_HYPERD_ALONE,
  'backup.run': IN_HYPERD_ALONE,
  'backup.verify': IN_HYPERD_ALONE,
  'backup.restore': IN_HYPERD_ALONE,
  'backup.overwrite': IN_HYPERD_ALONE,
  'backup.files': IN_HYPERD_ALONE,
  'backup.export': IN_HYPERD_ALONE,
  'backup.delete': IN_HYPERD_ALONE,
  'backup.configure': IN_HYPERD_ALONE,
  'image.read': IN_HYPERD_ALONE,
  'image.upload': IN_HYPERD_ALONE,
  'image.delete': IN_HYPERD_ALONE,
  'image.share': IN_HYPERD_ALONE,
  'network.read': [
    'connect.search-networks',
    'network.getattr',
    'network.read',
    'network.search-ports',
    'network-port.getattr',
    'network-port.read',
  ],
  'network.use': IN_HYPERD_ALONE,
  // A VM whose NICs are filtered is plugged into the filters when it starts. Who may do that may unplug those of every VM, so people who
  // only hold vm.power start and stop such VMs through hyperd.
  'network.configure': [
    'network.start',
    'network.stop',
    'nwfilter.getattr',
    'nwfilter.read',
    'nwfilter-binding.create',
    'nwfilter-binding.delete',
    'nwfilter-binding.getattr',
    'nwfilter-binding.read',
  ],
  'storage.read': [
    'connect.search-storage-pools',
    'storage-pool.getattr',
    'storage-pool.read',
    'storage-pool.search-storage-vols',
    'storage-vol.getattr',
    'storage-vol.read',
  ],
  'storage.use': IN_HYPERD_ALONE,
  'storage.configure': ['storage-pool.refresh', 'storage-pool.start', 'storage-pool.stop'],
  'host.read': [
    'connect.search-interfaces',
    'interface.getattr',
    'interface.read',
    'connect.search-node-devices',
    'node-device.getattr',
    'node-device.read',
    // Not `connect.search-nwfilters`: one who lists the filters while a VM starts can stop libvirtd 9.0 for everybody (ADR 17).
    'nwfilter.getattr',
    'nwfilter.read',
    'connect.search-nwfilter-bindings',
    'nwfilter-binding.getattr',
    'nwfilter-binding.read',
  ],
  'host.configure': IN_HYPERD_ALONE,
  'host.update': IN_HYPERD_ALONE,
  'host.power': IN_HYPERD_ALONE,
  'host.enroll': IN_HYPERD_ALONE,
  'metrics.read': IN_HYPERD_ALONE,
  'alert.read': IN_HYPERD_ALONE,
  'alert.ack': IN_HYPERD_ALONE,
  'alert.configure': IN_HYPERD_ALONE,
  'project.read': IN_HYPERD_ALONE,
  'project.manage': IN_HYPERD_ALONE,
  'access.read': IN_HYPERD_ALONE,
  'access.manage': IN_HYPERD_ALONE,
  'settings.read': IN_HYPERD_ALONE,
  'settings.change': IN_HYPERD_ALONE,
  'audit.read': IN_HYPERD_ALONE,
  'audit.export': IN_HYPERD_ALONE,
  'audit.configure': IN_HYPERD_ALONE,
  'operation.read': IN_HYPERD_ALONE,
  'operation.cancel': IN_HYPERD_ALONE,
  'plugin.read': IN_HYPERD_ALONE,
  'plugin.use': IN_HYPERD_ALONE,
  'plugin.manage': IN_HYPERD_ALONE,
};

/** What somebody with these permissions may do on the host, sorted. Nothing that is as good as root is ever among it. */
export function hostActionsOf(permissions: readonly Permission[]): readonly string[] {
  return [...new Set(permissions.flatMap((permission) => HOST_ACTIONS[permission]))]
    .filter((action) => !(action in NEVER_FOR_PEOPLE))
    .sort();
}
