/** From anything thrown to a failure with an exit code, and its words on stderr: what, where, mend. */

import { ApiProblem } from '#contract/client.ts';
import { formatBytes } from '#kernel/units.ts';
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
  const hasBytes = failure.fields.some(({ path }) => path.endsWith('Bytes'));
  const message = hasBytes ? readableBytes(failure.message) : failure.message;
  const said = [message];
  const isNew = (text: string) => !said.some((each) => each.toLowerCase().includes(text.toLowerCase()));
  output.message(`${output.paintMessage('red', 'hv:')} ${safeText(message)}`);
  for (const { path, problem, mend } of failure.fields) {
    const texts = path.endsWith('Bytes') ? [problem, mend].map(readableBytes) : [problem, mend];
    const parts = texts.filter((text) => text !== '' && isNew(text));
    said.push(...parts);
    if (parts.length > 0)
      output.message(
        `  ${safeText(path)}: ${safeText(parts.map((part, index) => (index < parts.length - 1 ? part.replace(/\.$/, '') : part)).join('; '))}`,
      );
  }
  const hint = hasBytes ? readableBytes(failure.hint ?? '') : (failure.hint ?? '');
  if (hint !== '' && isNew(hint)) output.message(`  ${safeText(hint)}`);
}

/** Byte counts in a sentence as people read them: `16777216` -> `16 MiB`. */
function readableBytes(text: string): string {
  return text.replace(/\b\d{5,}\b/g, (digits) => formatBytes(Number(digits)));
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
      ...(failure.params ? { params: failure.params } : {}),
      requestId: '',
    }
  );
}

/** The refusal in the body of a raw answer. */
export function problemFrom(body: string, status: number): Error {
  const fallback = {
    type: 'about:blank',
    title: 'hyperd answered with an error',
    status,
    code: 'internal_error',
    detail: `HTTP ${status}`,
    hint: 'Look at the log of hyperd.',
    requestId: '',
  };
  try {
    const parsed: unknown = JSON.parse(body);
    return new ApiProblem(typeof parsed === 'object' && parsed !== null ? { ...fallback, ...parsed } : fallback);
  } catch {
    // Not JSON: the status is all that is known.
    return new ApiProblem(fallback);
  }
}
