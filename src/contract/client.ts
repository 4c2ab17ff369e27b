/** A typed client of the API that needs no zod at run time: routes are named by `METHOD /path`.
 *  Used by the dashboard, the command line, the console menu and the tests. */

import type { Answer, ApiKey, SentBody, SentParams, SentQuery } from './api.ts';
import type { Problem } from './common.ts';

type Optional<Name extends string, Value> = [Value] extends [undefined]
  ? { readonly [Key in Name]?: undefined }
  : undefined extends Value
    ? { readonly [Key in Name]?: Value | undefined }
    : object extends Value
      ? { readonly [Key in Name]?: Value }
      : { readonly [Key in Name]: Value };

export type CallInput<Key extends ApiKey> = Optional<'params', SentParams<Key>> &
  Optional<'query', SentQuery<Key>> &
  Optional<'body', SentBody<Key>> & {
    readonly headers?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    readonly idempotencyKey?: string;
  };

type Arguments<Key extends ApiKey> = object extends CallInput<Key> ? [input?: CallInput<Key>] : [input: CallInput<Key>];

export type ApiClient = <Key extends ApiKey>(key: Key, ...args: Arguments<Key>) => Promise<Answer<Key>>;

/** What goes over the wire; `body` is JSON text. */
export interface WireRequest {
  readonly method: string;
  /** Path with query, beginning with `/api/v1/`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal | null;
}

export interface WireResponse {
  readonly status: number;
  readonly body: string;
}

/** A refused call, with the server's problem document. */
export class ApiProblem extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'ApiProblem';
    this.problem = problem;
  }
}

/** The path of a route with its parameters and query filled in. */
export function pathOf(key: ApiKey, params: object | undefined, query: object | undefined): string {
  const values = new Map<string, unknown>(Object.entries(params ?? {}));
  const template = key.slice(key.indexOf(' ') + 1);
  const path = template.replace(/\{(\w+)\}/g, (_match, name: string) =>
    encodeURIComponent(String(values.get(name) ?? '')),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) if (value !== undefined) search.set(name, String(value));
  const text = search.toString();
  return `/api/v1${path}${text ? `?${text}` : ''}`;
}

/** @param send carries one request out; rejects when the server cannot be reached. */
export function createApiClient(send: (request: WireRequest) => Promise<WireResponse>): ApiClient {
  const call = async (key: ApiKey, input: CallInput<ApiKey> = {}): Promise<unknown> => {
    const { params, query, body, headers = {}, signal, idempotencyKey } = input;
    const response = await send({
      method: key.slice(0, key.indexOf(' ')),
      path: pathOf(key, params, query),
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        ...headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
    if (response.status >= 400) throw new ApiProblem(parseProblem(response));
    return response.body === '' ? undefined : JSON.parse(response.body);
  };
  // The answer is what the same contract made on the server; parsing it again would cost the dashboard the whole of zod.
  return call as ApiClient;
}

function parseProblem(response: WireResponse): Problem {
  const fallback: Problem = {
    type: 'about:blank',
    title: 'The server answered with an error',
    status: response.status,
    code: 'internal_error',
    detail: `HTTP ${response.status}`,
    hint: 'Try again; if it stays so, look at the log of hyperd.',
    requestId: '',
  };
  try {
    const parsed: unknown = JSON.parse(response.body);
    return typeof parsed === 'object' && parsed !== null && 'code' in parsed
      ? { ...fallback, ...(parsed as Partial<Problem>) }
      : fallback;
  } catch {
    // Not JSON: a proxy or a broken connection answered; the status is all that is known.
    return fallback;
  }
}
