/** Nobody gives, changes or takes away more than he holds himself. */

import { AppError } from '#kernel/errors.ts';
import type { Identity } from '#platform/feature.ts';
import type { RightsTable } from './policy.ts';
import { beyond, type RightsSource } from './rights.ts';

export interface OwnRights {
  /** @throws beyond_own_rights */
  requireWithin(who: Identity, wanted: RightsTable): void;
  /** Managing a user is as good as being him, also while he is disabled: whoever manages him can enable him. @throws beyond_own_rights */
  requireOver(who: Identity, userId: string): void;
}

/** @param projectOf the project that a VM is in; null for one that is not there */
export function createOwnRights(rights: RightsSource, projectOf: (vmId: string) => string | null): OwnRights {
  const requireWithin = (who: Identity, wanted: RightsTable) => {
    const missing = beyond(wanted, rights.of(who.userId), projectOf);
    if (missing.length === 0) return;
    throw new AppError('beyond_own_rights', {
      detail: `You do not hold ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ` and ${missing.length - 5} more` : ''} there.`,
      params: { permissions: missing },
    });
  };
  return { requireWithin, requireOver: (who, userId) => requireWithin(who, rights.ofEnabled(userId)) };
}
