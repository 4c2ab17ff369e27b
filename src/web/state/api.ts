/** The API client of the dashboard, who is signed in, and what a failure looks like to the pages. */

import { signal } from '@preact/signals';
import type { IdentityView } from '#contract/access.ts';
import { ApiProblem, createApiClient } from '#contract/client.ts';
import type { Problem } from '#contract/common.ts';
import type { Permission } from '#contract/permissions.ts';
import { text } from '../text.ts';
import { askForProof, dropProofs } from './step-up.ts';

/** `unknown` until the first answer; `signed_out` shows the sign-in page instead of every other page. */
export type SessionState =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'signed_out' }
  | { readonly kind: 'signed_in'; readonly identity: IdentityView };

export const session = signal<SessionState>({ kind: 'unknown' });

/** No HTTP answer came: the daemon could not be reached, or `late` says how long it was waited for. */
export class Unreachable extends Error {
  readonly late: { readonly limitMs: number; readonly isChange: boolean } | null;

  constructor(cause: unknown, late: Unreachable['late'] = null) {
    super(text.errors.unreachable.detail, { cause });
    this.name = 'Unreachable';
    this.late = late;
  }
}

/** The request needed a fresh proof, and the person at the screen did not want to give one. */
class ProofDeclined extends Error {}

/** Code of the problem when something was not done because the person said so. */
const DECLINED = 'proof_declined';

/** Whether it is a failure that the person at the screen chose himself: nothing is shown for it. */
export const isDeclined = ({ code }: Pick<Problem, 'code'>): boolean => code === DECLINED;

/** A change is answered once it is written down; what the daemon asks libvirt for it ends after 15 s at the latest. */
const CHANGE_MS = 20_000;
/** Long lists, logs and plans. */
const READ_MS = 30_000;
/** After so long something may be wrong: whether the daemon is there at all is asked beside the request. */
const DOUBT_MS = 4000;
const PROBE_MS = 3000;

/** Counts the requests that wait suspiciously long or got no answer. */
export const doubts = signal(0);

export const api = createApiClient(async ({ method, path, headers, body, signal: abort }) => {
  const asked = `${method} ${path} ${body ?? ''}`;
  const key = method === 'GET' || SPENT_ONCE.test(path) ? null : keyOf(asked);
  const send = () =>
    reach(
      path,
      { method, headers: { ...headers, ...(key === null ? {} : { 'idempotency-key': key }) }, body, signal: abort },
      (response) => response.text(),
    );
  let answer = await send();
  const proof = answer.response.status === 403 ? wantedProof(answer.body) : null;
  // The proof is for this very request, so it is sent again as it was.
  const isProven = proof !== null && (await askForProof(proof.digest, proof.action));
  if (isProven) answer = await send();
  unanswered.delete(asked);
  if (proof !== null && !isProven) throw new ProofDeclined();
  return { status: answer.response.status, body: answer.body };
});

/** What has to be proven when a request was refused for want of a fresh proof, else null. */
function wantedProof(body: string): { readonly digest: string; readonly action: string } | null {
  try {
    const { code, params }: { code?: unknown; params?: { digest?: unknown; action?: unknown } } = JSON.parse(body);
    if (code !== 'step_up_required' || typeof params?.digest !== 'string') return null;
    return { digest: params.digest, action: String(params.action ?? '') };
  } catch {
    // No problem document of ours; the refusal is shown as it is.
    return null;
  }
}

/** A proof that fails says nothing about the session. */
const PROOFS = /\/auth\/(step-up|device|passkeys)\b/;

/** Plans are of the present, and tickets and links work once: asked for again they are made anew. */
const SPENT_ONCE = /\/(plan|tickets|keys|links?)$|\/auth\//;
/** So long the server knows an Idempotency-Key. */
const KEY_KEPT_MS = 600_000;

/** Keys of the changes whose answer has not come, by what was asked. Whoever asks the same again gets what the first
 *  request began instead of beginning it twice. */
const unanswered = new Map<string, { readonly key: string; readonly at: number }>();

function keyOf(asked: string): string {
  for (const [other, { at }] of unanswered) if (Date.now() - at > KEY_KEPT_MS) unanswered.delete(other);
  const known = unanswered.get(asked) ?? { key: crypto.randomUUID(), at: Date.now() };
  unanswered.set(asked, known);
  return known.key;
}

/** One request whose answer is not JSON. @throws ApiProblem, Unreachable */
export async function fetchRaw<Body>(
  path: string,
  read: (response: Response) => Promise<Body>,
  abort: AbortSignal | null = null,
): Promise<Body> {
  const { body } = await reach(path, { signal: abort }, async (response) => {
    if (response.ok) return read(response);
    const problem: unknown = await response.json().catch(() => null);
    throw new ApiProblem({ ...unknownProblem(response.status), ...(typeof problem === 'object' ? problem : {}) });
  });
  return body;
}

/** @param read takes the body; the deadline counts for it too */
async function reach<Body>(
  path: string,
  init: RequestInit,
  read: (response: Response) => Promise<Body>,
): Promise<{ readonly response: Response; readonly body: Body }> {
  const isChange = (init.method ?? 'GET') !== 'GET' && !path.endsWith('/plan');
  const limitMs = isChange ? CHANGE_MS : READ_MS;
  const deadline = AbortSignal.timeout(limitMs);
  const doubt = () => {
    doubts.value += 1;
  };
  const timer = window.setTimeout(doubt, DOUBT_MS);
  try {
    const response = await fetch(path, {
      ...init,
      signal: init.signal ? AbortSignal.any([init.signal, deadline]) : deadline,
      credentials: 'same-origin',
      cache: 'no-store',
      redirect: 'error',
    });
    if (response.status === 401 && !PROOFS.test(path)) session.value = { kind: 'signed_out' };
    return { response, body: await read(response) };
  } catch (error) {
    if (init.signal?.aborted || error instanceof ApiProblem) throw error;
    doubt();
    throw new Unreachable(error, deadline.aborted ? { limitMs, isChange } : null);
  } finally {
    window.clearTimeout(timer);
  }
}

/** Whether the daemon answers at all, within a few seconds. */
export async function isDaemonThere(): Promise<boolean> {
  try {
    await fetch('/', { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(PROBE_MS) });
    return true;
  } catch {
    // No answer is what was asked about.
    return false;
  }
}

/** True once somebody was signed in here: then this page holds what he could see. */
export function wasSignedIn(): boolean {
  return hadIdentity;
}

let hadIdentity = false;
session.subscribe((state) => {
  if (state.kind === 'signed_in') hadIdentity = true;
  else dropProofs();
});

/** Asks who is signed in. An unreachable daemon leaves the state as it was. */
export async function loadSession(): Promise<void> {
  const identity = await api('GET /auth/session');
  session.value = { kind: 'signed_in', identity };
}

/** True when the signed-in user holds the permission in this project; without one: anywhere.
 *  Reads a signal: pages redraw when it changes. What is shown by it is only a help, the daemon decides. */
export function can(permission: Permission, project?: string): boolean {
  const state = session.value;
  if (state.kind !== 'signed_in') return false;
  const { permissions, anywhere, projects } = state.identity;
  if (project === undefined) return anywhere.includes(permission);
  return (
    permissions.includes(permission) ||
    projects.some(({ id, permissions: held }) => id === project && held.includes(permission))
  );
}

/** True when the signed-in user holds the permission on the whole system. */
export function canEverywhere(permission: Permission): boolean {
  const state = session.value;
  return state.kind === 'signed_in' && state.identity.permissions.includes(permission);
}

/** Any thrown value as the problem document that pages show. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiProblem) return error.problem;
  if (error instanceof ProofDeclined) return { ...unknownProblem(403), code: DECLINED };
  if (error instanceof Unreachable) {
    const { late } = error;
    return {
      ...unknownProblem(0),
      code: 'unreachable',
      ...text.errors.unreachable,
      ...(late ? text.errors.late(late.limitMs / 1000, late.isChange) : {}),
    };
  }
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
