/** The API client of the dashboard, who is signed in, and what a failure looks like to the pages. */

import { signal } from '@preact/signals';
import { ApiProblem, createApiClient } from '#contract/client.ts';
import type { Problem } from '#contract/common.ts';
import type { Permission } from '#contract/permissions.ts';
import type { IdentityView } from '#contract/system.ts';
import { text } from '../text.ts';

/** `unknown` until the first answer; `signed_out` shows the sign-in page instead of every other page. */
export type SessionState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'signed_out' }
  | { readonly kind: 'signed_in'; readonly identity: IdentityView };

export const session = signal<SessionState>({ kind: 'unknown' });

/** The daemon could not be reached at all: no HTTP answer came. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super(text.errors.unreachable.detail, { cause });
    this.name = 'Unreachable';
  }
}

export const api = createApiClient(async ({ method, path, headers, body, signal: abort }) => {
  const response = await reach(path, { method, headers, body, signal: abort });
  return { status: response.status, body: await response.text() };
});

/** One request whose answer is not JSON. @throws ApiProblem, Unreachable */
export async function fetchRaw(path: string, init: RequestInit = {}): Promise<Response> {
  const response = await reach(path, init);
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  throw new ApiProblem({ ...unknownProblem(response.status), ...(typeof body === 'object' ? body : {}) });
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, credentials: 'same-origin', cache: 'no-store', redirect: 'error' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Unreachable(error);
  }
  if (response.status === 401) session.value = { kind: 'signed_out' };
  return response;
}

/** True once somebody was signed in here: then this page holds what he could see. */
export function wasSignedIn(): boolean {
  return hadIdentity;
}

let hadIdentity = false;
session.subscribe((state) => {
  if (state.kind === 'signed_in') hadIdentity = true;
});

/** Asks who is signed in. An unreachable daemon leaves the state as it was. */
export async function loadSession(): Promise<void> {
  const identity = await api('GET /auth/session');
  session.value = { kind: 'signed_in', identity };
}

/** True when the signed-in user holds the permission. Reads a signal: pages redraw when it changes. */
export function can(permission: Permission): boolean {
  const state = session.value;
  return state.kind === 'signed_in' && state.identity.permissions.includes(permission);
}

/** Any thrown value as the problem document that pages show. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiProblem) return error.problem;
  if (error instanceof Unreachable) return { ...unknownProblem(0), code: 'unreachable', ...text.errors.unreachable };
  return {
    ...unknownProblem(0),
    code: 'dashboard_error',
    title: text.errors.dashboard.title,
    detail: error instanceof Error ? error.message : String(error),
    hint: text.errors.dashboard.hint,
  };
}

/** What the problem says about one field of the form, as `disks.0.sizeBytes`; null when nothing. */
export function fieldProblem(problem: Problem | null, path: string): string | null {
  const field = problem?.fields?.find((candidate) => candidate.path === path || candidate.path.startsWith(`${path}.`));
  return field ? fieldSentence(field) : null;
}

/** What is wrong with a field and what mends it, each said once. */
export function fieldSentence({
  problem,
  mend,
}: {
  readonly problem: string;
  readonly mend?: string | undefined;
}): string {
  const said = [problem, mend ?? ''].map((part) => part.trim()).filter(Boolean);
  return [
    ...new Set(said.map((part) => `${part.charAt(0).toUpperCase()}${part.slice(1)}${/[.!?]$/.test(part) ? '' : '.'}`)),
  ].join(' ');
}

function unknownProblem(status: number): Problem {
  return {
    type: 'about:blank',
    title: text.errors.unknown.title,
    status,
    code: 'internal_error',
    detail: `HTTP ${status}`,
    hint: text.errors.unknown.hint,
    requestId: '',
  };
}
