/** Runs the micro-guest under one accelerator and says what became of it. That QEMU starts proves nothing: only a guest that
 *  printed our token has run. Some machines open /dev/kvm and create VMs whose processors then never get anywhere. */

import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import { newSecret } from '#kernel/ids.ts';
import { type MicroGuest, microGuestAnswer, microGuestCommandLine } from '#platform/hello-disk/index.ts';
import type { Machine } from './machine.ts';

export const guestOutcomeSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('works'), durationMs: z.number() }),
  /** QEMU was content, but the guest did not say the token: it hung to the end of the time, or switched off without a word. */
  z.object({ kind: z.literal('silent'), waitedMs: z.number(), lastLine: z.string().nullable() }),
  /** QEMU ended with an error and without the token. */
  z.object({ kind: z.literal('refused'), message: z.string() }),
  z.object({ kind: z.literal('no_device') }),
  z.object({ kind: z.literal('no_permission') }),
  z.object({ kind: z.literal('no_program') }),
  /** The configuration says not to try. */
  z.object({ kind: z.literal('switched_off') }),
  z.object({ kind: z.literal('unknown'), reason: z.string() }),
]);
export type GuestOutcome = z.infer<typeof guestOutcomeSchema>;

export interface RunMicroGuestOptions {
  readonly machine: Pick<Machine, 'run'>;
  readonly guest: MicroGuest;
  readonly accel: 'kvm' | 'tcg';
  /** How long the guest may take to say the token. */
  readonly waitMs: number;
  /** Ours alone; emptied first and removed afterwards. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

export const QEMU_PROGRAM = 'qemu-system-x86_64';

const POLL_MS = 50;
const MEMORY_MIB = 192;

/** Boots the guest and waits for its token. QEMU is gone when this returns.
 *  @throws the signal's reason */
export async function runMicroGuest({
  machine,
  guest,
  accel,
  waitMs,
  folder,
  signal,
}: RunMicroGuestOptions): Promise<GuestOutcome> {
  // An earlier life of the daemon may have been killed in the middle of a probe.
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const serial = join(folder, 'serial');
  const token = newSecret();
  const startedMs = performance.now();
  const seen = new AbortController();
  const poll = setInterval(() => {
    void readSerial(serial).then(
      (text) => {
        if (text.includes(microGuestAnswer(token))) seen.abort();
      },
      () => undefined, // the read after the end tells of a file that cannot be read
    );
  }, POLL_MS);
  const elapsedMs = () => Math.round(performance.now() - startedMs);
  try {
    const ended = await machine
      .run(
        [
          QEMU_PROGRAM,
          ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-monitor', 'none'],
          ...['-machine', 'q35', '-accel', accel, '-m', String(MEMORY_MIB), '-smp', '1'],
          ...(accel === 'kvm' ? ['-cpu', 'host'] : []),
          ...['-kernel', guest.kernel, '-initrd', guest.initrd, '-append', microGuestCommandLine(token)],
          ...['-serial', `file:${serial}`],
        ],
        { timeoutMs: waitMs, signal: AbortSignal.any([signal, seen.signal]) },
      )
      .catch((error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof AppError && error.code === 'program_missing') return 'no_program' as const;
        // We ended it ourselves: the token was seen, or the time was up.
        if (seen.signal.aborted || (error instanceof AppError && error.code === 'timeout')) return 'stopped' as const;
        throw error;
      });
    const text = await readSerial(serial);
    if (text.includes(microGuestAnswer(token))) return { kind: 'works', durationMs: elapsedMs() };
    if (ended === 'no_program') return { kind: 'no_program' };
    if (ended === 'stopped' || ended.code === 0)
      return { kind: 'silent', waitedMs: elapsedMs(), lastLine: lastLineOf(text) };
    return {
      kind: 'refused',
      message: lastLineOf(ended.stderr) ?? lastLineOf(text) ?? `it ended with status ${ended.code} and without a word`,
    };
  } catch (error) {
    signal.throwIfAborted();
    return { kind: 'unknown', reason: messageOf(error) };
  } finally {
    clearInterval(poll);
    await rm(folder, { recursive: true, force: true });
  }
}

async function readSerial(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // QEMU makes the file when it gets so far; the folder goes away under a late poll.
    if (hasErrno(error, 'ENOENT')) return '';
    throw error;
  }
}

/** The last line that says something, without control characters, 300 characters at most. */
function lastLineOf(text: string): string | null {
  const lines = text
    .split(/[\r\n]+/)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal control is what is taken out
    .map((line) => line.replace(/\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u001f\u007f]/g, '').trim())
    .filter(Boolean);
  return lines.at(-1)?.slice(0, 300) ?? null;
}
