/** API tokens over HTTP. */

import type { Token } from '#contract/access.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';
import type { Directory } from './directory.ts';
import { page } from './page.ts';
import type { TokenRow, Tokens } from './tokens.ts';

export const tokenObject = (row: TokenRow): FoundObject => ({
  type: 'token',
  id: row.id,
  name: row.name,
  project: null,
  owner: row.userId,
});

/** @param hasProject whether a project has this id */
export function createTokenRoutes(
  tokens: Tokens,
  directory: Pick<Directory, 'snapshot'>,
  hasProject: (id: string) => boolean,
): Handlers {
  const view = (row: TokenRow): Token => ({
    id: row.id,
    name: row.name,
    user: directory.snapshot().users.get(row.userId)?.name ?? row.userId,
    userId: row.userId,
    state: tokens.isExpired(row) ? 'expired' : 'active',
    permissions: [...row.permissions],
    scope: row.scope,
    createdAt: row.createdAt,
    expiresAt: row.expiresAt,
    lastUsedAt: row.lastUsedAt,
  });

  return {
    'GET /tokens': ({ query, may }) =>
      page(
        tokens.all().filter((row) => may('self.manage', tokenObject(row)) || may('access.read', tokenObject(row))),
        query,
        view,
      ),
    'POST /tokens': async ({ body, identity }) => {
      if (!directory.snapshot().users.has(identity.userId))
        throw new AppError('wrong_state', {
          detail: 'A token belongs to a user, and a local socket is none.',
          hint: 'Sign in as the user and make it there.',
        });
      const id = body.scope.slice('project:'.length);
      if (body.scope.startsWith('project:') && !hasProject(id))
        throw new AppError('not_found', { detail: `There is no project "${id}".` });
      if (tokens.all().some((row) => row.userId === identity.userId && row.name === body.name))
        throw new AppError('already_exists', { detail: `You have a token "${body.name}" already.` });
      const { row, secret } = await tokens.create({ ...body, userId: identity.userId });
      return { ...view(row), secret };
    },
    'DELETE /tokens/{id}': async ({ params }) => {
      await tokens.revoke(params.id);
    },
  };
}
