/** The shape of a kind of channel: what it takes, how it writes a message, and how that is sent. One file each, listed in `index.ts`. */

import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { ChannelKind } from '#contract/notifications.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { CallResult, Fetcher } from '#platform/fetch/index.ts';
import type { Mail, MailResult, MailServer } from '#platform/smtp.ts';
import type { Message } from '../message.ts';

/** One HTTP request, always a POST. */
export interface HttpCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The outside, as channels reach it. */
export interface Outside {
  /** Guarded: private addresses only where an administrator named the host. @param ca PEM to trust instead of Node's list */
  fetcher(ca: string | null): Pick<Fetcher, 'call'>;
  mail(server: Omit<MailServer, 'allowPrivateHosts'>, mail: Mail, signal: AbortSignal): Promise<MailResult>;
  nowMs(): number;
  readonly signal: AbortSignal;
}

/** It was not taken. `isPermanent`: it would not be taken later either. */
export class SendError extends Error {
  readonly isPermanent: boolean;
  readonly retryAfterMs: number | null;

  constructor(message: string, options: { readonly isPermanent: boolean; readonly retryAfterMs?: number | null }) {
    super(message);
    this.name = 'SendError';
    this.isPermanent = options.isPermanent;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** How far a message came that is several requests: what was taken is not sent again by the next attempt. */
export interface Progress {
  readonly done: number;
  advance(done: number): Promise<void>;
}

/** A channel with its settings. */
export interface OpenChannel {
  /** What would be sent, without sending it. Pure. */
  build(message: Message, nowMs: number): readonly HttpCall[] | Mail;
  /** @returns a remark for people, as which recipients were refused; null when all is well
   *  @throws SendError, AppError `address_refused` */
  send(message: Message, outside: Outside, progress?: Progress): Promise<string | null>;
}

export interface ChannelType {
  readonly id: ChannelKind;
  readonly title: string;
  readonly settings: z.ZodObject;
  /** All values are texts. */
  readonly secrets: z.ZodObject;
  /** What "delivered" means there, where that is less than it sounds. */
  readonly note: string | null;
  /** Not a queue of messages but a state that is sent again and again. */
  readonly isLoop: boolean;
  /** Longest time of one attempt. */
  readonly attemptMs: number;
  /** @throws ZodError with paths below `settings` or `secrets` */
  open(settings: unknown, secrets: unknown): OpenChannel;
}

/** Settings that decide which machine gets the secrets of a channel. A kind with another such setting names it here. */
export const DESTINATION_SETTINGS: readonly string[] = ['server', 'smtp', 'tls', 'ca'];

/** Settings that all services on machines of one's own have. */
export const ownServer = {
  ca: z
    .string()
    .max(64_000)
    .regex(/-----BEGIN CERTIFICATE-----/, 'use the text of a PEM file')
    .optional()
    .describe('certificate authority (PEM) that the certificate of the server is checked against'),
};

export const httpUrl = () =>
  z
    .string()
    .max(4096)
    .refine((text) => {
      const url = URL.parse(text);
      return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
    }, 'use an https:// address without user name and password');

/** What goes into a header must be plain. */
export const headerText = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[\x21-\x7e]+$/, 'use printable ASCII characters without blanks');

export const jsonCall = (url: string, document: unknown, headers: Readonly<Record<string, string>> = {}): HttpCall => ({
  url,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(document),
});

interface HttpChannel<Settings extends z.ZodObject, Secrets extends z.ZodObject> {
  readonly id: ChannelKind;
  readonly title: string;
  readonly settings: Settings;
  readonly secrets: Secrets;
  readonly note?: string;
  readonly isLoop?: true;
  build(message: Message, options: HttpOptions<Settings, Secrets>): readonly HttpCall[];
  /** Why an answer of 2xx is none; null when it is one. */
  complaint?(answer: CallResult): string | null;
}

interface HttpOptions<Settings extends z.ZodObject, Secrets extends z.ZodObject> {
  readonly settings: z.output<Settings>;
  readonly secrets: z.output<Secrets>;
  readonly nowMs: number;
}

const HTTP_ATTEMPT_MS = 10_000;
export const MAX_ANSWER_BYTES = 64 * 1024;

/** A service that is reached by one POST for each message, or a few. */
export function httpChannel<Settings extends z.ZodObject, Secrets extends z.ZodObject>(
  type: HttpChannel<Settings, Secrets>,
): ChannelType {
  return {
    id: type.id,
    title: type.title,
    settings: type.settings,
    secrets: type.secrets,
    note: type.note ?? null,
    isLoop: type.isLoop ?? false,
    attemptMs: HTTP_ATTEMPT_MS,
    open(givenSettings, givenSecrets) {
      const settings = type.settings.parse(givenSettings);
      const secrets = type.secrets.parse(givenSecrets);
      const ca = 'ca' in settings && typeof settings['ca'] === 'string' ? settings['ca'] : null;
      const build = (message: Message, nowMs: number) => type.build(message, { settings, secrets, nowMs });
      return {
        build,
        async send(message, outside, progress) {
          const calls = build(message, outside.nowMs());
          for (const [index, call] of calls.entries()) {
            if (index < (progress?.done ?? 0)) continue;
            const answer = await post(call, `${message.key}${index === 0 ? '' : `-${index}`}`, ca, outside);
            const complaint = type.complaint?.(answer) ?? null;
            if (complaint !== null) throw new SendError(complaint, { isPermanent: true });
            if (index + 1 < calls.length) await progress?.advance(index + 1);
          }
          return null;
        },
      };
    },
  };
}

const REFUSED_FOR_GOOD = ['address_refused', 'url_refused', 'redirect_refused'];

async function post(call: HttpCall, key: string, ca: string | null, outside: Outside): Promise<CallResult> {
  const host = URL.parse(call.url)?.host ?? 'the server';
  let answer: CallResult;
  try {
    answer = await outside.fetcher(ca).call({
      ...call,
      method: 'POST',
      headers: { ...call.headers, 'idempotency-key': key, 'x-hyper-loop': '1' },
      maxBytes: MAX_ANSWER_BYTES,
      signal: outside.signal,
    });
  } catch (error) {
    const isPermanent = error instanceof AppError && REFUSED_FOR_GOOD.includes(error.code);
    const hint = isPermanent && error instanceof AppError ? ` ${error.hint}` : '';
    throw new SendError(`${messageOf(error)}${hint}`, { isPermanent });
  }
  if (answer.status >= 200 && answer.status < 300) return answer;
  const isPermanent = answer.status < 500 && ![408, 425, 429].includes(answer.status);
  throw new SendError(`${host} answered ${answer.status}${wordsOf(answer)}`, {
    isPermanent,
    retryAfterMs: isPermanent ? null : retryAfterOf(answer, outside.nowMs()),
  });
}

/** The first words of a refusal often name its reason. */
function wordsOf(answer: CallResult): string {
  const words = answer.body
    .toString('utf8')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim();
  return words === '' || words.startsWith('<') ? '' : `: ${words.slice(0, 200)}`;
}

const MAX_RETRY_AFTER_MS = 3_600_000;

/** `Retry-After` as seconds or date, or `retry_after` (seconds) of a JSON answer, at its top or in `parameters`. */
function retryAfterOf(answer: CallResult, nowMs: number): number | null {
  const header = answer.header('retry-after');
  const seconds = header === null ? secondsOf(answer.body.toString('utf8')) : Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header ?? '') - nowMs;
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : null;
}

const retrySchema = z.object({
  retry_after: z.number().optional(),
  parameters: z.object({ retry_after: z.number().optional() }).optional(),
});

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the caller asks only whether it is.
    return null;
  }
}

function secondsOf(body: string): number {
  const parsed = retrySchema.safeParse(parseJson(body));
  return parsed.success ? (parsed.data.retry_after ?? parsed.data.parameters?.retry_after ?? Number.NaN) : Number.NaN;
}

/** A short name of a text, fit for keys and threads. */
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);
