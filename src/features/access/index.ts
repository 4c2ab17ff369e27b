/** Access: who asks, and whether they may. Sessions by one-time link; local sockets by their file rights.
 *  Tables: session, sign_in_link. Events: none on the bus; `onSessionEnded` for streams. Permissions: self.manage, access.manage. Guide: docs/guides/access.md */

import { accessErrors } from '#contract/system.ts';
import { defineFeature } from '#platform/feature.ts';
import { decide } from './policy.ts';
import { createAccessRoutes } from './routes.ts';
import { type AccessApi, accessMigrations, createSessions } from './sessions.ts';

export { SESSION_COOKIE } from './routes.ts';
export type { AccessApi } from './sessions.ts';

export const access = defineFeature<AccessApi>({
  name: 'access',
  migrations: accessMigrations,
  errors: accessErrors,
  setup({ db, clock, log, config, address }) {
    const sessions = createSessions({ db, clock, log });
    return {
      api: { ...sessions, decide: (who, permission) => decide(who, permission, config.console.operatorSeesScreens) },
      handlers: createAccessRoutes(sessions, address, config.console.operatorSeesScreens),
      resolvers: { session: (id) => sessions.find(id) },
      start: sessions.load,
      stop: sessions.stop,
    };
  },
});
