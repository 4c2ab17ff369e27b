/** What a stream sends over its connection: data, holes, its end, its abort. */

import type { Duplex } from 'node:stream';
import { type FrameHeader, frame, HEADER_BYTES, MESSAGE_TYPES, STATUS, writeHeader } from './frame.ts';
import type { StreamLink } from './stream.ts';

export interface StreamLinkOptions {
  headerOf(type: number, status: number): FrameHeader;
  readonly bytes: Duplex;
  /** Why the connection is lost; null while it is usable. */
  lost(): Error | null;
  /** What is written from here on in this turn of the event loop leaves together. */
  cork(): void;
  release(): void;
}

export function createStreamLink({ headerOf, bytes, lost, cork, release }: StreamLinkOptions): StreamLink {
  // `accepted` is called when the bytes have left this process: their buffer may then be used again.
  function send(pieces: readonly Uint8Array[], accepted: (error?: Error | null) => void): void {
    const gone = lost();
    if (gone) {
      accepted(gone);
      return;
    }
    cork();
    const last = pieces.length - 1;
    for (const [index, piece] of pieces.entries()) {
      if (index === last) bytes.write(piece, (error) => accepted(error ? (lost() ?? error) : null));
      else bytes.write(piece);
    }
  }

  return {
    sendData(parts, accepted) {
      const size = parts.reduce((sum, part) => sum + part.length, 0);
      const head = Buffer.allocUnsafe(HEADER_BYTES);
      writeHeader(head, headerOf(MESSAGE_TYPES.stream, STATUS.continue), HEADER_BYTES + size);
      send([head, ...parts], accepted);
    },
    sendHole(lengthBytes, accepted) {
      const payload = Buffer.alloc(12);
      payload.writeBigInt64BE(BigInt(lengthBytes), 0);
      send([frame(headerOf(MESSAGE_TYPES.streamHole, STATUS.continue), payload)], accepted);
    },
    sendFinish() {
      if (!lost()) bytes.write(frame(headerOf(MESSAGE_TYPES.stream, STATUS.ok)));
    },
    sendAbort() {
      if (!lost()) bytes.write(frame(headerOf(MESSAGE_TYPES.stream, STATUS.error)));
    },
    pauseReading: () => bytes.pause(),
    resumeReading: () => bytes.resume(),
    release,
  };
}
