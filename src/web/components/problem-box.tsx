/** A failure as the user needs it: what, why, what now, and what to quote in a report. */

import type { Problem } from '#contract/common.ts';
import type { Operation } from '#contract/operations.ts';
import { fieldSentence, isDeclined } from '../state/api.ts';
import { fieldName, text } from '../text.ts';
import { Button } from './button.tsx';
import { CopyButton } from './copy-button.tsx';
import { Prose } from './prose.tsx';
import { Glyph } from './state-mark.tsx';

/** @param onRetry shows a button that does the failed thing again */
export function ProblemBox({
  problem,
  onRetry,
  isCompact = false,
}: {
  readonly problem: Problem;
  readonly onRetry?: () => void;
  readonly isCompact?: boolean;
}) {
  if (isDeclined(problem)) return null;
  const fields = problem.fields ?? [];
  // The first field's words are also those of the whole; once is enough.
  const isOfFields = fields.length > 0 && problem.code === 'invalid_input';
  const report = [
    `${problem.code} (${problem.status})`,
    problem.title,
    problem.detail,
    problem.hint,
    problem.requestId && `request ${problem.requestId}`,
  ]
    .filter(Boolean)
    .join('\n');
  return (
    <div class={`problem ${isCompact ? 'compact' : ''}`} role="alert">
      <Glyph tone="bad" shape="square" />
      <div class="problem-body">
        <p class="problem-title">{problem.title}</p>
        {!isOfFields && problem.detail && problem.detail !== problem.title && <p>{problem.detail}</p>}
        {isOfFields && (
          <ul class="problem-fields">
            {fields.map((field) => (
              <li key={field.path}>
                {fieldName(field.path)}: {fieldSentence(field)}
              </li>
            ))}
          </ul>
        )}
        {problem.hint && !fields.some((field) => field.mend === problem.hint) && (
          <p class="problem-hint">
            <Prose value={problem.hint} />
          </p>
        )}
        <p class="problem-foot">
          <code>{problem.code}</code>
          {problem.requestId && (
            <span>
              {text.errors.request} <code>{problem.requestId}</code>
            </span>
          )}
          <CopyButton value={report} label={text.errors.copy} />
          {onRetry && (
            <Button isSmall icon="reboot" onClick={onRetry}>
              {text.errors.retry}
            </Button>
          )}
        </p>
      </div>
    </div>
  );
}

/** The failure that an operation ended with. */
export function OperationError({ operation }: { readonly operation: Operation }) {
  if (!operation.error) return null;
  return (
    <ProblemBox
      isCompact
      problem={{ type: 'about:blank', status: 0, ...operation.error, requestId: operation.requestId ?? '' }}
    />
  );
}
