/** Every permission that a route, topic or console may ask for, and the built-in roles, which are lists of these. */

/** Permission → what it lets one do. */
export const PERMISSION_MEANINGS = {
  'self.manage': 'own keys, passkeys, sessions and tokens',
  'vm.read': 'list, details, addresses, definition without secrets',
  'vm.screen': 'thumbnail, screenshot, console for looking only',
  'vm.console': 'keyboard, mouse, serial input, paste',
  'vm.power': 'start, shut down, stop, reset, pause',
  'vm.configure': 'processors, memory, disks, network cards, cloud-init',
  'vm.create': 'also clone and import of a disk image',
  'vm.delete': 'move to the trash, restore, purge',
  'vm.hardware': 'host devices, processor pinning, huge pages, host paths',
  'vm.import-xml': 'foreign domain XML',
  'vm.adopt': 'take over a VM of another program',
  'vm.migrate': 'choose a host',
  'snapshot.read': 'list snapshots',
  'snapshot.create': 'make a snapshot',
  'snapshot.revert': 'go back to a snapshot',
  'snapshot.delete': 'remove a snapshot',
  'backup.read': 'restore points, proofs, schedules',
  'backup.run': 'back up now',
  'backup.verify': 'prove a restore point now',
  'backup.restore': 'into a new VM',
  'backup.overwrite': 'over an existing VM',
  'backup.files': 'browse and download single files of a restore point',
  'backup.export': 'data leaves as a file',
  'backup.delete': 'remove restore points',
  'backup.configure': 'repositories, schedules, retention',
  'image.read': 'the library: own and shared images',
  'image.upload': 'upload, download by address',
  'image.delete': 'remove images',
  'image.share': 'make visible to other projects',
  'network.read': 'see networks',
  'network.use': 'attach a network card',
  'network.configure': 'networks, bridges, firewall',
  'storage.read': 'see pools and volumes',
  'storage.use': 'place a disk',
  'storage.configure': 'pools and disks of the host',
  'host.read': 'facts, figures, health, logs without secrets',
  'host.configure': 'check and configure the host',
  'host.update': 'install updates',
  'host.power': 'restart or switch off the host',
  'host.enroll': 'add and remove hosts',
  'metrics.read': 'figures of what one may read',
  'alert.read': 'alerts',
  'alert.ack': 'acknowledge, silence',
  'alert.configure': 'rules, channels',
  'project.read': 'quota and use',
  'project.manage': 'create, delete, limits',
  'access.read': 'users, groups, roles, grants',
  'access.manage': 'change users, groups, roles, grants, never beyond own rights',
  'settings.read': 'settings; secrets never come back',
  'settings.change': 'change settings',
  'audit.read': 'records, verification',
  'audit.export': 'take records out',
  'audit.configure': 'mirrors, retention',
  'operation.read': 'operations on what one may read',
  'operation.cancel': 'stop, retry and dismiss them',
  'plugin.read': 'see plugins',
  'plugin.use': 'use plugins',
  'plugin.manage': 'install and remove plugins',
} as const;

export type Permission = keyof typeof PERMISSION_MEANINGS;

export const PERMISSIONS = Object.keys(PERMISSION_MEANINGS) as readonly Permission[] as readonly [
  Permission,
  ...Permission[],
];

export interface BuiltInRole {
  readonly title: string;
  readonly meaning: string;
  readonly permissions: readonly Permission[];
}

const VM_OPERATOR: readonly Permission[] = [
  'vm.read',
  'vm.screen',
  'vm.console',
  'vm.power',
  'snapshot.read',
  'backup.read',
  'image.read',
  'network.read',
  'storage.read',
  'metrics.read',
  'alert.read',
  'alert.ack',
  'project.read',
  'operation.read',
  'operation.cancel',
];

const READ_ALL: readonly Permission[] = [
  'vm.read',
  'snapshot.read',
  'backup.read',
  'image.read',
  'network.read',
  'storage.read',
  'host.read',
  'metrics.read',
  'alert.read',
  'project.read',
  'settings.read',
  'operation.read',
  'plugin.read',
];

/** Fixed by the program: they can be granted, not changed. Everyone manages his own keys and sessions (`self.manage`) besides. */
export const BUILT_IN_ROLES = {
  admin: { title: 'Administrator', meaning: 'everything', permissions: PERMISSIONS },
  'project-admin': {
    title: 'Project administrator',
    meaning: 'everything inside a project that does not touch the host',
    permissions: [
      ...VM_OPERATOR,
      'vm.configure',
      'vm.create',
      'vm.delete',
      'snapshot.create',
      'snapshot.revert',
      'snapshot.delete',
      'backup.run',
      'backup.verify',
      'backup.restore',
      'backup.overwrite',
      'backup.files',
      'backup.export',
      'image.upload',
      'image.delete',
      'network.use',
      'storage.use',
      'access.read',
      'access.manage',
    ],
  },
  'vm-operator': { title: 'VM operator', meaning: 'starts, stops and uses VMs', permissions: VM_OPERATOR },
  'backup-operator': {
    title: 'Backup operator',
    meaning: 'makes, proves and restores backups',
    permissions: [
      'vm.read',
      'snapshot.read',
      'backup.read',
      'backup.run',
      'backup.verify',
      'backup.restore',
      'backup.files',
      'image.read',
      'storage.read',
      'storage.use',
      'metrics.read',
      'alert.read',
      'alert.ack',
      'project.read',
      'operation.read',
      'operation.cancel',
    ],
  },
  operator: {
    title: 'Operator',
    meaning: 'reads everything, changes nothing',
    permissions: [...READ_ALL, 'vm.screen'],
  },
  auditor: {
    title: 'Auditor',
    meaning: 'reads everything but screens, and the audit log',
    permissions: [...READ_ALL, 'access.read', 'audit.read', 'audit.export'],
  },
} as const satisfies Record<string, BuiltInRole>;

export type BuiltInRoleName = keyof typeof BUILT_IN_ROLES;
export const BUILT_IN_ROLE_NAMES = Object.keys(BUILT_IN_ROLES) as readonly BuiltInRoleName[];

/** Permissions that only look. A session that holds no other may stay idle for longer. */
export const READ_ONLY_PERMISSIONS: ReadonlySet<Permission> = new Set([
  ...READ_ALL,
  'vm.screen',
  'access.read',
  'audit.read',
  'self.manage',
]);

/** Permissions of which every change asks for a fresh proof (`stepUp` of routes): who took over a session must not be able to open more
 *  doors with it, destroy what restores, run code of his choice or end the record of it. Start-up fails for a route that forgets it. */
export const PROVEN_PERMISSIONS: ReadonlySet<Permission> = new Set<Permission>([
  'access.manage',
  'audit.configure',
  'backup.delete',
  'backup.overwrite',
  'host.enroll',
  'host.update',
  'plugin.manage',
]);
