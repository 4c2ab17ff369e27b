/** Folders that count only while a file system is mounted there: without it they are folders of the host's own disk. */

import { readFile } from 'node:fs/promises';
import { AppError } from '#kernel/errors.ts';
import { run } from '#platform/process.ts';

/** A share whose server is gone holds whoever asks for ever; so somebody else asks. */
const ANSWER_MS = 10_000;

const asking = new Map<string, Promise<unknown>>();

/** @throws AppError mount_missing; place_stalled when what is mounted does not answer */
export async function requireMount(folder: string): Promise<void> {
  if (mountOf(await readFile('/proc/self/mountinfo', 'utf8'), folder) === '/')
    throw new AppError('mount_missing', { detail: `Nothing is mounted at ${folder} or above it.` });
  await requireAnswer(folder);
}

/** @throws AppError place_stalled when what is mounted at a folder or above it does not answer */
export async function requireAnswer(folder: string): Promise<void> {
  // One that hangs is asked once, however often somebody looks.
  const pending =
    asking.get(folder) ??
    run(['stat', '-f', '--', folder], { timeoutMs: ANSWER_MS * 6 }).finally(() => asking.delete(folder));
  asking.set(folder, pending);
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new AppError('place_stalled', {
            detail: `What is mounted at ${folder} gave no answer within ${ANSWER_MS / 1000} s.`,
          }),
        ),
      ANSWER_MS,
    );
  });
  try {
    await Promise.race([pending, silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** The mount point that a folder lies below. @param mountinfo as of proc(5), where blanks are `\040` */
export function mountOf(mountinfo: string, folder: string): string {
  let best = '/';
  for (const line of mountinfo.split('\n')) {
    const point = (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_all, code: string) =>
      String.fromCharCode(Number.parseInt(code, 8)),
    );
    const isAbove = point !== '/' && (folder === point || folder.startsWith(`${point}/`));
    if (isAbove && point.length > best.length) best = point;
  }
  return best;
}
