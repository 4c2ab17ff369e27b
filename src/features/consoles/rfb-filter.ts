/** Reads what a VNC client sends (RFB 3.7/3.8, RFC 6143 and the extensions that QEMU knows) and lets through what its mode allows.
 *  A viewer reaches the guest's screen, never its keyboard, pointer or clipboard, whatever its JavaScript does. */

import type { ConsoleMode } from './tickets.ts';

/** The client broke the protocol or a limit; the console closes. */
export class RfbViolation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RfbViolation';
  }
}

export interface RfbFilter {
  /** Takes bytes in any portions and returns what goes on to the server.
   *  @throws RfbViolation; nothing may be pushed after it */
  push(chunk: Uint8Array): Buffer;
}

/** Longest clipboard text that goes to a guest. */
export const MAX_CUT_TEXT_BYTES = 256 * 1024;

/** noVNC names about 25 encodings. */
const MAX_ENCODINGS = 256;

/** Who may send a message: everybody, those in control, or nobody (known, and dropped). */
type Verdict = 'view' | 'control' | 'never';

interface Message {
  /** Bytes that must be there before `length` can be asked. */
  readonly headerBytes: number;
  length(buffer: Buffer): number;
  readonly verdict: Verdict;
}

const fixed = (bytes: number, verdict: Verdict): Message => ({ headerBytes: 1, length: () => bytes, verdict });

function boundedCount(what: string, count: number, most: number): number {
  if (count > most) throw new RfbViolation(`${what}: ${count} is more than ${most}`);
  return count;
}

const QEMU_MESSAGE = 255;

/** By message type: RFC 6143 section 7.5; 150, 248, 250, 251, 255 from the community's RFB registry. */
const MESSAGES: Readonly<Record<number, Message>> = {
  0: fixed(20, 'view'), // SetPixelFormat
  2: {
    headerBytes: 4,
    verdict: 'view',
    length: (buffer) => 4 + 4 * boundedCount('encodings', buffer.readUInt16BE(2), MAX_ENCODINGS),
  },
  3: fixed(10, 'view'), // FramebufferUpdateRequest
  4: fixed(8, 'control'), // KeyEvent
  5: fixed(6, 'control'), // PointerEvent
  6: {
    headerBytes: 8,
    verdict: 'control',
    // A negative length marks the extended clipboard; its size is the absolute value.
    length: (buffer) => 8 + boundedCount('clipboard bytes', Math.abs(buffer.readInt32BE(4)), MAX_CUT_TEXT_BYTES),
  },
  150: fixed(10, 'control'), // EnableContinuousUpdates
  248: {
    headerBytes: 9,
    verdict: 'control',
    length: (buffer) => 9 + boundedCount('fence bytes', buffer.readUInt8(8), 64),
  }, // Fence
  250: fixed(4, 'never'), // XVP: shutdown, reboot, reset; those ask for vm.power and are logged
  251: { headerBytes: 7, verdict: 'control', length: (buffer) => 8 + 16 * buffer.readUInt8(6) }, // SetDesktopSize
};

/** QEMU's own messages, by sub-type. */
const QEMU_MESSAGES: Readonly<Record<number, Message>> = {
  0: fixed(12, 'control'), // ExtendedKeyEvent
  // Audio: operation 2 carries a format. Nobody here plays it.
  1: { headerBytes: 4, verdict: 'never', length: (buffer) => (buffer.readUInt16BE(2) === 2 ? 10 : 4) },
};

const VERSION_BYTES = 12;
const VERSIONS: readonly string[] = ['RFB 003.007\n', 'RFB 003.008\n'];
const SECURITY_NONE = 1;
const SECURITY_VNC = 2;
const VNC_RESPONSE_BYTES = 16;

type Phase = 'version' | 'security' | 'vnc-response' | 'client-init' | 'messages';

/** The message at the beginning of `buffer`, or null while too little of it is known. */
function messageAt(buffer: Buffer): Message | null {
  const type = buffer.readUInt8(0);
  if (type !== QEMU_MESSAGE) {
    const message = MESSAGES[type];
    if (!message) throw new RfbViolation(`unknown message type ${type}`);
    return message;
  }
  if (buffer.length < 2) return null;
  const subtype = buffer.readUInt8(1);
  const message = QEMU_MESSAGES[subtype];
  if (!message) throw new RfbViolation(`unknown QEMU message ${subtype}`);
  return message;
}

function isAllowed({ verdict }: Message, mode: ConsoleMode): boolean {
  return verdict === 'view' || (verdict === 'control' && mode === 'control');
}

export function createRfbFilter(mode: ConsoleMode): RfbFilter {
  let phase: Phase = 'version';
  let pending: Buffer = Buffer.alloc(0);
  /** What came while `pending` was too short; joined only when it suffices, so that tiny portions of a long message cost nothing. */
  let held: Buffer[] = [];
  let heldBytes = 0;
  let wantedBytes = VERSION_BYTES;

  const take = (bytes: number): Buffer | null => {
    if (pending.length < bytes) {
      wantedBytes = bytes;
      return null;
    }
    const unit = pending.subarray(0, bytes);
    pending = pending.subarray(bytes);
    return unit;
  };

  const takeMessage = (): Buffer | null => {
    wantedBytes = pending.length + 1;
    if (pending.length === 0) return null;
    const message = messageAt(pending);
    if (message === null) return null;
    if (pending.length < message.headerBytes) {
      wantedBytes = message.headerBytes;
      return null;
    }
    const unit = take(message.length(pending));
    if (unit === null) return null;
    return isAllowed(message, mode) ? unit : Buffer.alloc(0);
  };

  /** Takes one unit off the front and returns what of it goes on; null when it is not complete yet. */
  const takeUnit = (): Buffer | null => {
    switch (phase) {
      case 'version': {
        const version = take(VERSION_BYTES);
        if (version === null) return null;
        if (!VERSIONS.includes(version.toString('latin1'))) throw new RfbViolation('not RFB 3.7 or 3.8');
        phase = 'security';
        return version;
      }
      case 'security': {
        const choice = take(1);
        if (choice === null) return null;
        const type = choice.readUInt8(0);
        // Other types would encrypt what follows, out of our sight.
        if (type !== SECURITY_NONE && type !== SECURITY_VNC) throw new RfbViolation(`security type ${type}`);
        phase = type === SECURITY_VNC ? 'vnc-response' : 'client-init';
        return choice;
      }
      case 'vnc-response': {
        const response = take(VNC_RESPONSE_BYTES);
        if (response !== null) phase = 'client-init';
        return response;
      }
      case 'client-init':
        if (take(1) === null) return null;
        phase = 'messages';
        // Always shared: a client that asks for the screen alone would throw the others out.
        return Buffer.of(1);
      case 'messages':
        return takeMessage();
    }
  };

  return {
    push(chunk) {
      held.push(Buffer.from(chunk));
      heldBytes += chunk.length;
      if (pending.length + heldBytes < wantedBytes) return Buffer.alloc(0);
      pending = Buffer.concat([pending, ...held]);
      held = [];
      heldBytes = 0;
      const passed: Buffer[] = [];
      for (let unit = takeUnit(); unit !== null; unit = takeUnit()) passed.push(unit);
      return Buffer.concat(passed);
    },
  };
}
