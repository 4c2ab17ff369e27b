/** What a program of the machine prints. */

import { AppError } from '#kernel/errors.ts';
import type { HealthContext } from './check.ts';

const TIMEOUT_MS = 4_000;

/** @returns null where the program is not installed or says that it failed @throws timeout */
export async function ask(
  { machine, signal }: Pick<HealthContext, 'machine' | 'signal'>,
  argv: readonly string[],
): Promise<string | null> {
  try {
    const { code, stdout } = await machine.run(argv, { timeoutMs: TIMEOUT_MS, signal });
    return code === 0 ? stdout : null;
  } catch (error) {
    if (error instanceof AppError && error.code === 'program_missing') return null;
    throw error;
  }
}
