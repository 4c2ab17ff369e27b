/** Grants that follow from groups at an identity provider: marked with where they come from, and made anew at each sign-in. */

import type { Clock } from '#kernel/clock.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { idOfScope } from '#kernel/names.ts';
import type { Transaction } from '#platform/db/database.ts';
import type { FoundObject } from '#platform/feature.ts';
import type { Directory, DirectoryTables } from '../directory.ts';
import { findRole } from '../lookup.ts';
import { isBuiltInRole } from '../rights.ts';

export const sourceOf = (providerId: string): string => `oidc:${providerId}`;

export interface MappedGrantParts {
  readonly directory: Directory;
  readonly clock: Clock;
  readonly log: Logger;
  readonly findProject: (idOrName: string) => { readonly id: string } | null;
  readonly findVm: (idOrName: string) => FoundObject | null;
}

interface Wanted {
  readonly role: string;
  readonly scope: string;
  readonly project: string | null;
}

export interface MappedGrants {
  /** Makes these, and no others, the grants that this user has from this provider. What names no role, project or VM is left out.
   *  @throws last_administrator when that would leave nobody who manages access */
  set(
    userId: string,
    providerId: string,
    grants: readonly { readonly role: string; readonly scope: string }[],
  ): Promise<void>;
  /** Takes away what came from providers that are no longer configured. */
  removeAllBut(providerIds: readonly string[]): Promise<void>;
}

const keyOf = ({ role, scope }: { readonly role: string; readonly scope: string }): string => `${role} ${scope}`;

export function createMappedGrants({ directory, clock, log, findProject, findVm }: MappedGrantParts): MappedGrants {
  const at = (tx: Transaction) => tx.tables<DirectoryTables>();

  const resolve = (role: string, scope: string): Wanted | null => {
    const snapshot = directory.snapshot();
    const roleId = isBuiltInRole(role) ? role : findRole(snapshot, role)?.id;
    if (roleId === undefined) return null;
    const id = idOfScope(scope);
    if (scope === 'all') return { role: roleId, scope, project: null };
    if (scope.startsWith('project:')) {
      const project = findProject(id);
      return project && { role: roleId, scope: `project:${project.id}`, project: project.id };
    }
    const vm = findVm(id);
    return vm && { role: roleId, scope: `vm:${vm.id}`, project: vm.project };
  };

  return {
    async set(userId, providerId, grants) {
      const source = sourceOf(providerId);
      const wanted = new Map<string, Wanted>();
      for (const { role, scope } of grants) {
        const found = resolve(role, scope);
        if (found) wanted.set(keyOf(found), found);
        else
          log.warn({ provider: providerId, role, scope }, 'a group gives a role on what is not there; it is left out');
      }
      const held = [...directory.snapshot().grants.values()].filter(
        (grant) => grant.subjectType === 'user' && grant.subjectId === userId && grant.source === source,
      );
      const over = held.filter((grant) => !wanted.has(keyOf(grant))).map(({ id }) => id);
      const missing = [...wanted.values()].filter((want) => !held.some((grant) => keyOf(grant) === keyOf(want)));
      // Most sign-ins change nothing, and then nobody's rights need to be computed anew.
      if (over.length === 0 && missing.length === 0) return;
      const now = clock.now();
      await directory.change(async (tx) => {
        if (over.length > 0) await at(tx).deleteFrom('access_grant').where('id', 'in', over).execute();
        for (const { role, scope, project } of missing)
          await at(tx)
            .insertInto('access_grant')
            .values({
              id: newId('grant', now.getTime()),
              subject_type: 'user',
              subject_id: userId,
              role,
              scope,
              project_id: project,
              source,
              created_at: now.toISOString(),
              created_by: source,
            })
            .execute();
      });
    },

    async removeAllBut(providerIds) {
      const known = new Set(providerIds.map(sourceOf));
      const ids = [...directory.snapshot().grants.values()]
        .filter(({ source }) => source.startsWith('oidc:') && !known.has(source))
        .map(({ id }) => id);
      if (ids.length === 0) return;
      log.info({ count: ids.length }, 'grants of identity providers that are no longer configured are removed');
      await directory.change((tx) => at(tx).deleteFrom('access_grant').where('id', 'in', ids).execute());
    },
  };
}
