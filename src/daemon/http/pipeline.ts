/** The one way that every API request takes: identify, parse, decide, record, act, record.
 *  Start-up fails when a route of the contract has no handler, no declared permission, or not the proof that its permission asks for. */

import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { type ApiKey, allRoutes } from '#contract/api.ts';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { mustAskForProof, type RouteDefinition } from '#contract/define.ts';
import type { Permission } from '#contract/permissions.ts';
import type { AccessApi } from '#features/access/index.ts';
import type { AuditApi, AuditEntry } from '#features/audit/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import { asConflict } from '#platform/db/sqlite-errors.ts';
import {
  type ApiRequest,
  type FoundObject,
  type Handlers,
  type Identity,
  type ObjectResolver,
  SYSTEM,
} from '#platform/feature.ts';
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

/** Holds nothing; only public routes answer it. */
const STRANGER: Identity = {
  userId: 'stranger',
  user: 'stranger',
  via: 'session',
  method: 'link',
  sessionId: null,
  tokenId: null,
  address: null,
};
/** What strangers of one address may send to the sign-in routes in a minute. */
const SIGN_INS = 30;
/** Other public requests that are no GET, as asking for a challenge or whether a code was confirmed. */
const QUESTIONS = 300;
/** Requests that say an alert of ours caused them: or a webhook that calls us would go round for ever. */
const CAUSED_BY_ALERTS = 1;
const LOOP_HEADER = 'x-hyper-loop';
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

/** Told as not found; recorded as denied. */
class Hidden extends AppError {
  constructor(options: { readonly detail: string }) {
    super('not_found', options);
  }
}

const forbidden = (permission: Permission): AppError =>
  new AppError('forbidden', { detail: `This needs the permission ${permission}.`, params: { permission } });

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** A permission that a route does not need by itself; only the sign-in routes are open to strangers. */
function permissionOf(key: string, definition: RouteDefinition): NonNullable<RouteDefinition['permission']> | null {
  if (definition.permission) return definition.permission;
  if (definition.public) return null;
  throw new Error(`route "${key}" declares no permission`);
}

/** @param isStarted false while features begin: what they know is not whole yet, so nothing is answered from it
 *  @throws Error at start-up for a route without handler, permission or the proof it must ask for, and for a handler without route */
export function createRoutes(
  handlers: Handlers,
  resolvers: Readonly<Record<string, ObjectResolver>>,
  access: AccessApi,
  audit: AuditApi,
  clock: Clock,
  isStarted: () => boolean,
): Route[] {
  const signIns = createAllowance(clock, SIGN_INS, 60_000);
  const questions = createAllowance(clock, QUESTIONS, 60_000);
  const causedByAlerts = createAllowance(clock, CAUSED_BY_ALERTS, 60_000);
  const repeated = createRepeatedAnswers(clock);
  const known = new Set(allRoutes().map(([key]) => String(key)));
  for (const key of Object.keys(handlers))
    if (!known.has(key)) throw new Error(`a handler answers "${key}", which is not in the contract`);

  /** The grant that allows it. @throws not_found, the same for what is not there and for what the asker may not know of; forbidden */
  const requireFor = (
    who: Identity,
    permission: Permission,
    object: FoundObject | null,
    type: string,
    id: string,
  ): string | null => {
    const { allow, visible, grant } = object
      ? access.decide(who, permission, object)
      : { allow: false, visible: false, grant: null };
    if (allow) return grant;
    if (visible) throw forbidden(permission);
    const problem = { detail: `There is no ${type} "${id.slice(0, 80)}".` };
    // Recorded for both alike, so that the time it takes tells them no more apart than the answer does.
    // Everybody manages his own things; those of all are managed with the right to manage access.
    const everywhere = permission === 'self.manage' ? 'access.manage' : permission;
    throw access.decide(who, everywhere, SYSTEM).allow ? new AppError('not_found', problem) : new Hidden(problem);
  };

  const resolve = async (type: string, id: string, who: Identity): Promise<FoundObject | null> => {
    const found = await resolvers[type]?.(id, (object) => access.sees(who, object));
    return found ?? null;
  };

  const requireProof = (stepUp: RouteDefinition['stepUp'], who: Identity, digest: string, action: string) => {
    if (!stepUp || who.via === 'admin_socket' || who.via === 'system') return;
    if (who.via === 'token') throw new AppError('token_cannot');
    if (who.sessionId !== null && access.hasProof(who.sessionId, digest, stepUp)) return;
    if (who.sessionId !== null) access.proofAsked(who.sessionId, digest, action);
    throw new AppError('step_up_required', { params: { digest, action } });
  };

  return allRoutes().map(([key, definition]) => {
    const found = handlers[key];
    if (!found) throw new Error(`no feature answers the route "${key}"`);
    // Each handler was checked against its own route where it was written; here all of them are driven by one loop.
    const handler = found as AnyHandler;
    const permission = permissionOf(key, definition);
    if (mustAskForProof(key, definition) && definition.stepUp !== true)
      throw new Error(`route "${key}" needs "stepUp: true": what it does asks for a fresh proof (PROVEN_PERMISSIONS)`);
    if (definition.object && !resolvers[definition.object.type])
      throw new Error(`nobody finds the objects of type "${definition.object.type}" that the route "${key}" is about`);
    // A misspelt filter must not answer as if there were none.
    const querySchema = definition.query?.strict();
    const isChange = !key.startsWith('GET ') || definition.raw === 'websocket';
    const isAudited = (isChange && definition.changesNothing !== true) || definition.takesDataOut === true;

    const entryFor = (
      request: Pick<RawRequest, 'identity' | 'address' | 'requestId'>,
      object: FoundObject | null,
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
      actorId: request.identity?.userId ?? null,
      method: request.identity?.method ?? null,
      sessionId: request.identity?.sessionId ?? request.identity?.tokenId ?? null,
      project: object?.project ?? null,
    });

    const enter = async ({ identify, address, requestId }: Arrival): Promise<Identity | null> => {
      if (!isStarted()) {
        throw new AppError('unavailable', { detail: 'hyperd is starting.', hint: 'Try again in a moment.' });
      }
      let identity: Identity | null = null;
      try {
        identity = identify();
        if (permission === null && isChange && address !== null && !(isAudited ? signIns : questions).take(address))
          throw new AppError('too_many_requests');
        if (permission !== null && !identity) throw new AppError('not_signed_in');
        // Which object it is about is known later; who holds the permission for none need not send a body.
        if (permission !== null && identity && !access.holds(identity, permission)) throw forbidden(permission);
        return identity;
      } catch (error) {
        const problem = toAppError(error);
        const entry = entryFor({ identity, address, requestId }, null);
        await audit.record({ ...entry, phase: 'outcome', outcome: 'denied', code: problem.code });
        throw problem;
      }
    };

    const run = async (request: RawRequest): Promise<unknown> => {
      const identity = request.identity ?? { ...STRANGER, address: request.address };
      let object: FoundObject | null = null;
      let actor: Pick<AuditEntry, 'actor' | 'actorId'> | null = null;
      let isRecorded = false;
      const entry = () => ({ ...entryFor(request, object), ...(actor === null ? {} : actor) });
      let grant: string | null = null;
      const require = (asked: FoundObject | null, type: string, id: string) => {
        if (permission === null) return;
        grant = requireFor(identity, permission, asked, type, id);
      };
      const refuse = async (error: AppError, outcome: 'denied' | 'invalid' | 'failed') => {
        if (isAudited || outcome === 'denied') {
          await audit.record({ ...entry(), phase: 'outcome', outcome, code: error.code });
        }
        throw error;
      };

      try {
        if (isChange && request.headers[LOOP_HEADER] !== undefined && !causedByAlerts.take(identity.userId))
          throw new AppError('too_many_requests');
        const params = parse(definition.params, 'params', request.params);
        if (definition.object && isRecord(params)) {
          const { type, param } = definition.object;
          const id = String(params[param]);
          object = (await resolve(type, id, identity)) ?? null;
          require(object, type, id);
          // From here on it is known by its own id; a name may be that of somebody else's object too.
          if (object) params[param] = object.id;
        } else if (permission !== null && !definition.list && definition.project === undefined) {
          require({ ...SYSTEM, name: 'system' }, 'system', 'system');
        }
        const query = parse(querySchema, 'query', request.query);
        const body = definition.raw === 'upload' ? undefined : parse(definition.body, 'body', request.body);
        if (definition.project === 'body' && isRecord(body)) {
          const id = String(body['project'] ?? DEFAULT_PROJECT);
          object = (await resolve('project', id, identity)) ?? null;
          require(object, 'project', id);
          if (object) body['project'] = object.id;
        }
        const requestHash = hashOf(key, request.url, request.body);
        const action = `${definition.summary}${object ? `: ${object.name}` : ''} (${key})`;
        requireProof(definition.stepUp, identity, requestHash, action);
        const idempotencyKey = request.headers['idempotency-key'] ?? null;
        if (idempotencyKey !== null && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
          throw new AppError('invalid_input', {
            detail: 'The Idempotency-Key must be 1 to 128 printable ASCII characters.',
            hint: 'Use a UUID.',
          });
        }
        const isOperation = definition.status === 202;
        if (isAudited && !isOperation && definition.raw !== 'upload') {
          const intent = { ...entry(), grant, phase: 'intent', outcome: null, code: null } as const;
          // A guess in a flood of guesses. One that is right is recorded before its answer, which holds the session, goes out.
          const isOneOfMany = permission === null && audit.isCounting(intent);
          if (!isOneOfMany) {
            const told = definition.takesDataOut
              ? { params: query, schema: querySchema }
              : { params: body, schema: definition.body };
            await audit.record({ ...intent, ...told });
          }
          isRecorded = true;
        }
        const act = async () =>
          handler({
            // The schemas of this very route made these values.
            params: params as never,
            query: query as never,
            body: body as never,
            identity,
            project: object?.project ?? null,
            isBy(who) {
              actor = { actor: who.user, actorId: who.userId };
            },
            reach: (asked) => access.reach(identity, asked),
            may: (asked, ref) => access.decide(identity, asked, ref).allow,
            require: (asked, ref) => void requireFor(identity, asked, ref, ref.type, ref.name),
            requestId: request.requestId,
            headers: request.headers,
            idempotencyKey,
            requestHash,
            signal: request.signal,
            stream: request.stream,
          });
        const isRepeatable =
          idempotencyKey !== null &&
          key.startsWith('POST ') &&
          !isOperation &&
          !definition.answersSecret &&
          request.identity !== null;
        const answer = isRepeatable
          ? await repeated.once(identity.userId, idempotencyKey, requestHash, act)
          : await act();
        if (isRecorded) await audit.record({ ...entry(), phase: 'outcome', outcome: 'done', code: null });
        return answer;
      } catch (error) {
        const problem = toAppError(asConflict(error));
        if (['unavailable', 'audit_unavailable'].includes(problem.code) && !isRecorded && isChange) throw problem;
        const isDenied = problem.status === 403 || problem.status === 401 || error instanceof Hidden;
        return refuse(problem, isDenied ? 'denied' : problem.status < 500 ? 'invalid' : 'failed');
      }
    };
    return { key, definition, isChange, enter, run };
  });
}
