/** One connection to a libvirt daemon: calls matched to replies by serial, deadlines, events, streams, keepalive.
 *  It never reconnects; `host.ts` does. After it is lost every pending call has failed with one clear error. */

import { type Clock, systemClock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import { type Logger, silentLogger } from '#kernel/logger.ts';
import { DeadlineTimer } from './deadline-timer.ts';
import { errorFromReply, LibvirtError } from './errors.ts';
import {
  FrameError,
  type FrameHeader,
  FrameSplitter,
  HEADER_BYTES,
  keepaliveFrame,
  MESSAGE_TYPES,
  STATUS,
  writeHeader,
} from './frame.ts';
import { type KeepaliveRate, keepAlive } from './keepalive.ts';
import { LibvirtStream, type StreamLink } from './stream.ts';
import { createStreamLink } from './stream-link.ts';
import { errorPayload, P, PROGRAMS, type Procedure } from './table.ts';
import type { Transport } from './transport/transport.ts';
import { XdrDecoder, XdrEncoder, XdrError } from './xdr.ts';

export interface CallOptions {
  /** Time for the whole call, default 10,000 ms. After it the call fails; what libvirt began goes on. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface StreamOptions extends CallOptions {
  /** Holes cross as holes. The procedure's own sparse flag must be set too. */
  readonly isSparse?: boolean;
}

export interface ConnectionOptions {
  readonly clock?: Clock;
  readonly log?: Logger;
  /** The URI that the daemon opens, as `qemu:///system`. */
  readonly uri: string;
  readonly isReadOnly?: boolean;
  /** Time for authentication and open together, default 10,000 ms. */
  readonly openDeadlineMs?: number;
  readonly signal?: AbortSignal;
  /** null = none. Default: a ping each 5,000 ms, lost after 3 without any byte from the host. */
  readonly keepalive?: KeepaliveRate | null;
}

export const DEFAULT_DEADLINE_MS = 10_000;

const AUTH_NONE = 0;
const AUTH_POLKIT = 2;
const FEATURE_KEEPALIVE = 10;
const READ_ONLY = 1;

interface Pending {
  readonly procedure: Procedure<unknown, unknown>;
  readonly dueMs: number;
  /** Set when the caller gave up; the late reply is then dropped. */
  isAbandoned: boolean;
  /** Ends the subscription to the caller's signal. */
  release: (() => void) | null;
  resolve(result: unknown): void;
  reject(error: Error): void;
}

type EventListener = (number: number, payload: Buffer) => void;

export class Connection {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #pending = new Map<number, Pending>();
  readonly #streams = new Map<number, LibvirtStream>();
  readonly #eventListeners = new Set<EventListener>();
  readonly #closeListeners = new Set<(error: LibvirtError) => void>();
  readonly #ended = new AbortController();
  readonly #deadlines: DeadlineTimer;
  #nextSerial = 1;
  #isCorked = false;
  #heardAnything = true;
  #isChunkKept = false;
  #abandonedCalls = 0;
  #onCaughtUp: (() => void)[] = [];
  #lost: LibvirtError | null = null;

  private constructor(transport: Transport, options: ConnectionOptions) {
    this.#transport = transport;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#deadlines = new DeadlineTimer(this.#clock, (nowMs) => this.#expire(nowMs));
    const splitter = new FrameSplitter({
      onFrame: (header, payload) => this.#onFrame(header, payload),
      onStreamData: (header, chunk) => this.#onStreamData(header, chunk),
    });
    transport.onData((chunk) => {
      this.#heardAnything = true;
      this.#isChunkKept = false;
      if (this.#lost) return false;
      try {
        splitter.push(chunk);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.#lose(`the host sent ${error.message}`, error);
      }
      return this.#isChunkKept;
    });
    transport.bytes.on('error', (error: Error) => this.#lose(messageOf(error), error));
    transport.bytes.on('end', () => this.#lose('the host closed the connection'));
    transport.bytes.on('close', () => this.#lose('the connection is closed'));
  }

  /** Authenticates and opens `uri`.
   *  @throws LibvirtError libvirt_unavailable, libvirt_forbidden, or what the host answers; the transport is then closed */
  static async open(transport: Transport, options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(transport, options);
    const call: CallOptions = {
      deadlineMs: options.openDeadlineMs ?? DEFAULT_DEADLINE_MS,
      ...(options.signal ? { signal: options.signal } : {}),
    };
    try {
      const { types } = await connection.call(P.authList, {}, call);
      const method = types[0] ?? AUTH_NONE;
      if (method === AUTH_POLKIT) await connection.call(P.authPolkit, {}, call);
      else if (method !== AUTH_NONE) {
        throw new LibvirtError('libvirt_forbidden', {
          procedure: 'AUTH_LIST',
          detail:
            'The host asks for SASL authentication, which is not supported. Use the Unix socket, SSH or TLS certificates.',
        });
      }
      await connection.call(P.connectOpen, { name: options.uri, flags: options.isReadOnly ? READ_ONLY : 0 }, call);
      const keepalive = options.keepalive === undefined ? { intervalMs: 5_000, count: 3 } : options.keepalive;
      if (keepalive) {
        const { supported } = await connection.call(P.connectSupportsFeature, { feature: FEATURE_KEEPALIVE }, call);
        if (supported !== 0) void connection.#keepAlive(keepalive);
      }
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** null while the connection is usable. */
  get lostBecause(): LibvirtError | null {
    return this.#lost;
  }

  /** Calls that were given up and have had no answer since. */
  get abandonedCalls(): number {
    return this.#abandonedCalls;
  }

  /** Resolves when every given-up call has had its answer after all, or the connection is lost. */
  caughtUp(): Promise<void> {
    if (this.#lost || this.#abandonedCalls === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onCaughtUp.push(resolve));
  }

  describe(): string {
    return this.#transport.describe();
  }

  /** @throws LibvirtError (as a rejection); `outcomeUnknown` is set when a change may have happened */
  call<Args, Result>(procedure: Procedure<Args, Result>, args: Args, options: CallOptions = {}): Promise<Result> {
    return this.#send(procedure, args, options, this.#takeSerial());
  }

  /** Opens a stream. Give each stream a connection of its own: a stalled reader stalls everything on it (measured). */
  async openStream<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: StreamOptions = {},
  ): Promise<{ stream: LibvirtStream; result: Result }> {
    if (procedure.stream === null) throw new TypeError(`${procedure.name} has no stream`);
    const serial = this.#takeSerial();
    const stream = new LibvirtStream(this.#streamLink(procedure, serial), procedure.stream, options.isSparse ?? false);
    // Data may precede the reply, so the stream is known before the call is sent.
    this.#streams.set(serial, stream);
    try {
      const result = await this.#send(procedure, args, options, serial);
      if (this.#lost && !stream.destroyed) stream.receiveError(this.#lost);
      return { stream, result };
    } catch (error) {
      this.#streams.delete(serial);
      stream.on('error', () => undefined); // the caller never sees this stream; the rejection tells it all
      stream.receiveError(error instanceof Error ? error : new Error(messageOf(error)));
      throw error;
    }
  }

  /** Hears every event message. @returns the function that stops it */
  onEvent(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  /** Called once, when the connection is lost or closed. @returns the function that stops it */
  onClose(listener: (error: LibvirtError) => void): () => void {
    this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Says good-bye, then closes. Never fails; waits one second at most. */
  async close(): Promise<void> {
    if (this.#lost) return;
    // libvirtd logs an error for every connection that ends without this call. That it fails changes nothing: we close anyway.
    await this.call(P.connectClose, {}, { deadlineMs: 1_000 }).catch(() => undefined);
    this.destroy();
  }

  /** Closes at once. Pending calls fail. */
  destroy(): void {
    this.#lose('the connection was closed by us');
  }

  #send<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions,
    serial: number,
  ): Promise<Result> {
    const { signal } = options;
    if (this.#lost) return Promise.reject(this.#unavailable(procedure.name, this.#lost, false));
    if (signal?.aborted) return Promise.reject(cancelled(procedure.name, signal.reason, false));
    const bytes = this.#encode(procedure, args, serial);
    if (bytes instanceof LibvirtError) return Promise.reject(bytes);
    const dueMs = this.#clock.monotonicMs() + (options.deadlineMs ?? DEFAULT_DEADLINE_MS);
    return new Promise<Result>((resolve, reject) => {
      const pending: Pending = {
        procedure,
        dueMs,
        isAbandoned: false,
        release: null,
        resolve: resolve as (result: unknown) => void,
        reject,
      };
      this.#pending.set(serial, pending);
      // Sent as early as can be: the host works while the rest is made ready.
      this.#write(bytes);
      if (signal) {
        const onAbort = () => this.#abandon(serial, cancelled(procedure.name, signal.reason, procedure.isWrite));
        signal.addEventListener('abort', onAbort, { once: true });
        pending.release = () => signal.removeEventListener('abort', onAbort);
      }
      this.#deadlines.armFor(dueMs);
    });
  }

  #takeSerial(): number {
    const serial = this.#nextSerial;
    this.#nextSerial = serial === 0xffffffff ? 1 : serial + 1;
    return serial;
  }

  #encode<Args>(procedure: Procedure<Args, unknown>, args: Args, serial: number): Buffer | LibvirtError {
    const encoder = new XdrEncoder();
    encoder.fixed(EMPTY_HEADER);
    try {
      procedure.args.put(encoder, args);
    } catch (error) {
      if (!(error instanceof XdrError)) throw error;
      return new LibvirtError('invalid_definition', {
        procedure: procedure.name,
        detail: `libvirt would refuse this: ${messageOf(error)}.`,
        cause: error,
      });
    }
    const bytes = encoder.finish();
    writeHeader(bytes, headerOf(procedure, MESSAGE_TYPES.call, serial, STATUS.ok), bytes.length);
    return bytes;
  }

  /** The first frame of a turn of the event loop leaves at once, those that follow in the same turn together in one system call. */
  #write(bytes: Uint8Array): void {
    this.#transport.bytes.write(bytes);
    this.#cork();
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    const out = this.#transport.bytes;
    out.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      out.uncork();
    });
  }

  #onFrame(header: FrameHeader, payload: Buffer): void {
    if (header.program === PROGRAMS.keepalive) {
      // A host that pings faster than it reads gets no more pongs queued.
      if (header.procedure === 1 && this.#transport.bytes.writableLength < 65_536) this.#write(keepaliveFrame('pong'));
      return;
    }
    switch (header.type) {
      case MESSAGE_TYPES.reply:
        this.#onReply(header, payload);
        break;
      case MESSAGE_TYPES.event:
        this.#onEvent(header, payload);
        break;
      case MESSAGE_TYPES.stream:
        this.#onStreamControl(header, payload);
        break;
      case MESSAGE_TYPES.streamHole:
        this.#onHole(header, payload);
        break;
      case MESSAGE_TYPES.replyWithFds:
        this.#settle(header.serial, (pending) =>
          pending.reject(
            new LibvirtError('unsupported_by_host', {
              procedure: pending.procedure.name,
              detail: 'The host answered with file descriptors, which cannot be received here.',
            }),
          ),
        );
        break;
      default:
        this.#log.warn(
          { type: header.type, procedure: header.procedure },
          'libvirt sent a message of an unknown type; it is ignored',
        );
    }
  }

  #onReply(header: FrameHeader, payload: Buffer): void {
    const stream = this.#streams.get(header.serial);
    if (stream && !this.#pending.has(header.serial)) {
      if (header.status === STATUS.error) stream.receiveError(this.#decodeError('STREAM', payload));
      else stream.receiveEnd();
      return;
    }
    this.#settle(header.serial, (pending) => {
      if (header.status === STATUS.error) pending.reject(this.#decodeError(pending.procedure.name, payload));
      else pending.resolve(decode(pending.procedure, payload));
    });
  }

  /** Takes the call out of the pending ones; a result that cannot be decoded fails this call alone. */
  #settle(serial: number, act: (pending: Pending) => void): void {
    const pending = this.#pending.get(serial);
    if (!pending) return;
    this.#pending.delete(serial);
    pending.release?.();
    if (pending.isAbandoned) {
      this.#abandonedCalls -= 1;
      if (this.#abandonedCalls === 0) for (const resolve of this.#onCaughtUp.splice(0)) resolve();
      return;
    }
    try {
      act(pending);
    } catch (error) {
      pending.reject(
        new LibvirtError('libvirt_failed', {
          procedure: pending.procedure.name,
          outcomeUnknown: pending.procedure.isWrite,
          cause: error,
        }),
      );
    }
  }

  #decodeError(procedure: string, payload: Buffer): LibvirtError {
    try {
      const { dom: _dom, net: _net, ...failure } = errorPayload.get(new XdrDecoder(payload));
      return errorFromReply(procedure, { ...failure, message: failure.message ?? '' });
    } catch (error) {
      return new LibvirtError('libvirt_failed', { procedure, cause: error });
    }
  }

  #onEvent(header: FrameHeader, payload: Buffer): void {
    if (header.program !== PROGRAMS.remote) return;
    for (const listener of [...this.#eventListeners]) {
      try {
        listener(header.procedure, payload);
      } catch (error) {
        // One listener's failure must not stop the connection or the other listeners.
        this.#log.error({ err: error, message: header.procedure }, 'a libvirt event could not be handled');
      }
    }
  }

  #onStreamData(header: FrameHeader, chunk: Buffer): void {
    if (this.#streams.get(header.serial)?.receive(chunk)) this.#isChunkKept = true;
  }

  #onStreamControl(header: FrameHeader, payload: Buffer): void {
    const stream = this.#streams.get(header.serial);
    if (!stream) return;
    if (header.status === STATUS.error) stream.receiveError(this.#decodeError('STREAM', payload));
    else stream.receiveEnd();
  }

  #onHole(header: FrameHeader, payload: Buffer): void {
    const stream = this.#streams.get(header.serial);
    if (!stream) return;
    const holeBytes = payload.length === 12 ? Number(payload.readBigInt64BE(0)) : Number.NaN;
    if (!Number.isSafeInteger(holeBytes) || holeBytes < 0) {
      stream.receiveError(
        new LibvirtError('libvirt_failed', { procedure: 'STREAM_HOLE', detail: 'The host sent a malformed hole.' }),
      );
    } else if (stream.readableObjectMode) {
      stream.receive({ holeBytes });
    } else {
      stream.receiveError(
        new LibvirtError('libvirt_failed', {
          procedure: 'STREAM_HOLE',
          detail: 'The host sent a hole in a stream that is not sparse.',
        }),
      );
    }
  }

  #streamLink(procedure: Procedure<unknown, unknown>, serial: number): StreamLink {
    return createStreamLink({
      headerOf: (type, status) => headerOf(procedure, type, serial, status),
      bytes: this.#transport.bytes,
      lost: () => this.#lost,
      cork: () => this.#cork(),
      release: () => this.#streams.delete(serial),
    });
  }

  #expire(nowMs: number): void {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [serial, pending] of [...this.#pending]) {
      if (pending.isAbandoned) continue;
      if (pending.dueMs <= nowMs) this.#abandon(serial, deadlinePassed(pending.procedure));
      else nextMs = Math.min(nextMs, pending.dueMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#deadlines.armFor(nextMs);
  }

  #abandon(serial: number, error: LibvirtError): void {
    const pending = this.#pending.get(serial);
    if (!pending || pending.isAbandoned) return;
    pending.isAbandoned = true;
    pending.release?.();
    this.#abandonedCalls += 1;
    pending.reject(error);
  }

  #keepAlive(rate: KeepaliveRate): Promise<void> {
    return keepAlive(rate, {
      clock: this.#clock,
      signal: this.#ended.signal,
      heard: () => {
        // Nothing is heard while a slow reader of a stream has paused us; that is no sign of a dead host.
        const isAlive = this.#heardAnything || this.#transport.bytes.isPaused();
        this.#heardAnything = false;
        return isAlive;
      },
      ping: () => this.#write(keepaliveFrame('ping')),
      onDead: (silentMs) => this.#lose(`no sign of life for ${silentMs / 1000} s`),
    });
  }

  #lose(reason: string, cause?: unknown): void {
    if (this.#lost) return;
    const lost = new LibvirtError('libvirt_unavailable', {
      procedure: 'connection',
      cause: new Error(`${this.#transport.describe()}: ${reason}`, cause === undefined ? undefined : { cause }),
    });
    this.#lost = lost;
    this.#ended.abort(lost);
    this.#deadlines.stop();
    for (const pending of [...this.#pending.values()]) {
      pending.release?.();
      if (!pending.isAbandoned)
        pending.reject(this.#unavailable(pending.procedure.name, lost, pending.procedure.isWrite));
    }
    this.#pending.clear();
    for (const stream of [...this.#streams.values()]) stream.receiveError(lost);
    this.#streams.clear();
    // A transport that fails while it is being closed has nothing more to tell.
    this.#transport.bytes.on('error', () => undefined);
    this.#transport.bytes.destroy();
    for (const resolve of this.#onCaughtUp.splice(0)) resolve();
    for (const listener of [...this.#closeListeners]) listener(lost);
    this.#closeListeners.clear();
    this.#eventListeners.clear();
  }

  #unavailable(procedure: string, lost: LibvirtError, outcomeUnknown: boolean): LibvirtError {
    return new LibvirtError('libvirt_unavailable', { procedure, outcomeUnknown, cause: lost.cause });
  }
}

const EMPTY_HEADER = new Uint8Array(HEADER_BYTES);

function headerOf(
  procedure: Pick<Procedure<unknown, unknown>, 'program' | 'number'>,
  type: number,
  serial: number,
  status: number,
): FrameHeader {
  return { program: PROGRAMS[procedure.program], version: 1, procedure: procedure.number, type, serial, status };
}

function decode<Result>(procedure: Pick<Procedure<unknown, Result>, 'result'>, payload: Buffer): Result {
  const decoder = new XdrDecoder(payload);
  const result = procedure.result.get(decoder);
  decoder.end();
  return result;
}

function cancelled(procedure: string, reason: unknown, outcomeUnknown: boolean): LibvirtError {
  return new LibvirtError('cancelled', { procedure, outcomeUnknown, cause: reason });
}

function deadlinePassed(procedure: Procedure<unknown, unknown>): LibvirtError {
  return new LibvirtError('libvirt_unavailable', {
    procedure: procedure.name,
    detail: 'libvirt did not answer in time.',
    outcomeUnknown: procedure.isWrite,
  });
}
