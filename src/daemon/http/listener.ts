/** The three doors: HTTPS on the network, where nobody is trusted, and two local sockets, whose file rights say who one is. */

import type { IncomingMessage } from 'node:http';
import type { AccessApi } from '#features/access/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Identity } from '#platform/feature.ts';
import { checkHost, checkOrigin, refuseDoubledHeaders, sessionSecret } from './guard.ts';

export interface Door {
  readonly name: 'network' | 'admin' | 'operator';
  /** Who asks, or null for a stranger. @throws bad_request, wrong_host, cross_site */
  identify(request: IncomingMessage, isChange: boolean): Identity | null;
}

export function localDoor(name: 'admin' | 'operator'): Door {
  const identity: Identity = {
    user: name === 'admin' ? 'root' : 'operator',
    role: name,
    via: `${name}_socket`,
    sessionId: null,
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
      if (isChange) checkOrigin(request, host);
      const secret = sessionSecret(request);
      return secret === null ? null : access.authenticate(secret, request.socket.remoteAddress ?? 'unknown');
    },
  };
}
