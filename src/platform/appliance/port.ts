/** One port of the appliance: one question at a time, its answer as frames with the pace of whoever reads them. */

import type { Socket } from 'node:net';
import { ByteReader } from '#platform/nbd/byte-reader.ts';
import { type Frame, readFrame, readLength, requestFrame, WireError } from './wire.ts';

export interface Port {
  /** Asks, and gives what comes back up to and without its last frame. Who stops reading early stops the agent too.
   *  @returns the text of the last frame @throws AgentProblem for what the agent answers, WireError, the reason of the end of the port */
  ask(words: readonly string[] | readonly Uint8Array[]): AsyncGenerator<Frame, string, void>;
  /** Ends it: whoever waits fails with the reason. */
  end(reason: Error): void;
}

/** What the agent could not do; `code` as in `guest/agent`. */
export class AgentProblem extends Error {
  readonly code: string;
  readonly text: Buffer;
  constructor(code: string, text: Buffer) {
    super(`the agent of the appliance: ${code}`);
    this.code = code;
    this.text = text;
  }
}

/** An agent that was asked to stop has to within this time. */
const STOP_MS = 20_000;

export function createPort(socket: Socket, onBroken: (error: Error) => void): Port {
  const reader = new ByteReader();
  reader.attachFlowing(socket, (cause) => cause ?? new Error('the port was closed'));
  let ended: Error | null = null;
  const end = (reason: Error) => {
    ended ??= reason;
    reader.fail(reason);
    socket.destroy();
  };

  const frame = async () => {
    try {
      return readFrame(await reader.take(readLength(await reader.take(4))));
    } catch (error) {
      if (error instanceof WireError) {
        onBroken(error);
        end(error);
      }
      throw error;
    }
  };
  const drain = async () => {
    const timer = setTimeout(() => onBroken(new Error('the agent does not stop')), STOP_MS);
    try {
      for (;;) {
        const { kind } = await frame();
        if (kind === 'done' || kind === 'failed') return;
      }
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    async *ask(words) {
      if (ended !== null) throw ended;
      socket.write(requestFrame(words));
      let isOver = false;
      try {
        for (;;) {
          const next = await frame();
          if (next.kind === 'done') {
            isOver = true;
            return next.text;
          }
          if (next.kind === 'failed') {
            isOver = true;
            throw new AgentProblem(next.code, next.text);
          }
          yield next;
        }
      } finally {
        if (!isOver && ended === null) {
          socket.write(requestFrame(['stop']));
          await drain();
        }
      }
    },
    end,
  };
}
