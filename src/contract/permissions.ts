/** Every permission that a route, topic or console may ask for. Roles are made of these. */

export const PERMISSIONS = [
  'self.manage',
  'vm.read',
  'vm.screen',
  'vm.console',
  'vm.power',
  'vm.configure',
  'vm.create',
  'vm.delete',
  'image.read',
  'image.upload',
  'image.delete',
  'network.read',
  'storage.read',
  'host.read',
  'host.configure',
  'metrics.read',
  'operation.read',
  'operation.cancel',
  'audit.read',
  'access.manage',
] as const;

export type Permission = (typeof PERMISSIONS)[number];

/** What the read-only operator holds. Everything not listed is refused. */
export const OPERATOR_PERMISSIONS: readonly Permission[] = [
  'self.manage',
  'vm.read',
  'vm.screen',
  'image.read',
  'network.read',
  'storage.read',
  'host.read',
  'metrics.read',
  'operation.read',
];

export type RoleName = 'admin' | 'operator';
