/** Access: who asks, and what he may do. Users, groups, roles, grants, sessions, tokens, and the one policy function.
 *  Tables: user, user_group, group_member, role, access_grant, session, sign_in_link, api_token, ssh_key,
 *  passkey, oidc_identity. Events out: access.changed.
 *  Events in: project.removed. Permissions: self.manage, access.read, access.manage. Guide: docs/guides/access.md */

import { accessErrors } from '#contract/access.ts';
import { oidcErrors } from '#contract/oidc.ts';
import { passkeyErrors } from '#contract/passkeys.ts';
import type { Permission } from '#contract/permissions.ts';
import { signInErrors } from '#contract/sign-in.ts';
import { audit } from '#features/audit/index.ts';
import { projects } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import { type Decide, defineFeature, type Identity, type ObjectRef } from '#platform/feature.ts';
import { createDirectory, type Directory, type DirectoryTables, directoryMigration } from './directory.ts';
import { createGrantRoutes, type ScopeObjects } from './grant-routes.ts';
import { findGroup, findRole, findUser, grantObject, groupObject, userObject } from './lookup.ts';
import { createOidc, oidcIssuerMigration, oidcMigration } from './oidc/index.ts';
import { createOwnRights } from './own-rights.ts';
import { createPasskeys, passkeyMigration } from './passkeys/index.ts';
import { decideBy, holdsAnywhere, type RightsTable, reachOf, seenBy, type TokenLimit } from './policy.ts';
import { createRights, hasAdministrator, isBuiltInRole, LOCAL_ADMIN, LOCAL_NAMES, LOCAL_OPERATOR } from './rights.ts';
import { createAuthRoutes, describeIdentity, sessionCookie, sessionObject } from './routes.ts';
import { createSessions, type Sessions, sessionMigration } from './sessions.ts';
import { createSsh, sshKeyMigration } from './ssh/index.ts';
import { createStepUp } from './step-up.ts';
import { createTokenRoutes, tokenObject } from './token-routes.ts';
import { createTokens, type Tokens } from './tokens.ts';
import { createUserRoutes } from './user-routes.ts';

export { decideBy, holdsAnywhere } from './policy.ts';
export { createRights, LOCAL_ADMIN, LOCAL_NAMES, LOCAL_OPERATOR } from './rights.ts';
export { SESSION_COOKIE } from './routes.ts';

/** By UUID, or by name among those that are visible. */
type FindVm = ScopeObjects['vm'];

/** How long a sign-in counts as a proof where a route says so. */
const FRESH_SIGN_IN_MS = 5 * 60_000;

export interface AccessApi {
  readonly decide: Decide;
  /** Whether somebody holds a permission for anything at all. */
  holds(who: Identity, permission: Permission): boolean;
  readonly sessions: Pick<Sessions, 'authenticate' | 'onSessionEnded'>;
  /** The cookie with a session's new secret, when its user's rights changed since the last one; else null. */
  renewedCookie(sessionId: string): Promise<{ readonly 'set-cookie': string } | null>;
  readonly tokens: Pick<Tokens, 'authenticate'>;
  /** Where a permission is held; null = everywhere. */
  reach(
    who: Identity,
    permission: Permission,
  ): { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;
  /** Whether the asker may know that the object exists. */
  sees(who: Identity, object: ObjectRef): boolean;
  /** Whether the session's owner has proven himself for this request; see `stepUp` of routes. */
  hasProof(sessionId: string, digest: string, kind: true | 'or_fresh_sign_in'): boolean;
  /** A request of the session was refused for want of a proof. @param action what it was, for people */
  proofAsked(sessionId: string, digest: string, action: string): void;
  /** Grows with each change of users, groups, roles, grants or tokens. */
  version(): number;
  /** What a user is called; null when there is no such user any more. */
  nameOf(userId: string): string | null;
  /** A VM belongs to another project now: grants on it are that project's to manage. */
  vmMoved(vmId: string, project: string): Promise<void>;
  /** Lets grants speak of VMs; called once by the slice that has them. */
  findVmsBy(find: FindVm): void;
}

export const access = defineFeature<AccessApi>({
  name: 'access',
  needs: ['projects', 'audit'],
  migrations: [
    sessionMigration,
    directoryMigration,
    sshKeyMigration,
    passkeyMigration,
    oidcMigration,
    oidcIssuerMigration,
  ],
  errors: { ...accessErrors, ...signInErrors, ...passkeyErrors, ...oidcErrors },
  setup({ db, clock, log, config, address, events, use }) {
    const registry = use(projects);
    const directory: Directory = createDirectory(
      db,
      (before, after) => {
        if (hasAdministrator(before) && !hasAdministrator(after)) throw new AppError('last_administrator');
      },
      (version) => {
        sessions.rightsChanged();
        events.emit('access.changed', { version });
      },
    );
    const rights = createRights(directory.snapshot, config.console.operatorSeesScreens);
    let findVm: FindVm = () => null;
    const anyVm = (idOrName: string) => findVm(idOrName, () => true);
    const ownRights = createOwnRights(rights, (vmId) => anyVm(vmId)?.project ?? null);
    const sessions = createSessions({ db, clock, log, directory, rights });
    const tokens = createTokens({ db, clock, directory });
    const stepUp = createStepUp(clock);

    const NOTHING: RightsTable = new Map();
    /** A token that is over limits to nothing. */
    const limitOf = (who: Identity): TokenLimit | null =>
      who.tokenId === null ? null : (tokens.limit(who.tokenId) ?? { permissions: new Set(), scope: 'all' });
    const rightsOf = (who: Identity): RightsTable => (who.via === 'system' ? NOTHING : rights.of(who.userId));
    const decide: Decide = (who, permission, object) =>
      who.via === 'system'
        ? { allow: true, visible: true, grant: 'system' }
        : decideBy(who.userId, rightsOf(who), limitOf(who), permission, object);
    const describe = (who: Identity) =>
      describeIdentity(who, rightsOf(who), limitOf(who), directory.snapshot(), (id) => registry.get(id)?.name ?? id);
    const now = () => directory.snapshot();
    const common = { db, clock, log, config, address, directory, sessions, stepUp, ownRights, describe };
    const ssh = createSsh({ ...common, authorizedKeys: config.access.authorizedKeys });
    const passkeys = createPasskeys({ ...common, audit: use(audit), hasOtherFactor: ssh.hasKey });
    const oidc = createOidc({ ...common, findProject: registry.get, findVm: anyVm });
    const removeGrantsOfProjects = async () => {
      const orphans = [...now().grants.values()].filter(
        ({ project, scope }) => project !== null && scope.startsWith('project:') && registry.get(project) === null,
      );
      if (orphans.length === 0) return;
      const ids = orphans.map(({ id }) => id);
      await directory.change((tx) =>
        tx.tables<DirectoryTables>().deleteFrom('access_grant').where('id', 'in', ids).execute(),
      );
    };
    const subscriptions: (() => void)[] = [sessions.onSessionEnded(stepUp.forget)];

    return {
      api: {
        decide,
        holds: (who, permission) => who.via === 'system' || holdsAnywhere(rightsOf(who), limitOf(who), permission),
        reach: (who, permission) => (who.via === 'system' ? null : reachOf(rightsOf(who), limitOf(who), permission)),
        sees: (who, object) => {
          const asked = seenBy(object.type);
          return asked === null || decide(who, asked, object).allow || decide(who, 'self.manage', object).allow;
        },
        hasProof: (sessionId, digest, kind) =>
          stepUp.has(sessionId, digest) ||
          (kind === 'or_fresh_sign_in' && (sessions.ageMs(sessionId) ?? Number.POSITIVE_INFINITY) < FRESH_SIGN_IN_MS),
        proofAsked: stepUp.asked,
        sessions,
        renewedCookie: async (id) => (sessions.mustRenew(id) ? sessionCookie(await sessions.renew(id)) : null),
        tokens,
        version: () => directory.snapshot().version,
        nameOf: (userId) =>
          directory.snapshot().users.get(userId)?.name ??
          (userId === LOCAL_ADMIN || userId === LOCAL_OPERATOR ? LOCAL_NAMES[userId] : null),
        vmMoved: (vmId, project) =>
          directory.change(async (tx) => {
            await tx
              .tables<DirectoryTables>()
              .updateTable('access_grant')
              .set({ project_id: project })
              .where('scope', '=', `vm:${vmId}`)
              .execute();
          }),
        findVmsBy(find) {
          findVm = find;
        },
      },
      handlers: {
        ...createAuthRoutes({ sessions, directory, ownRights, address, describe }),
        ...createUserRoutes({ directory, rights, ownRights, sessions, tokens, clock }),
        ...createGrantRoutes({
          directory,
          rights,
          ownRights,
          decide,
          objects: { project: registry.get, vm: (idOrName, isVisible) => findVm(idOrName, isVisible) },
          clock,
        }),
        ...ssh.handlers,
        ...passkeys.handlers,
        ...oidc.handlers,
        ...createTokenRoutes(tokens, directory, (id) => registry.get(id)?.id === id),
      },
      resolvers: {
        ...ssh.resolvers,
        session(id) {
          const session = sessions.find(id);
          return session ? sessionObject(session) : null;
        },
        token(id) {
          const row = tokens.get(id);
          return row ? tokenObject(row) : null;
        },
        user(idOrName) {
          const user = findUser(now(), idOrName);
          return user ? userObject(now(), user) : null;
        },
        group(idOrName) {
          const group = findGroup(now(), idOrName);
          return group ? groupObject(now(), group) : null;
        },
        role(idOrName) {
          const role = isBuiltInRole(idOrName) ? { id: idOrName, name: idOrName } : findRole(now(), idOrName);
          return role ? { type: 'role', id: role.id, name: role.name, project: null, sharedWith: 'all' } : null;
        },
        grant(id) {
          const grant = now().grants.get(id);
          return grant ? grantObject(grant) : null;
        },
      },
      async start(signal) {
        await directory.load();
        await tokens.load();
        await ssh.load();
        await sessions.load(signal);
        await oidc.start();
        await removeGrantsOfProjects();
        subscriptions.push(
          events.on('project.removed', () => {
            removeGrantsOfProjects().catch((error: unknown) =>
              log.warn({ err: error }, 'grants on a removed project could not be removed; the next start does it'),
            );
          }),
        );
      },
      async stop() {
        for (const end of subscriptions.splice(0)) end();
        await sessions.stop();
      },
    };
  },
});
