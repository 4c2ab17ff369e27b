/** API tokens over HTTP. */

import type { Token } from '#contract/access.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';
import type { Directory } from './directory.ts';
import { userOf } from './lookup.ts';
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
      const userId = body.user === undefined ? identity.userId : userOf(directory.snapshot(), body.user).id;
      // Who holds a token is its owner; root on the machine is everybody anyhow.
      if (userId !== identity.userId && identity.via !== 'admin_socket')
        throw new AppError('forbidden', {
          detail: 'Tokens for somebody else are made by root on the machine only.',
          hint: 'Leave the user out to make one of your own.',
        });
      if (!directory.snapshot().users.has(userId))
        throw new AppError('wrong_state', {
          detail: 'A token belongs to a user, and the local socket is none.',
          hint: 'Name the user it is for: `hv token create NAME --user USER …`.',
        });
      const id = body.scope.slice('project:'.length);
      if (body.scope.startsWith('project:') && !hasProject(id))
        throw new AppError('not_found', { detail: `There is no project "${id}".` });
      if (tokens.all().some((row) => row.userId === userId && row.name === body.name))
        throw new AppError('already_exists', { detail: `There is a token "${body.name}" of this user already.` });
      const { row, secret } = await tokens.create({ ...body, userId });
      return { ...view(row), secret };
    },
    'DELETE /tokens/{id}': async ({ params }) => {
      await tokens.revoke(params.id);
    },
  };
}
