/** Joins one WebSocket with QEMU's VNC socket. What goes to the guest passes the RFB filter; what comes back is not looked at. */

import { connect } from 'node:net';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { MIB } from '#kernel/units.ts';
import type { Socket } from '#platform/feature.ts';
import { createRfbFilter, RfbViolation } from './rfb-filter.ts';
import type { ConsoleMode } from './tickets.ts';

/** Above this QEMU is not read until the client has taken its part; QEMU then skips frames by itself. */
const MAX_BUFFERED_BYTES = MIB;
const RESUME_BELOW_BYTES = MIB / 4;
const POLL_MS = 15;
/** A client that takes nothing for so long is gone. */
const STALLED_MS = 30_000;
/** What a hung QEMU may leave unread before we give up on it. */
const MAX_UNREAD_BYTES = MIB;
const CONNECT_MS = 5_000;

export interface Console {
  /** Ends it; the client is told why. Idempotent. */
  end(code: number, reason: string): void;
}

export interface VncBridgeOptions {
  readonly socket: Socket;
  /** QEMU's unix socket. */
  readonly path: string;
  readonly mode: ConsoleMode;
  readonly log: Logger;
  /** Called once when it is over, whoever ended it. */
  readonly onEnd: () => void;
}

export function bridgeVnc({ socket, path, mode, log, onEnd }: VncBridgeOptions): Console {
  const filter = createRfbFilter(mode);
  const upstream = connect({ path });
  let isOver = false;
  let drainTimer: NodeJS.Timeout | null = null;

  const end = (code: number, reason: string) => {
    if (isOver) return;
    isOver = true;
    clearTimeout(connectTimer);
    if (drainTimer) clearInterval(drainTimer);
    upstream.destroy();
    socket.close(code, reason);
    onEnd();
  };
  const connectTimer = setTimeout(() => end(CONSOLE_CLOSE.unreachable, 'The screen does not answer.'), CONNECT_MS);

  const waitForClient = () => {
    upstream.pause();
    let lowest = socket.bufferedBytes();
    let stalledSince = performance.now();
    drainTimer = setInterval(() => {
      const buffered = socket.bufferedBytes();
      if (buffered < lowest) {
        lowest = buffered;
        stalledSince = performance.now();
      }
      if (performance.now() - stalledSince > STALLED_MS) {
        end(CONSOLE_CLOSE.tooSlow, 'The connection is too slow for the screen.');
        return;
      }
      if (buffered > RESUME_BELOW_BYTES) return;
      if (drainTimer) clearInterval(drainTimer);
      drainTimer = null;
      upstream.resume();
    }, POLL_MS);
  };

  upstream.on('connect', () => clearTimeout(connectTimer));
  upstream.on('data', (chunk) => {
    if (isOver) return;
    socket.send(chunk);
    if (drainTimer === null && socket.bufferedBytes() > MAX_BUFFERED_BYTES) waitForClient();
  });
  upstream.on('error', (error) => {
    // A guest that is stopped takes its socket along.
    if (!hasErrno(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'))
      log.warn({ err: error }, 'the VNC socket failed');
    end(CONSOLE_CLOSE.unreachable, 'The screen cannot be reached.');
  });
  upstream.on('close', () => end(CONSOLE_CLOSE.guestStopped, 'The guest closed its screen.'));

  socket.onClose(() => end(1000, ''));
  socket.onMessage((data) => {
    if (isOver) return;
    try {
      const passed = filter.push(data);
      if (passed.length > 0) upstream.write(passed);
    } catch (error) {
      if (!(error instanceof RfbViolation)) throw error;
      log.info({ reason: messageOf(error) }, 'a VNC client broke the protocol');
      end(CONSOLE_CLOSE.refused, `The client sent what is not allowed: ${error.message}.`);
      return;
    }
    if (upstream.writableLength > MAX_UNREAD_BYTES)
      end(CONSOLE_CLOSE.unreachable, 'The guest does not take any input.');
  });

  return { end };
}
