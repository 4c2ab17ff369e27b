/** Every operation of the API in one table, and the types that follow from it. */

import type { z } from 'zod';
import { accessRoutes, authRoutes } from './access.ts';
import { alertRoutes } from './alerts.ts';
import { auditRoutes } from './audit.ts';
import { backupCopyRoutes } from './backup-copies.ts';
import { backupFileRoutes } from './backup-files.ts';
import { backupRoutes } from './backups.ts';
import type { RouteDefinition } from './define.ts';
import { fenceRoutes } from './fence.ts';
import { healingRoutes } from './healing.ts';
import { healthRoutes, supportRoutes } from './health.ts';
import { imageRoutes } from './images.ts';
import { libvirtJobRoutes } from './libvirt-jobs.ts';
import { metricRoutes } from './metrics.ts';
import { networkRoutes, poolRoutes } from './networks.ts';
import { notificationRoutes } from './notifications.ts';
import { oidcRoutes } from './oidc.ts';
import { operationRoutes } from './operations.ts';
import { passkeyRoutes } from './passkeys.ts';
import { projectRoutes } from './projects.ts';
import { protectionRoutes } from './protection.ts';
import { quotaRoutes } from './quotas.ts';
import { signInRoutes } from './sign-in.ts';
import { stateBackupRoutes } from './state-backups.ts';
import { systemRoutes } from './system.ts';
import { verificationRoutes } from './verification.ts';
import { vmRoutes } from './vms.ts';

export const api = {
  ...systemRoutes,
  ...healthRoutes,
  ...supportRoutes,
  ...fenceRoutes,
  ...authRoutes,
  ...signInRoutes,
  ...accessRoutes,
  ...projectRoutes,
  ...quotaRoutes,
  ...auditRoutes,
  ...passkeyRoutes,
  ...oidcRoutes,
  ...operationRoutes,
  ...libvirtJobRoutes,
  ...vmRoutes,
  ...imageRoutes,
  ...networkRoutes,
  ...poolRoutes,
  ...metricRoutes,
  ...notificationRoutes,
  ...alertRoutes,
  ...healingRoutes,
  ...backupRoutes,
  ...backupFileRoutes,
  ...backupCopyRoutes,
  ...verificationRoutes,
  ...protectionRoutes,
  ...stateBackupRoutes,
};

export type Api = typeof api;
export type ApiKey = keyof Api;

type Member<Route, Name extends string> = Route extends { readonly [Key in Name]: infer Value } ? Value : undefined;
type SentBy<Schema> = Schema extends z.ZodType ? z.input<Schema> : undefined;
type ReadAs<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** What a caller of the API sends. */
export type SentParams<Key extends ApiKey> = SentBy<Member<Api[Key], 'params'>>;
export type SentQuery<Key extends ApiKey> = SentBy<Member<Api[Key], 'query'>>;
export type SentBody<Key extends ApiKey> = SentBy<Member<Api[Key], 'body'>>;

/** What a handler gets after validation. */
export type ParsedParams<Key extends ApiKey> = ReadAs<Member<Api[Key], 'params'>>;
export type ParsedQuery<Key extends ApiKey> = ReadAs<Member<Api[Key], 'query'>>;
export type ParsedBody<Key extends ApiKey> = ReadAs<Member<Api[Key], 'body'>>;

/** What a handler answers and a caller gets. */
export type Answer<Key extends ApiKey> = ReadAs<Member<Api[Key], 'response'>>;

/** The table with its precise types forgotten, for loops over all routes. */
export function allRoutes(): readonly (readonly [ApiKey, RouteDefinition])[] {
  return Object.keys(api)
    .filter((key): key is ApiKey => key in api)
    .map((key) => [key, api[key]] as const);
}
