/** One certificate from an ACME server (RFC 8555, section 7): account, order, proof by HTTP-01 that the names lead here, certificate. */

import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '#kernel/clock.ts';
import type { Fetcher } from '../../fetch/index.ts';
import { AcmeError, createSignedRequests, jsonOf, type SignedRequests } from './signed-requests.ts';

export interface OrderParts {
  readonly fetcher: Pick<Fetcher, 'call'>;
  readonly clock: Clock;
  readonly directoryUrl: string;
  readonly contact: readonly string[];
  readonly names: readonly string[];
  readonly accountKey: KeyObject;
  /** DER of the certificate request for the names. */
  readonly request: Buffer;
  /** Answers the server's question at `/.well-known/acme-challenge/TOKEN` with this text, until called with null. */
  readonly showProof: (token: string, text: string | null) => void;
  readonly signal: AbortSignal;
}

const LOOK_MS = 2000;
const MAX_LOOK_MS = 30_000;
/** Of each wait: a server that says nothing for longer has forgotten us. */
const WAIT_MS = 180_000;

const directorySchema = z.object({ newNonce: z.url(), newAccount: z.url(), newOrder: z.url() });
const orderSchema = z.object({
  status: z.enum(['pending', 'ready', 'processing', 'valid', 'invalid']),
  authorizations: z.array(z.url()).max(100),
  finalize: z.url(),
  certificate: z.url().optional(),
  error: z.object({ detail: z.string().optional() }).optional(),
});
const authorizationSchema = z.object({
  status: z.enum(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  identifier: z.object({ value: z.string() }),
  challenges: z.array(
    z.object({
      type: z.string(),
      url: z.url(),
      // RFC 8555, section 8.3: it becomes a path of ours, so nothing but these characters.
      token: z
        .string()
        .regex(/^[A-Za-z0-9_-]{16,200}$/)
        .optional(),
      error: z.object({ detail: z.string().optional() }).optional(),
    }),
  ),
});
type Authorization = z.infer<typeof authorizationSchema>;

/** Asks again until `isOver`, as often as the server wants. @throws AcmeError when it takes too long */
async function waitFor<Value extends { readonly status: string }>(
  { clock, signal }: OrderParts,
  requests: SignedRequests,
  url: string,
  schema: z.ZodType<Value>,
  isOver: (value: Value) => boolean,
): Promise<Value> {
  const dueMs = clock.monotonicMs() + WAIT_MS;
  for (;;) {
    const answer = await requests.post(url, null);
    const value = schema.parse(jsonOf(answer));
    if (isOver(value)) return value;
    if (clock.monotonicMs() > dueMs) throw new AcmeError('', `the ACME server still says "${value.status}"`);
    const wanted = Number(answer.header('retry-after') ?? Number.NaN) * 1000;
    await clock.sleep(Math.min(MAX_LOOK_MS, wanted > 0 ? wanted : LOOK_MS), signal);
  }
}

async function prove(parts: OrderParts, requests: SignedRequests, url: string): Promise<void> {
  const first: Authorization = authorizationSchema.parse(jsonOf(await requests.post(url, null)));
  if (first.status === 'valid') return;
  const challenge = first.challenges.find(({ type }) => type === 'http-01');
  if (!challenge?.token)
    throw new AcmeError('', `the ACME server offers no proof by HTTP for ${first.identifier.value}`);
  const { token } = challenge;
  parts.showProof(token, `${token}.${requests.thumbprint}`);
  try {
    await requests.post(challenge.url, {});
    const last = await waitFor(parts, requests, url, authorizationSchema, ({ status }) => status !== 'pending');
    if (last.status === 'valid') return;
    const why = last.challenges.find(({ error }) => error !== undefined)?.error?.detail ?? last.status;
    throw new AcmeError(
      '',
      `the ACME server could not see that ${last.identifier.value} leads to port 80 of this machine: ${why.slice(0, 500)}`,
    );
  } finally {
    parts.showProof(token, null);
  }
}

/** @returns the certificate with its chain, PEM. @throws AcmeError, and what the fetcher throws */
export async function orderCertificate(parts: OrderParts): Promise<string> {
  const { fetcher, directoryUrl, names, contact } = parts;
  const found = await fetcher.call({ url: directoryUrl, method: 'GET', maxBytes: 64 * 1024 });
  if (found.status !== 200) throw new AcmeError('', `${directoryUrl} answered ${found.status}`);
  const directory = directorySchema.parse(jsonOf(found));
  const requests = createSignedRequests(fetcher, parts.accountKey, directory.newNonce);

  // The same key finds the same account, so nothing but the key has to be kept.
  const account = await requests.post(directory.newAccount, {
    termsOfServiceAgreed: true,
    ...(contact.length > 0 ? { contact: contact.map((address) => `mailto:${address}`) } : {}),
  });
  const accountUrl = account.header('location');
  if (accountUrl === null) throw new AcmeError('', 'the ACME server gave no account');
  requests.useAccount(accountUrl);

  const made = await requests.post(directory.newOrder, {
    identifiers: names.map((value) => ({ type: 'dns', value })),
  });
  const orderUrl = made.header('location');
  if (orderUrl === null) throw new AcmeError('', 'the ACME server gave no order');
  const order = orderSchema.parse(jsonOf(made));
  for (const authorization of order.authorizations) await prove(parts, requests, authorization);

  const isOpen = (status: string) => status === 'pending' || status === 'processing';
  const ready = await waitFor(parts, requests, orderUrl, orderSchema, ({ status }) => !isOpen(status));
  if (ready.status === 'ready') await requests.post(ready.finalize, { csr: parts.request.toString('base64url') });
  const isFinal = (status: string) => status === 'valid' || status === 'invalid';
  const done = await waitFor(parts, requests, orderUrl, orderSchema, ({ status }) => isFinal(status));
  if (done.status === 'invalid' || done.certificate === undefined)
    throw new AcmeError('', `the ACME server refused the order: ${done.error?.detail ?? 'it does not say why'}`);
  return (await requests.post(done.certificate, null)).body.toString('utf8');
}
