/** Requests to an ACME server (RFC 8555, section 6): JSON signed by the account's key, each with a nonce that the server gave before. */

import { createHash, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { messageOf } from '#kernel/errors.ts';
import type { CallResult, Fetcher } from '../../fetch/index.ts';

const MAX_ANSWER_BYTES = 256 * 1024;
/** The server may refuse nonces at will; each refusal brings a new one. */
const MAX_NONCES = 10;
const CONTENT_TYPE = 'application/jose+json';

/** An answer that is an error, as the server words it. */
export class AcmeError extends Error {
  /** As `urn:ietf:params:acme:error:rateLimited`; empty when the server gave none. */
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.name = 'AcmeError';
    this.type = type;
  }
}

export interface SignedRequests {
  /** @param payload null = the server is only asked (POST-as-GET)
   *  @throws AcmeError, and what the fetcher throws */
  post(url: string, payload: unknown): Promise<CallResult>;
  /** From here on requests name the account instead of carrying its key. */
  useAccount(url: string): void;
  /** Of the account's key (RFC 7638), base64url. */
  readonly thumbprint: string;
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The answer's JSON as an object. @throws AcmeError */
export function jsonOf(answer: CallResult): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(answer.body.toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch (error) {
    throw new AcmeError('', `the ACME server's answer is not JSON: ${messageOf(error)}`);
  }
  throw new AcmeError('', "the ACME server's answer is not a JSON object");
}

function failureOf(answer: CallResult): AcmeError {
  try {
    const { type, detail } = jsonOf(answer);
    return new AcmeError(
      typeof type === 'string' ? type : '',
      `the ACME server answered ${answer.status}: ${String(detail ?? type ?? '').slice(0, 500)}`,
    );
  } catch {
    // No problem document: the status has to do.
    return new AcmeError('', `the ACME server answered ${answer.status}`);
  }
}

/** @param key P-256, private */
export function createSignedRequests(
  fetcher: Pick<Fetcher, 'call'>,
  key: KeyObject,
  newNonceUrl: string,
): SignedRequests {
  const { crv, kty, x, y } = createPublicKey(key).export({ format: 'jwk' });
  // The order of the members is that of RFC 7638, so that the thumbprint is right.
  const jwk = { crv, kty, x, y };
  let account: string | null = null;
  let nonce: string | null = null;

  const freshNonce = async (): Promise<string> => {
    const answer = await fetcher.call({ url: newNonceUrl, method: 'HEAD', maxBytes: 0 });
    const value = answer.header('replay-nonce');
    if (value === null) throw new AcmeError('', 'the ACME server gave no nonce');
    return value;
  };

  const once = async (url: string, payload: unknown): Promise<CallResult> => {
    const used = nonce ?? (await freshNonce());
    nonce = null;
    const header = { alg: 'ES256', nonce: used, url, ...(account === null ? { jwk } : { kid: account }) };
    const [head, body] = [encoded(header), payload === null ? '' : encoded(payload)];
    const signature = sign('sha256', Buffer.from(`${head}.${body}`), { key, dsaEncoding: 'ieee-p1363' });
    const answer = await fetcher.call({
      url,
      method: 'POST',
      headers: { 'content-type': CONTENT_TYPE },
      body: JSON.stringify({ protected: head, payload: body, signature: signature.toString('base64url') }),
      maxBytes: MAX_ANSWER_BYTES,
    });
    nonce = answer.header('replay-nonce');
    return answer;
  };

  return {
    thumbprint: createHash('sha256').update(JSON.stringify(jwk)).digest('base64url'),
    useAccount(url) {
      account = url;
    },
    async post(url, payload) {
      for (let tries = 1; ; tries += 1) {
        const answer = await once(url, payload);
        if (answer.status < 300) return answer;
        const failure = failureOf(answer);
        if (failure.type !== 'urn:ietf:params:acme:error:badNonce' || tries === MAX_NONCES) throw failure;
      }
    },
  };
}
