/** What went wrong, as a person reads it: what, where, and what to do next. Thrown by commands, printed by `main.ts`. */

import type { Problem } from '#contract/common.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface FailureOptions {
  readonly exit: ExitCode;
  /** One command or sentence that mends it. */
  readonly hint?: string;
  readonly fields?: readonly { readonly path: string; readonly problem: string; readonly mend: string }[];
  /** Stable code in lower snake_case, for `--json`. */
  readonly code?: string;
  readonly problem?: Problem;
  /** What a script needs to go on, as `operationId`, for `--json`. */
  readonly params?: Problem['params'];
}

/** A failure with its exit code. `message` may hold foreign text; it is made safe when printed. */
export class Failure extends Error {
  readonly exit: ExitCode;
  readonly hint: string | null;
  readonly fields: NonNullable<FailureOptions['fields']>;
  readonly code: string;
  readonly problem: Problem | null;
  readonly params: Problem['params'];

  constructor(message: string, options: FailureOptions) {
    super(message);
    this.name = 'Failure';
    this.exit = options.exit;
    this.hint = options.hint ?? null;
    this.fields = options.fields ?? [];
    this.code = options.code ?? 'failed';
    this.problem = options.problem ?? null;
    this.params = options.params;
  }
}

/** A command line that cannot be understood. */
export function usageFailure(message: string, hint: string): Failure {
  return new Failure(message, { exit: EXIT.usage, hint, code: 'usage' });
}
