/** One port of the appliance: one question at a time, its answer as frames with the pace of whoever reads them. */

import type { Socket } from 'node:net';
import { ByteReader } from '#platform/nbd/byte-reader.ts';
import { type Frame, readFrame, readLength, requestFrame, WireError } from './wire.ts';

export interface Port {
  /** Asks, and gives what comes back up to and without its last frame. Who stops reading early, or aborts the signal, stops the agent too;
   *  one that does not stop is ended.
   *  @returns the text of the last frame @throws AgentProblem for what the agent answers, WireError, the signal's reason, why the port ended */
  ask(words: readonly string[] | readonly Uint8Array[], signal: AbortSignal): AsyncGenerator<Frame, string, void>;
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

  return {
    async *ask(words, signal) {
      signal.throwIfAborted();
      if (ended !== null) throw ended;
      socket.write(requestFrame(words));
      let isOver = false;
      let timer: NodeJS.Timeout | null = null;
      const stop = () => {
        if (timer !== null || isOver || ended !== null) return;
        socket.write(requestFrame(['stop']));
        timer = setTimeout(() => onBroken(new Error('the agent does not stop')), STOP_MS);
      };
      signal.addEventListener('abort', stop, { once: true });
      const next = async (): Promise<Frame> => {
        const one = await frame();
        isOver = one.kind === 'done' || one.kind === 'failed';
        return one;
      };
      try {
        for (;;) {
          const one = await next();
          // What was on its way when it was asked to stop is nobody's any more.
          if (signal.aborted && !isOver) continue;
          signal.throwIfAborted();
          if (one.kind === 'done') return one.text;
          if (one.kind === 'failed') throw new AgentProblem(one.code, one.text);
          yield one;
        }
      } finally {
        stop();
        while (!isOver && ended === null) await next();
        signal.removeEventListener('abort', stop);
        if (timer !== null) clearTimeout(timer);
      }
    },
    end,
  };
}
