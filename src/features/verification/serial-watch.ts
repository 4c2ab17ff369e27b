/** Reads a guest's serial port as a person would: keeps the last of it as plain text, and knows the lines that say how a start goes.
 *  What comes is a stranger's: bounded memory, no regular expression that can run away, control characters never reach the log. */

/** Kept of what was printed. */
export const MAX_SERIAL_BYTES = 256 * 1024;
/** A marker may lie across two pieces; longer than any marker. */
const OVERLAP = 400;
/** An escape sequence that does not end is text from here on. */
const MAX_SEQUENCE = 64;

export type SerialSign = 'kernel' | 'login' | 'marker' | 'kernel_panic' | 'emergency_mode' | 'no_boot_device';

const SIGNS: readonly (readonly [SerialSign, readonly string[]])[] = [
  ['kernel', ['Linux version ', 'Booting the kernel', 'FreeBSD is a registered trademark', 'OpenBSD 7']],
  ['login', ['login: ']],
  ['kernel_panic', ['Kernel panic - not syncing', 'Unable to mount root fs', 'Fatal trap', 'KDB: enter: panic']],
  [
    'emergency_mode',
    [
      'You are in emergency mode',
      'Entering emergency mode',
      'Cannot open access to console, the root account is locked',
      'Give root password for maintenance',
      '(initramfs) ',
      'dracut Warning: Could not boot',
      'grub rescue>',
    ],
  ],
  [
    'no_boot_device',
    [
      'No bootable device',
      'No bootable option or device was found',
      'not a bootable disk',
      'Missing operating system',
      'Operating system not found',
      'BOOTMGR is missing',
      'Non-System disk or disk error',
    ],
  ],
];

export interface SerialWatch {
  /** @returns signs not seen before, in the order of this table */
  feed(bytes: Uint8Array): readonly SerialSign[];
  readonly seen: ReadonlySet<SerialSign>;
  /** All that came, also what is not kept. */
  readonly totalBytes: number;
  /** The last of it, without control characters but line ends. */
  text(): string;
}

/** @param marker text of the owner that says that the guest has started; null = none */
export function watchSerial(marker: string | null): SerialWatch {
  const signs: (readonly [SerialSign, readonly string[]])[] = [...SIGNS];
  if (marker !== null && marker !== '') signs.push(['marker', [marker]]);
  const seen = new Set<SerialSign>();
  const decoder = new TextDecoder('utf-8');
  const strip = createStripper();
  let totalBytes = 0;
  let kept = '';
  let tail = '';

  return {
    seen,
    get totalBytes() {
      return totalBytes;
    },
    feed(bytes) {
      totalBytes += bytes.length;
      const text = strip(decoder.decode(bytes, { stream: true }));
      const looked = tail + text;
      tail = looked.slice(-OVERLAP);
      kept += text;
      if (kept.length > 2 * MAX_SERIAL_BYTES) kept = kept.slice(-MAX_SERIAL_BYTES);
      const fresh = signs.flatMap(([sign, texts]) =>
        !seen.has(sign) && texts.some((each) => looked.includes(each)) ? [sign] : [],
      );
      for (const sign of fresh) seen.add(sign);
      return fresh;
    },
    text: () => kept.slice(-MAX_SERIAL_BYTES),
  };
}

/** Takes out escape sequences (firmware places each letter with one) and control characters, also when they come in pieces. */
function createStripper(): (text: string) => string {
  let state: 'text' | 'escape' | 'csi' | 'osc' = 'text';
  let length = 0;
  return (text) => {
    let out = '';
    for (const char of text) {
      const code = char.codePointAt(0) ?? 0;
      if (state !== 'text') {
        length += 1;
        state = next(state, code);
        if (length > MAX_SEQUENCE) state = 'text';
        continue;
      }
      if (code === 0x1b) {
        state = 'escape';
        length = 0;
      } else if (code === 0x9b) {
        state = 'csi';
        length = 0;
      } else if (char === '\n' || char === '\t' || isPrintable(code)) out += char;
    }
    return out;
  };
}

function next(state: 'escape' | 'csi' | 'osc', code: number): 'text' | 'csi' | 'osc' | 'escape' {
  if (state === 'escape') {
    if (code === 0x5b) return 'csi';
    // Operating system command, device control, privacy message, application command: texts up to BEL or ESC \.
    if (code === 0x5d || code === 0x50 || code === 0x5e || code === 0x5f) return 'osc';
    // Intermediate bytes, then one final byte.
    return code >= 0x20 && code <= 0x2f ? 'escape' : 'text';
  }
  if (state === 'csi') return code >= 0x40 && code <= 0x7e ? 'text' : 'csi';
  if (code === 0x07) return 'text';
  return code === 0x1b ? 'escape' : 'osc';
}

/** Not: C0 and C1 controls, and what turns the direction of text or is no character. */
function isPrintable(code: number): boolean {
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return false;
  if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e)) return false;
  return !(code >= 0x2066 && code <= 0x2069) && code !== 0xfeff && code !== 0xfffd;
}
