/** A libvirt daemon in memory that speaks the same wire protocol: for tests, and for trying ten thousand VMs without one.
 *  Answers can be held, reordered or replaced, so that every fault of a host can be played. */

import { createServer, type Server } from 'node:net';
import { type Duplex, duplexPair } from 'node:stream';
import type { Xdr } from '../codec.ts';
import { type FrameHeader, FrameSplitter, frame, MESSAGE_TYPES, STATUS } from '../frame.ts';
import { type EventMessage, errorPayload, P, PROGRAMS, type Procedure } from '../table.ts';
import { overStream, type Transport } from '../transport/transport.ts';
import { XdrDecoder, XdrEncoder } from '../xdr.ts';

/** Thrown by an answer: the host's error reply. */
export class FakeFailure extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** One client's end as the server sees it. */
export interface FakePeer {
  /** Raw bytes to the client. */
  send(bytes: Uint8Array): void;
  /** The connection breaks without a word. */
  hangUp(): void;
}

/** Returned by an answer: the host stays silent. */
export const NEVER = Symbol('never');

type Answer<Args, Result> = (args: Args, peer: FakePeer, header: FrameHeader) => Result | typeof NEVER;
type StreamListener = (header: FrameHeader, payload: Buffer, peer: FakePeer) => void;

export interface FakeServer {
  /** A connection in memory. */
  transport(): Transport;
  /** Accepts connections on a Unix socket until `close`. */
  listen(socketPath: string): Promise<void>;
  close(): Promise<void>;
  /** What the server answers from now on; a thrown FakeFailure becomes an error reply. */
  answer<Args, Result>(procedure: Procedure<Args, Result>, how: Answer<Args, Result>): void;
  /** Hears stream frames of clients. */
  onStream(listener: StreamListener): void;
  /** From now on answers are kept back, until `release`. */
  hold(): void;
  /** Sends the kept answers and holds no more. */
  release(order: 'as-asked' | 'reversed'): void;
  /** Sends an event to every client. */
  emit<Payload>(message: EventMessage<Payload>, payload: Payload): void;
  readonly peers: ReadonlySet<FakePeer>;
  /** Names of the calls so far, oldest first. */
  readonly calls: readonly string[];
}

const UNKNOWN_PROCEDURE = 39;

export function createFakeServer(): FakeServer {
  const answers = new Map<string, { procedure: Procedure<unknown, unknown>; how: Answer<unknown, unknown> }>();
  const procedures = new Map(
    Object.values(P).map((procedure) => [keyOf(PROGRAMS[procedure.program], procedure.number), procedure.name]),
  );
  const peers = new Set<FakePeer>();
  const calls: string[] = [];
  const held: (() => void)[] = [];
  let isHolding = false;
  let streamListener: StreamListener | null = null;
  let server: Server | null = null;

  function serve(bytes: Duplex): void {
    const peer: FakePeer = { send: (data) => void bytes.write(data), hangUp: () => bytes.destroy() };
    peers.add(peer);
    const splitter = new FrameSplitter({
      onFrame: (header, payload) => receive(peer, header, payload),
      onStreamData: (header, chunk) => streamListener?.(header, chunk, peer),
    });
    bytes.on('data', (chunk: Buffer) => splitter.push(chunk));
    bytes.on('error', () => undefined); // clients may vanish
    bytes.on('end', () => bytes.end());
    bytes.on('close', () => peers.delete(peer));
  }

  function receive(peer: FakePeer, header: FrameHeader, payload: Buffer): void {
    if (header.program === PROGRAMS.keepalive) {
      if (header.procedure === 1) peer.send(frame({ ...header, procedure: 2 }));
      return;
    }
    if (header.type === MESSAGE_TYPES.stream || header.type === MESSAGE_TYPES.streamHole) {
      streamListener?.(header, payload, peer);
      return;
    }
    const key = keyOf(header.program, header.procedure);
    calls.push(procedures.get(key) ?? `procedure ${header.procedure}`);
    const reply = () => {
      const bytes = replyTo(key, peer, header, payload);
      if (bytes) peer.send(bytes);
    };
    if (isHolding) held.push(reply);
    else reply();
  }

  function replyTo(key: string, peer: FakePeer, header: FrameHeader, payload: Buffer): Buffer | null {
    const reply = { ...header, type: MESSAGE_TYPES.reply };
    try {
      const known = answers.get(key);
      if (!known) throw new FakeFailure(UNKNOWN_PROCEDURE, 'unknown procedure');
      const args = known.procedure.args.get(new XdrDecoder(payload));
      const result = known.how(args, peer, header);
      return result === NEVER ? null : frame({ ...reply, status: STATUS.ok }, encode(known.procedure.result, result));
    } catch (error) {
      if (!(error instanceof FakeFailure)) throw error;
      return frame({ ...reply, status: STATUS.error }, encodeFailure(error.code, error.message));
    }
  }

  const self: FakeServer = {
    transport() {
      const [client, ours] = duplexPair();
      serve(ours);
      return overStream(client, 'fake');
    },
    listen(socketPath) {
      return new Promise((resolve) => {
        server = createServer({ allowHalfOpen: true }, serve).listen(socketPath, resolve);
      });
    },
    async close() {
      for (const peer of [...peers]) peer.hangUp();
      const running = server;
      if (running) await new Promise((resolve) => running.close(resolve));
    },
    answer(procedure, how) {
      const entry = { procedure, how } as unknown as {
        procedure: Procedure<unknown, unknown>;
        how: Answer<unknown, unknown>;
      };
      answers.set(keyOf(PROGRAMS[procedure.program], procedure.number), entry);
    },
    onStream(listener) {
      streamListener = listener;
    },
    hold() {
      isHolding = true;
    },
    release(order) {
      isHolding = false;
      const replies = held.splice(0);
      if (order === 'reversed') replies.reverse();
      for (const reply of replies) reply();
    },
    emit(message, payload) {
      const encoder = new XdrEncoder();
      encoder.int(1);
      message.payload.put(encoder, payload);
      const header = {
        program: PROGRAMS.remote,
        version: 1,
        procedure: message.number,
        type: MESSAGE_TYPES.event,
        serial: 0,
        status: STATUS.ok,
      };
      const bytes = frame(header, encoder.finish());
      for (const peer of [...peers]) peer.send(bytes);
    },
    peers,
    calls,
  };
  self.answer(P.authList, () => ({ types: [0] }));
  self.answer(P.connectOpen, () => ({}));
  self.answer(P.connectClose, () => ({}));
  self.answer(P.connectSupportsFeature, () => ({ supported: 1 }));
  return self;
}

export function encode<Value>(type: Xdr<Value>, value: Value): Buffer {
  const encoder = new XdrEncoder();
  type.put(encoder, value);
  return encoder.finish();
}

/** The payload of an error reply. */
export function encodeFailure(code: number, message: string): Buffer {
  const nothing = { dom: null, str1: message, str2: null, str3: null, int1: -1, int2: -1, net: null };
  return encode(errorPayload, { code, domain: 10, message, level: 2, ...nothing });
}

function keyOf(program: number, procedure: number): string {
  return `${program}:${procedure}`;
}
