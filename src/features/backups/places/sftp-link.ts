/** The connection to an SFTP server: opened when it is needed, thrown away when it breaks or stalls. The server's key is pinned; another
 *  one is never spoken to. Loaded with the first copy: ssh2 takes some MiB that a host without copies does not need. */

import { createHash } from 'node:crypto';
import type { Client, SFTPWrapper } from 'ssh2';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';

export interface SftpTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** `SHA256:…` of the server's key; null = it is not known yet, and the connection fails with `host_key_unknown` telling it. */
  readonly hostKey: string | null;
  readonly password?: string | undefined;
  /** OpenSSH or PEM. */
  readonly privateKey?: string | undefined;
  readonly passphrase?: string | undefined;
}

export interface SftpLink {
  /** Runs one request.
   *  @throws AppError place_unreachable, place_refused, host_key_unknown, host_key_changed, place_stalled; what `ask` fails with, see `SftpStatus` */
  run<Value>(ask: (sftp: SFTPWrapper, done: (error: unknown, value: Value) => void) => void): Promise<Value>;
  /** For what only the connection knows that is there now, as open files. @throws AppError place_unreachable when that one is gone */
  same(): Pick<SftpLink, 'run'>;
  /** What is under way fails at once with place_unreachable; the next request opens it again. */
  close(): void;
}

/** Status codes of draft-ietf-secsh-filexfer-13 section 9.1 that mean something to us. */
export const SFTP_STATUS = { missing: 2, denied: 3, failure: 4, unsupported: 8, full: 14, quota: 15 } as const;

/** What the server answered instead of doing it. */
export class SftpStatus extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface LinkLimits {
  readonly connectMs: number;
  /** Silence while something was asked: on a slow line one answer waits behind many others. */
  readonly answerMs: number;
}
const LIMITS: LinkLimits = { connectMs: 20_000, answerMs: 60_000 };

export const fingerprintOf = (key: Buffer): string =>
  `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;

/** @param signal ends it for good; what is under way fails at once with its reason */
export function createSftpLink(target: SftpTarget, limits: LinkLimits = LIMITS, signal?: AbortSignal): SftpLink {
  let opening: Promise<Session> | null = null;
  const drop = (session: Session, why?: AppError) => {
    opening = null;
    session.end(why);
  };
  const linkOf = (only: Promise<Session> | null): Pick<SftpLink, 'run'> => ({
    async run(ask) {
      signal?.throwIfAborted();
      if (only !== null && only !== opening) throw lost(target, new Error('the connection was closed'));
      opening ??= openSession(target, limits, signal);
      const mine = opening;
      let session: Session;
      try {
        session = await mine;
      } catch (error) {
        if (opening === mine) opening = null;
        signal?.throwIfAborted();
        throw error;
      }
      return await new Promise((resolve, reject) => {
        const askedMs = performance.now();
        let timer: NodeJS.Timeout | undefined;
        let forget: () => void = () => undefined;
        const over = () => {
          clearTimeout(timer);
          forget();
        };
        const watch = () => {
          const leftMs = limits.answerMs - (performance.now() - Math.max(askedMs, session.answeredMs));
          if (leftMs > 0) {
            timer = setTimeout(watch, leftMs);
            return;
          }
          const stalled = new AppError('place_stalled', {
            detail: `${target.host}:${target.port} gave no answer within ${limits.answerMs / 1000} s.`,
          });
          over();
          reject(stalled);
          if (opening === mine) drop(session, stalled);
        };
        watch();
        const fail = (error: unknown) => {
          over();
          if (opening === mine && !(error instanceof SftpStatus)) drop(session);
          reject(signal?.aborted ? signal.reason : error);
        };
        forget = session.onEnd(() => fail(lost(target, session.why())));
        try {
          ask(session.sftp, (error, value) => {
            session.answeredMs = performance.now();
            if (error !== undefined && error !== null) return fail(meaningOf(target, error));
            over();
            resolve(value);
          });
        } catch (error) {
          // ssh2 throws for what the server never offered, and on a channel that has ended meanwhile.
          const isUnknown = error instanceof Error && error.message.includes('does not support');
          fail(isUnknown ? new SftpStatus(SFTP_STATUS.unsupported, error.message) : lost(target, error));
        }
      });
    },
  });
  return {
    ...linkOf(null),
    same: () => linkOf(opening),
    close() {
      const mine = opening;
      opening = null;
      // One that could not be opened has nothing to close.
      mine?.then(
        (session) => session.end(),
        () => undefined,
      );
    },
  };
}

interface Session {
  readonly sftp: SFTPWrapper;
  /** When it last answered anything, on the monotonic clock. */
  answeredMs: number;
  /** Without waiting for the other side, which may not be there any more. @param why what requests that still wait fail with */
  end(why?: AppError): void;
  /** Called at once when it has ended already. @returns ends the listening */
  onEnd(listener: () => void): () => void;
  why(): unknown;
}

async function openSession(target: SftpTarget, limits: LinkLimits, signal?: AbortSignal): Promise<Session> {
  const { Client: SshClient } = await import('ssh2');
  const client = new SshClient();
  let shown: string | null = null;
  let why: unknown = null;
  let isOver = false;
  let listeners = new Set<() => void>();
  const over = (error: unknown) => {
    why ??= error;
    if (isOver) return;
    isOver = true;
    signal?.removeEventListener('abort', leave);
    const told = listeners;
    listeners = new Set();
    for (const each of told) each();
  };
  const leave = () => {
    over(signal?.reason);
    client.destroy();
  };
  signal?.addEventListener('abort', leave, { once: true });
  try {
    const sftp = await new Promise<SFTPWrapper>((resolve, reject) => {
      listeners.add(() => reject(why));
      client.on('error', over);
      client.on('close', () => over(new Error('the connection was closed')));
      if (signal?.aborted) return leave();
      client.on('ready', () => {
        // Requests are small and wait for their answers: each would cost the time that the other side delays its acknowledgement.
        client.setNoDelay(true);
        openChannel(client, resolve, reject);
      });
      client.connect({
        host: target.host,
        port: target.port,
        username: target.user,
        readyTimeout: limits.connectMs,
        // Keeps the way through routers open. Silence is watched where something was asked: on a slow line this waits its turn too.
        keepaliveInterval: 15_000,
        keepaliveCountMax: Number.POSITIVE_INFINITY,
        hostVerifier: (key: Buffer) => {
          shown = fingerprintOf(key);
          return shown === target.hostKey;
        },
        ...(target.password === undefined ? {} : { password: target.password }),
        ...(target.privateKey === undefined ? {} : { privateKey: target.privateKey }),
        ...(target.passphrase === undefined ? {} : { passphrase: target.passphrase }),
      });
    });
    return {
      sftp,
      answeredMs: performance.now(),
      end(reason) {
        over(reason ?? new Error('the connection was closed'));
        client.destroy();
      },
      why: () => why,
      onEnd(listener) {
        if (isOver) listener();
        else listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    };
  } catch (error) {
    over(error);
    client.destroy();
    throw refusalOf(target, shown, error);
  }
}

function openChannel(client: Client, resolve: (sftp: SFTPWrapper) => void, reject: (error: unknown) => void): void {
  client.sftp((error, sftp) => {
    if (error) reject(error);
    else resolve(sftp);
  });
}

function refusalOf(target: SftpTarget, shown: string | null, error: unknown): AppError {
  const place = `${target.host}:${target.port}`;
  if (shown !== null && target.hostKey === null)
    return new AppError('host_key_unknown', {
      detail: `${place} shows the key ${shown}.`,
      params: { hostKey: shown },
      cause: error,
    });
  if (shown !== null && shown !== target.hostKey)
    return new AppError('host_key_changed', {
      detail: `${place} shows the key ${shown}, and ${target.hostKey} is the one that was accepted. Nothing was sent to it.`,
      params: { hostKey: shown, expected: target.hostKey },
      cause: error,
    });
  if (error instanceof Error && 'level' in error && error.level === 'client-authentication')
    return new AppError('place_refused', {
      detail: `${place} does not let ${target.user} in.`,
      cause: error,
    });
  if (error instanceof Error && /Cannot parse privateKey|encrypted private|passphrase/i.test(error.message))
    return new AppError('place_refused', { detail: `The private key cannot be used: ${error.message}.`, cause: error });
  return lost(target, error);
}

function lost(target: SftpTarget, error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('place_unreachable', {
    detail: `${target.host}:${target.port} cannot be reached: ${meaning(error)}.`,
    cause: error,
  });
}

function meaning(error: unknown): string {
  if (hasErrno(error, 'ENOTFOUND', 'EAI_AGAIN')) return 'its name cannot be looked up';
  if (hasErrno(error, 'ECONNREFUSED')) return 'it refuses the connection';
  if (hasErrno(error, 'ECONNRESET', 'EPIPE')) return 'it closed the connection';
  if (hasErrno(error, 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT')) return 'there is no way to it from here';
  return messageOf(error);
}

function meaningOf(target: SftpTarget, error: unknown): Error {
  if (error instanceof Error && 'code' in error && typeof error.code === 'number')
    return new SftpStatus(error.code, error.message);
  return lost(target, error);
}
