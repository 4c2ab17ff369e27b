/** The one way that every API request takes: identify, parse, decide, record, act, record.
 *  Start-up fails when a route of the contract has no handler or no declared permission. */

import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { type ApiKey, allRoutes } from '#contract/api.ts';
import type { RouteDefinition } from '#contract/define.ts';
import type { AccessApi } from '#features/access/index.ts';
import type { AuditApi, AuditEntry } from '#features/audit/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import type { ApiRequest, Handlers, Identity, ObjectResolver } from '#platform/feature.ts';
import { createAllowance } from './flood.ts';
import { invalidInput } from './problem.ts';
import { createRepeatedAnswers } from './repeat.ts';

/** What is known of a request before its body is read. */
export interface Arrival {
  /** Who asks, or null for a stranger. @throws AppError for a request that no route may see */
  readonly identify: () => Identity | null;
  readonly address: string | null;
  readonly requestId: string;
}

export interface RawRequest {
  /** As `enter` answered. */
  readonly identity: Identity | null;
  readonly address: string | null;
  readonly requestId: string;
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly stream: Readable | null;
}

type AnyHandler = (request: ApiRequest<ApiKey>) => unknown;

export interface Route {
  readonly key: ApiKey;
  readonly definition: RouteDefinition;
  readonly isChange: boolean;
  /** The first half: who asks, and may he? Refusals are recorded. Called before a byte of the body is read. */
  enter(arrival: Arrival): Promise<Identity | null>;
  /** The second half: parse, record, act, record. */
  run(request: RawRequest): Promise<unknown>;
}

const STRANGER: Identity = { user: 'stranger', role: 'operator', via: 'session', sessionId: null, address: null };
/** Audit rows that strangers of one address can cause in a minute; the rest is only counted. */
const STRANGER_AUDIT_ROWS = 20;
/** Sign-in attempts of one address in a minute. */
const SIGN_INS = 30;
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,128}$/;

function parse(schema: z.ZodType | undefined, where: 'body' | 'query' | 'params', value: unknown): unknown {
  if (!schema) {
    const isEmpty =
      value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!isEmpty && where !== 'params')
      throw invalidInput(where, [{ code: 'custom', path: [], message: `this route takes no ${where}`, input: value }]);
    return undefined;
  }
  const result = schema.safeParse(value === null ? undefined : value, { reportInput: true });
  if (!result.success) throw invalidInput(where, result.error.issues);
  return result.data;
}

function hashOf(key: string, url: string, body: unknown): string {
  return createHash('sha256')
    .update(`${key}\n${url}\n${JSON.stringify(body ?? null)}`)
    .digest('hex');
}

/** A permission that a route does not need by itself; only the sign-in routes are open to strangers. */
function permissionOf(key: string, definition: RouteDefinition): NonNullable<RouteDefinition['permission']> | null {
  if (definition.permission) return definition.permission;
  if (definition.public) return null;
  throw new Error(`route "${key}" declares no permission`);
}

/** @param isStarted false while features begin: what they know is not whole yet, so nothing is answered from it
 *  @throws Error at start-up for a route without handler or permission, and for a handler without route */
export function createRoutes(
  handlers: Handlers,
  resolvers: Readonly<Record<string, ObjectResolver>>,
  access: AccessApi,
  audit: AuditApi,
  clock: Clock,
  isStarted: () => boolean,
): Route[] {
  const strangerRows = createAllowance(clock, STRANGER_AUDIT_ROWS, 60_000);
  const signIns = createAllowance(clock, SIGN_INS, 60_000);
  const repeated = createRepeatedAnswers(clock);
  const known = new Set(allRoutes().map(([key]) => String(key)));
  for (const key of Object.keys(handlers))
    if (!known.has(key)) throw new Error(`a handler answers "${key}", which is not in the contract`);
  return allRoutes().map(([key, definition]) => {
    const found = handlers[key];
    if (!found) throw new Error(`no feature answers the route "${key}"`);
    // Each handler was checked against its own route where it was written; here all of them are driven by one loop.
    const handler = found as AnyHandler;
    const permission = permissionOf(key, definition);
    const isChange = !key.startsWith('GET ') || definition.raw === 'websocket';
    const isAudited = isChange && definition.changesNothing !== true;

    const entryFor = (
      request: Pick<RawRequest, 'identity' | 'address' | 'requestId'>,
      object: { id: string; name: string } | null,
    ): Omit<AuditEntry, 'phase' | 'outcome' | 'code'> => ({
      actor: request.identity?.user ?? STRANGER.user,
      via: request.identity?.via ?? 'network',
      address: request.address,
      action: key,
      permission,
      objectType: definition.object?.type ?? null,
      objectId: object?.id ?? null,
      objectName: object?.name ?? null,
      requestId: request.requestId,
      operationId: null,
    });

    const enter = async ({ identify, address, requestId }: Arrival): Promise<Identity | null> => {
      if (!isStarted()) {
        throw new AppError('unavailable', { detail: 'hyperd is starting.', hint: 'Try again in a moment.' });
      }
      let identity: Identity | null = null;
      try {
        identity = identify();
        if (key === 'POST /auth/link' && !signIns.take(address ?? 'local')) throw new AppError('too_many_requests');
        if (permission !== null && !identity) throw new AppError('not_signed_in');
        if (permission !== null && identity && !access.decide(identity, permission)) {
          throw new AppError('forbidden', {
            detail: `This needs the permission ${permission}.`,
            params: { permission },
          });
        }
        return identity;
      } catch (error) {
        const problem = toAppError(error);
        // A stranger's flood is folded: a few rows tell of it, the rest is only counted.
        if (identity || strangerRows.take(address ?? 'local')) {
          const entry = entryFor({ identity, address, requestId }, null);
          await audit.record({ ...entry, phase: 'outcome', outcome: 'denied', code: problem.code });
        }
        throw problem;
      }
    };

    const run = async (request: RawRequest): Promise<unknown> => {
      let object: { id: string; name: string } | null = null;
      let isRecorded = false;
      const refuse = async (error: AppError, outcome: 'denied' | 'invalid' | 'failed') => {
        if (isAudited || outcome === 'denied') {
          await audit.record({ ...entryFor(request, object), phase: 'outcome', outcome, code: error.code });
        }
        throw error;
      };

      try {
        const params = parse(definition.params, 'params', request.params);
        if (definition.object && typeof params === 'object' && params !== null) {
          const resolve = resolvers[definition.object.type];
          const id = String(Object.entries(params).find(([name]) => name === definition.object?.param)?.[1] ?? '');
          object = resolve ? resolve(id) : { id, name: id };
          if (!object)
            throw new AppError('not_found', { detail: `There is no ${definition.object.type} "${id.slice(0, 80)}".` });
        }
        const query = parse(definition.query, 'query', request.query);
        const body = definition.raw === 'upload' ? undefined : parse(definition.body, 'body', request.body);
        const idempotencyKey = request.headers['idempotency-key'] ?? null;
        if (idempotencyKey !== null && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
          throw new AppError('invalid_input', {
            detail: 'The Idempotency-Key must be 1 to 128 printable ASCII characters.',
            hint: 'Use a UUID.',
          });
        }
        const isOperation = definition.status === 202;
        if (isAudited && !isOperation && definition.raw !== 'upload') {
          await audit.record({ ...entryFor(request, object), phase: 'intent', outcome: null, code: null });
          isRecorded = true;
        }
        const requestHash = hashOf(key, request.url, request.body);
        const act = async () =>
          handler({
            // The schemas of this very route made these values.
            params: params as never,
            query: query as never,
            body: body as never,
            identity: request.identity ?? { ...STRANGER, address: request.address },
            requestId: request.requestId,
            headers: request.headers,
            idempotencyKey,
            requestHash,
            signal: request.signal,
            stream: request.stream,
          });
        const isRepeatable =
          idempotencyKey !== null && key.startsWith('POST ') && !isOperation && request.identity !== null;
        const answer = isRepeatable
          ? await repeated.once(request.identity?.user ?? '', idempotencyKey, requestHash, act)
          : await act();
        if (isRecorded)
          await audit.record({ ...entryFor(request, object), phase: 'outcome', outcome: 'done', code: null });
        return answer;
      } catch (error) {
        const problem = toAppError(error);
        if (problem.code === 'unavailable' && !isRecorded && isChange) throw problem;
        return refuse(
          problem,
          problem.status === 403 || problem.status === 401 ? 'denied' : problem.status < 500 ? 'invalid' : 'failed',
        );
      }
    };
    return { key, definition, isChange, enter, run };
  });
}
