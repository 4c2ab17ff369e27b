/** One VM's serial console for any number of viewers. libvirt lets one program hold a console, so all share one stream.
 *  Everything goes through a ring of the last 256 KiB: who joins gets it first, who is slow jumps ahead in it, nobody blocks anybody. */

import type { Duplex } from 'node:stream';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { KIB, MIB } from '#kernel/units.ts';
import type { Socket } from '#platform/feature.ts';
import { createRingBuffer } from './ring-buffer.ts';
import type { LogMark, LogPart } from './serial-log.ts';
import type { ConsoleMode } from './tickets.ts';
import type { Console } from './vnc-bridge.ts';

export const SCROLL_BACK_BYTES = 256 * KIB;

/** A flooding guest is read no faster; its serial port then waits, which is the guest's own business. */
const MAX_BYTES_PER_SECOND = MIB;
/** A viewer with more than this unsent gets nothing new until it has drained. */
const MAX_BUFFERED_BYTES = 256 * KIB;
const CATCH_UP_MS = 50;
const STALLED_MS = 30_000;
/** Typed text that the guest has not taken yet. */
const MAX_INPUT_BYTES = 256 * KIB;
const GRACE_MS = 30_000;
const RETRY_MS = [500, 1000, 2000, 5000];
/** The end of the stream comes a little before the inventory knows that the guest stopped. */
const SETTLE_MS = 300;

export interface SerialHubOptions {
  readonly isActive: () => boolean;
  readonly openStream: (signal: AbortSignal) => Promise<Duplex>;
  /** What libvirt logged after the mark, 256 KiB at most; null = there is no log. */
  readonly readLog: (since: LogMark | null) => Promise<LogPart | null>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when the last viewer has been gone for 30 s and the stream is closed. */
  readonly onIdle: () => void;
}

export interface SerialHub {
  /** Adds a viewer: scroll-back first, then live. `onEnd` is called once, whoever ends it. */
  attach(socket: Socket, mode: ConsoleMode, onEnd: () => void): Console;
  /** What went through, newest 256 KiB. */
  captured(): Buffer;
  /** Tells that the VM may have started or stopped. */
  wake(): void;
  /** Ends all viewers and the stream. */
  close(code: number, reason: string): void;
}

interface Viewer {
  readonly socket: Socket;
  /** Up to where of everything that went through it was sent. */
  position: number;
  lagSinceMs: number | null;
  lowestBuffered: number;
  wasWarned: boolean;
  end(code: number, reason: string): void;
}

const notice = (text: string): Buffer => Buffer.from(`\r\n[hyper: ${text}]\r\n`);

/** How many bytes at the beginning of `next` are the end of `seen` already. */
function overlap(seen: Buffer, next: Buffer): number {
  for (let size = Math.min(seen.length, next.length); size > 0; size -= 1) {
    if (seen.subarray(seen.length - size).equals(next.subarray(0, size))) return size;
  }
  return 0;
}

export function createSerialHub({ isActive, openStream, readLog, clock, log, onIdle }: SerialHubOptions): SerialHub {
  const ring = createRingBuffer(SCROLL_BACK_BYTES);
  const viewers = new Set<Viewer>();
  let stream: Duplex | null = null;
  let mark: LogMark | null = null;
  let isPrimed = false;
  let running: AbortController | null = null;
  let grace: AbortController | null = null;
  let catchUpTimer: NodeJS.Timeout | null = null;
  let wakeUp: (() => void) | null = null;

  /** Sends a viewer what it has not got yet, if it keeps up. */
  const flush = (viewer: Viewer) => {
    const missing = ring.totalBytes - viewer.position;
    if (missing === 0) return;
    const buffered = viewer.socket.bufferedBytes();
    if (buffered > MAX_BUFFERED_BYTES) {
      if (viewer.lagSinceMs === null || buffered < viewer.lowestBuffered) {
        viewer.lagSinceMs = clock.monotonicMs();
        viewer.lowestBuffered = buffered;
      }
      catchUpTimer ??= setInterval(catchUp, CATCH_UP_MS);
      return;
    }
    const bytes = ring.tail(missing);
    if (bytes.length < missing) viewer.socket.send(notice(`${missing - bytes.length} bytes skipped`));
    viewer.socket.send(bytes);
    viewer.position = ring.totalBytes;
    viewer.lagSinceMs = null;
  };
  const catchUp = () => {
    for (const viewer of viewers) {
      flush(viewer);
      if (viewer.lagSinceMs !== null && clock.monotonicMs() - viewer.lagSinceMs > STALLED_MS) {
        viewer.end(CONSOLE_CLOSE.tooSlow, 'The connection is too slow for the console.');
      }
    }
    if (catchUpTimer && ![...viewers].some((viewer) => viewer.lagSinceMs !== null)) {
      clearInterval(catchUpTimer);
      catchUpTimer = null;
    }
  };
  const show = (bytes: Buffer) => {
    if (bytes.length === 0) return;
    ring.push(bytes);
    if (isPrimed) for (const viewer of viewers) flush(viewer);
  };

  const syncLog = async (): Promise<Buffer> => {
    const part = await readLog(mark);
    mark = part?.mark ?? null;
    return part?.bytes ?? Buffer.alloc(0);
  };

  /** Until the stream ends: all that it brings, at a bounded rate. */
  const pump = async (source: Duplex, signal: AbortSignal) => {
    // The log was written while the stream was being opened, so the two may overlap.
    const logged = await syncLog();
    const waiting: unknown = source.read();
    const first = Buffer.isBuffer(waiting) ? waiting : Buffer.alloc(0);
    show(logged);
    show(first.subarray(overlap(logged, first)));
    let windowBegan = clock.monotonicMs();
    let windowBytes = 0;
    for await (const chunk of source) {
      signal.throwIfAborted();
      if (!Buffer.isBuffer(chunk)) continue;
      show(chunk);
      windowBytes += chunk.length;
      const elapsed = clock.monotonicMs() - windowBegan;
      const due = (windowBytes / MAX_BYTES_PER_SECOND) * 1000;
      if (due > elapsed + 50) await clock.sleep(due - elapsed, signal);
      if (elapsed > 1000) {
        windowBegan = clock.monotonicMs();
        windowBytes = 0;
      }
    }
  };

  const untilActive = async (signal: AbortSignal) => {
    while (!isActive()) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => reject(signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        wakeUp = () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
      });
    }
  };

  /** One life of the stream. Returns when it ended in order. */
  const watch = async (signal: AbortSignal) => {
    const source = await openStream(signal);
    try {
      signal.throwIfAborted();
      stream = source;
      await pump(source, signal);
    } finally {
      source.destroy();
      if (stream === source) stream = null;
    }
  };

  const follow = async (signal: AbortSignal) => {
    show(await syncLog());
    isPrimed = true;
    for (const viewer of viewers) flush(viewer);
    let wasLive = false;
    let failures = 0;
    while (!signal.aborted) {
      if (!isActive()) {
        show(notice(wasLive ? 'guest stopped' : 'guest is off'));
        await untilActive(signal);
        show(notice('guest started'));
      }
      try {
        wasLive = true;
        await watch(signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        if (failures === 1 && isActive()) show(notice('the console cannot be reached; trying again'));
        log.info({ err: error, reason: messageOf(error) }, 'the serial console broke off');
      }
      // What the log gets from here on is what the viewers miss.
      await syncLog();
      await clock.sleep(SETTLE_MS + (RETRY_MS[Math.min(failures, RETRY_MS.length) - 1] ?? 0), signal);
    }
  };

  const begin = () => {
    grace?.abort();
    grace = null;
    if (running) return;
    const controller = new AbortController();
    running = controller;
    void follow(controller.signal).catch((error: unknown) => {
      if (!controller.signal.aborted) log.error({ err: error }, 'the serial console failed');
    });
  };
  const halt = () => {
    grace?.abort();
    grace = null;
    running?.abort();
    running = null;
    isPrimed = false;
    stream?.destroy();
    stream = null;
    if (catchUpTimer) clearInterval(catchUpTimer);
    catchUpTimer = null;
    onIdle();
  };
  const leave = () => {
    if (viewers.size > 0 || !running) return;
    const controller = new AbortController();
    grace = controller;
    clock.sleep(GRACE_MS, controller.signal).then(halt, () => undefined);
  };

  const typed = (viewer: Viewer, data: Uint8Array) => {
    if (stream === null || stream.destroyed) return;
    if (stream.writableLength + data.length <= MAX_INPUT_BYTES) {
      viewer.wasWarned = false;
      stream.write(data);
    } else if (!viewer.wasWarned) {
      viewer.wasWarned = true;
      viewer.socket.send(notice('the guest does not take more input; the rest was dropped'));
    }
  };

  return {
    attach(socket, mode, onEnd) {
      let isOver = false;
      const viewer: Viewer = {
        socket,
        position: Math.max(0, ring.totalBytes - SCROLL_BACK_BYTES),
        lagSinceMs: null,
        lowestBuffered: 0,
        wasWarned: false,
        end(code, reason) {
          if (isOver) return;
          isOver = true;
          viewers.delete(viewer);
          socket.close(code, reason);
          onEnd();
          leave();
        },
      };
      viewers.add(viewer);
      socket.onClose(() => viewer.end(1000, ''));
      socket.onMessage((data) => {
        if (mode === 'control' && !isOver) typed(viewer, data);
      });
      if (isPrimed) flush(viewer);
      begin();
      return viewer;
    },
    captured: () => ring.tail(),
    wake() {
      wakeUp?.();
      wakeUp = null;
    },
    close(code, reason) {
      for (const viewer of [...viewers]) viewer.end(code, reason);
      if (running) halt();
    },
  };
}
