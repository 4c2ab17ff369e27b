/** All features. A new one is a folder and a line here. */

import { access } from '#features/access/index.ts';
import { accounting } from '#features/accounting/index.ts';
import { alerts } from '#features/alerts/index.ts';
import { audit } from '#features/audit/index.ts';
import { backupFiles } from '#features/backup-files/index.ts';
import { backups } from '#features/backups/index.ts';
import { consoles } from '#features/consoles/index.ts';
import { copies } from '#features/copies/index.ts';
import { exports } from '#features/exports/index.ts';
import { fence } from '#features/fence/index.ts';
import { healing } from '#features/healing/index.ts';
import { health } from '#features/health/index.ts';
import { healthChecks } from '#features/health-checks/index.ts';
import { hosts } from '#features/hosts/index.ts';
import { images } from '#features/images/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { metrics } from '#features/metrics/index.ts';
import { networks } from '#features/networks/index.ts';
import { notifications } from '#features/notifications/index.ts';
import { operations } from '#features/operations/index.ts';
import { projects } from '#features/projects/index.ts';
import { protection } from '#features/protection/index.ts';
import { quotas } from '#features/quotas/index.ts';
import { stateBackups } from '#features/state-backups/index.ts';
import { storage } from '#features/storage/index.ts';
import { support } from '#features/support/index.ts';
import { system } from '#features/system/index.ts';
import { verification } from '#features/verification/index.ts';
import { vms } from '#features/vms/index.ts';
import type { Feature } from '#platform/feature.ts';

export const features: readonly Feature[] = [
  projects,
  access,
  audit,
  operations,
  quotas,
  inventory,
  health,
  fence,
  hosts,
  metrics,
  exports,
  storage,
  networks,
  images,
  vms,
  backups,
  backupFiles,
  verification,
  accounting,
  notifications,
  protection,
  stateBackups,
  copies,
  healthChecks,
  healing,
  support,
  consoles,
  alerts,
  system,
];
