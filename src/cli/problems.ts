/** From anything thrown to a failure with an exit code, and its words on stderr: what, where, mend. */

import { ApiProblem } from '#contract/client.ts';
import { EXIT, exitOfStatus } from './exit-codes.ts';
import { Failure } from './failure.ts';
import type { Output } from './output.ts';
import { safeText } from './text.ts';

/** Any thrown value as a failure. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof ApiProblem) {
    const { problem } = error;
    return new Failure(problem.detail || problem.title, {
      exit: exitOfStatus(problem.status),
      code: problem.code,
      problem,
      ...(problem.hint ? { hint: problem.hint } : {}),
      ...(problem.fields ? { fields: problem.fields } : {}),
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new Failure(`hv failed where it should not: ${message}`, {
    exit: EXIT.failed,
    code: 'internal_error',
    hint: 'Set HV_DEBUG=1 to see where, and report it.',
  });
}

/** Says a failure on stderr; what its sentence says already is not said again. */
export function describeFailure(output: Output, failure: Failure): void {
  const said = [failure.message];
  const isNew = (text: string) => !said.some((each) => each.toLowerCase().includes(text.toLowerCase()));
  output.message(`${output.paintMessage('red', 'hv:')} ${safeText(failure.message)}`);
  for (const { path, problem, mend } of failure.fields) {
    const parts = [problem, mend].filter((text) => text !== '' && isNew(text));
    said.push(...parts);
    if (parts.length > 0) output.message(`  ${safeText(path)}: ${safeText(parts.join('; '))}`);
  }
  if (failure.hint && isNew(failure.hint)) output.message(`  ${safeText(failure.hint)}`);
}

/** The failure as a problem document, for `--json`. */
export function problemOf(failure: Failure): object {
  return (
    failure.problem ?? {
      type: 'about:blank',
      title: failure.message,
      status: 0,
      code: failure.code,
      detail: failure.message,
      hint: failure.hint ?? '',
      requestId: '',
    }
  );
}
