/** A WebSocket for tests: remembers what it was sent, and drains only when told. */

import type { Socket } from '#platform/feature.ts';

export interface FakeSocket extends Socket {
  readonly sent: Buffer;
  readonly closed: { readonly code: number; readonly reason: string } | null;
  /** While true, what is sent stays buffered. */
  isStalled: boolean;
  drain(): void;
  /** The client sends. */
  receive(data: Uint8Array | string): void;
  /** The client goes away. */
  leave(): void;
  /** Resolves when what was sent fits, or fails after 5 s with what was sent. */
  waitFor(pattern: RegExp): Promise<void>;
  waitForClose(): Promise<number>;
}

export function createFakeSocket(): FakeSocket {
  const messageListeners: ((data: Uint8Array) => void)[] = [];
  const closeListeners: (() => void)[] = [];
  const parts: Buffer[] = [];
  let buffered = 0;
  let closed: { code: number; reason: string } | null = null;
  const until = async (what: string, isTrue: () => boolean) => {
    for (const deadline = performance.now() + 5000; !isTrue(); ) {
      if (performance.now() > deadline)
        throw new Error(`not ${what}: ${JSON.stringify(socket.sent.toString('latin1').slice(-2000))}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const socket: FakeSocket = {
    isStalled: false,
    onMessage: (listener) => void messageListeners.push(listener),
    onClose: (listener) => void closeListeners.push(listener),
    send(data) {
      if (closed) return;
      parts.push(Buffer.from(data));
      if (socket.isStalled) buffered += data.length;
    },
    bufferedBytes: () => buffered,
    close(code, reason) {
      closed ??= { code, reason };
    },
    get sent() {
      return Buffer.concat(parts);
    },
    get closed() {
      return closed;
    },
    drain() {
      buffered = 0;
      socket.isStalled = false;
    },
    receive(data) {
      for (const listener of messageListeners) listener(typeof data === 'string' ? Buffer.from(data) : data);
    },
    leave() {
      closed ??= { code: 1005, reason: '' };
      for (const listener of closeListeners) listener();
    },
    waitFor: (pattern) => until(`sent ${pattern}`, () => pattern.test(socket.sent.toString('latin1'))),
    async waitForClose() {
      await until('closed', () => closed !== null);
      return closed?.code ?? 0;
    },
  };
  return socket;
}
