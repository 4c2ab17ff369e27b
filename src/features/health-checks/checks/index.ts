/** All health checks. A new one is one entry in one of these groups, or a new group here. */

import { defineHealthChecks, type HealthCheck } from '../check.ts';
import { backupChecks } from './backups.ts';
import { hardwareChecks } from './hardware.ts';
import { hostChecks } from './host.ts';
import { hostDriftChecks } from './hosts.ts';
import { libvirtChecks } from './libvirt.ts';
import { networkChecks } from './network.ts';
import { poolChecks } from './pools.ts';
import { securityChecks } from './security.ts';
import { selfChecks } from './self.ts';
import { spaceChecks } from './space.ts';
import { systemChecks } from './system.ts';
import { vmChecks } from './vms.ts';

export const healthCheckList: readonly HealthCheck[] = defineHealthChecks([
  hostChecks,
  spaceChecks,
  poolChecks,
  hardwareChecks,
  networkChecks,
  systemChecks,
  libvirtChecks,
  vmChecks,
  backupChecks,
  securityChecks,
  hostDriftChecks,
  selfChecks,
]);
