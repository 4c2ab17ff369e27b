/** The three doors: HTTPS on the network, where nobody is trusted, and two local sockets, whose file rights say who one is. */

import type { IncomingMessage } from 'node:http';
import { type AccessApi, LOCAL_ADMIN, LOCAL_NAMES, LOCAL_OPERATOR } from '#features/access/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Identity } from '#platform/feature.ts';
import { bearerToken, checkHost, checkOrigin, refuseDoubledHeaders, sessionSecret } from './guard.ts';

export interface Door {
  readonly name: 'network' | 'admin' | 'operator';
  /** Who asks, or null for a stranger. @throws bad_request, wrong_host, cross_site */
  identify(request: IncomingMessage, isChange: boolean): Identity | null;
}

export function localDoor(name: 'admin' | 'operator'): Door {
  const userId = name === 'admin' ? LOCAL_ADMIN : LOCAL_OPERATOR;
  const identity: Identity = {
    userId,
    user: LOCAL_NAMES[userId],
    via: `${name}_socket`,
    method: 'socket',
    sessionId: null,
    tokenId: null,
    address: null,
  };
  return {
    name,
    identify(request) {
      refuseDoubledHeaders(request);
      return identity;
    },
  };
}

export function networkDoor(access: AccessApi, allowedHosts: ReadonlySet<string>): Door {
  return {
    name: 'network',
    identify(request, isChange) {
      refuseDoubledHeaders(request);
      const host = checkHost(request, allowedHosts);
      if (request.headers['transfer-encoding'] !== undefined && request.headers['content-length'] !== undefined) {
        throw new AppError('bad_request', { detail: 'Content-Length and Transfer-Encoding exclude each other.' });
      }
      const address = request.socket.remoteAddress ?? 'unknown';
      const secret = sessionSecret(request);
      const token = bearerToken(request);
      if (token !== null) {
        if (secret !== null) throw new AppError('bad_request', { detail: 'A cookie and a token exclude each other.' });
        // No browser sends this header by itself, so there is no other site to be wary of.
        return access.tokens.authenticate(token, address);
      }
      if (isChange) checkOrigin(request, host);
      return secret === null ? null : access.sessions.authenticate(secret, address);
    },
  };
}
