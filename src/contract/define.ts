/** How an API operation is declared: one record per operation with method, path, permission and zod schemas.
 *  The same record gives validation, OpenAPI, the typed client and the permission matrix. */

import { z } from 'zod';
import { type Permission, PROVEN_PERMISSIONS } from './permissions.ts';

type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';

/** `GET /vms/{id}`: method and path below `/api/v1`; parameters in braces. */
export type RouteKey = `${Method} /${string}`;

export const OBJECT_TYPES = [
  'vm',
  'image',
  'network',
  'pool',
  'operation',
  'trash',
  'session',
  'key',
  'token',
  'upload',
  'host',
  'project',
  'user',
  'group',
  'role',
  'grant',
  'channel',
  'silence',
  'alert',
  'rule',
  'repository',
  'restore-point',
  'proof',
  'schedule',
] as const;
export type ObjectType = (typeof OBJECT_TYPES)[number];

/** Which object the permission is asked for; `param` names the path parameter that holds its id. */
export interface ObjectSource {
  readonly type: ObjectType;
  readonly param: string;
}

interface RouteBase {
  readonly summary: string;
  /** The permission is asked for this object. */
  readonly object?: ObjectSource;
  /** The permission is asked for the project that this field of the body names. */
  readonly project?: 'body';
  /** Whoever holds the permission anywhere may ask; the handler answers with what each may see, or asks for each object itself.
   *  Without `object`, `project` and this, the permission is asked for the whole system. */
  readonly list?: true;
  /** Needs a fresh proof (signature or passkey) of who acts, bound to this very request. The local admin socket is exempt.
   *  `or_fresh_sign_in`: a session that signed in less than five minutes ago needs none, so that a first key can be enrolled. */
  readonly stepUp?: true | 'or_fresh_sign_in';
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Schema of the success answer's JSON. Absent = no body (204). */
  readonly response?: z.ZodType;
  /** 200 unless said; 202 = an operation is answered. */
  readonly status?: 200 | 201 | 202 | 204;
  /** The answer or request is not JSON: `bytes` (with content type), `stream` (SSE), `websocket`, `upload` (raw request body). */
  readonly raw?: 'bytes' | 'stream' | 'websocket' | 'upload';
  /** A question that needs a body, as a plan: the audit log keeps its refusals for want of a right, and nothing else of it. */
  readonly changesNothing?: true;
  /** Reads data of guests: recorded in the audit log as changes are, with its query. */
  readonly takesDataOut?: true;
  /** The answer holds a secret that is shown once: it is kept for no repeated request. */
  readonly answersSecret?: true;
  /** Largest accepted JSON body, default 256 KiB. */
  readonly maxBodyBytes?: number;
}

/** An operation of the API. Exactly one of `permission` and `public` (with the reason) is given. */
export type RouteDefinition = RouteBase &
  (
    | { readonly permission: Permission; readonly public?: never }
    | { readonly public: string; readonly permission?: never }
  );

export type RouteTable = Readonly<Record<RouteKey, RouteDefinition>>;

/** Objects that are gone for good when they are deleted, whatever permission that needs. */
const GONE_FOR_GOOD: ReadonlySet<ObjectType> = new Set(['trash', 'project', 'key']);

/** Whether a route has to declare `stepUp: true`. */
export function mustAskForProof(key: string, { permission, object, changesNothing }: RouteDefinition): boolean {
  if (key.startsWith('GET ') || changesNothing || permission === undefined) return false;
  const isDeletion = key.startsWith('DELETE ');
  return PROVEN_PERMISSIONS.has(permission) || (isDeletion && object !== undefined && GONE_FOR_GOOD.has(object.type));
}

/** Declares the operations of one slice. */
export function defineRoutes<const Table extends RouteTable>(table: Table): Table {
  return table;
}

/** A page of a list: `next` is the cursor for the following page or null at the end. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), next: z.string().nullable(), total: z.int().nonnegative() });
}

/** Query fields that every list has. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(1000).default(1000).describe('how many at most'),
  cursor: z.string().max(200).optional().describe('`next` of the page before'),
};

export const idParam = (what: string) => z.object({ id: z.string().min(1).max(256).describe(what) });
