/** One operation: what it does, how far it is, and how to stop it. */

import type { Operation } from '#contract/operations.ts';
import { formatDuration } from '#kernel/units.ts';
import { api, can } from '../state/api.ts';
import { isOpen, showProblem } from '../state/operations.ts';
import { text } from '../text.ts';
import { Button } from './button.tsx';
import { bytesText, percentText, rateText, TimeAgo } from './figures.tsx';
import { Prose } from './prose.tsx';
import { OperationMark } from './state-mark.tsx';

/** Progress of the running step, with rate and time left where they are known. */
export function OperationProgress({ operation }: { readonly operation: Operation }) {
  if (!isOpen(operation)) return null;
  const { progress } = operation;
  const done = operation.steps.filter((step) => step.state === 'done' || step.state === 'skipped').length;
  const stepsRatio = operation.steps.length > 1 ? done / operation.steps.length : null;
  const ratio = progress?.ratio ?? null;
  const shown = ratio ?? stepsRatio;
  const step = operation.steps.find((candidate) => candidate.state === 'running');
  const left =
    progress?.bytesPerSecond && progress.totalBytes !== null && progress.doneBytes !== null
      ? (progress.totalBytes - progress.doneBytes) / progress.bytesPerSecond
      : null;
  const parts = [
    step?.title,
    ratio !== null && percentText(ratio),
    progress &&
      progress.doneBytes !== null &&
      (progress.totalBytes === null
        ? bytesText(progress.doneBytes)
        : text.operations.ofBytes(bytesText(progress.doneBytes), bytesText(progress.totalBytes))),
    progress && progress.bytesPerSecond !== null && rateText(progress.bytesPerSecond),
    left !== null && text.operations.left(formatDuration(left * 1000)),
    progress?.note,
  ].filter((part): part is string => typeof part === 'string' && part !== '');
  return (
    <div class="operation-progress">
      <ProgressBar ratio={shown} label={operation.title} />
      <p class="muted small">{parts.join(' · ')}</p>
    </div>
  );
}

export function ProgressBar({ ratio, label }: { readonly ratio: number | null; readonly label: string }) {
  return (
    <div
      class={`progress ${ratio === null ? 'is-unknown' : ''}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(ratio === null ? {} : { 'aria-valuenow': Math.round(ratio * 100) })}
    >
      <span style={ratio === null ? {} : { width: `${ratio * 100}%` }} />
    </div>
  );
}

/** A line for lists and the tray. */
export function OperationItem({
  operation,
  hasCancel = true,
}: {
  readonly operation: Operation;
  readonly hasCancel?: boolean;
}) {
  return (
    <div class="operation-item">
      <div class="operation-line">
        <a class="operation-title" href={`/operations/${encodeURIComponent(operation.id)}`}>
          {operation.title}
        </a>
        <OperationMark state={operation.state} />
      </div>
      <OperationProgress operation={operation} />
      {operation.error && (
        <p class="operation-error small">
          <Prose value={operation.error.detail || operation.error.title} />
        </p>
      )}
      <div class="operation-line">
        <p class="muted small">
          {operation.actor} · <TimeAgo iso={operation.finishedAt ?? operation.createdAt} />
        </p>
        {hasCancel && <CancelButton operation={operation} />}
      </div>
    </div>
  );
}

export function CancelButton({ operation }: { readonly operation: Operation }) {
  if (!operation.canCancel || !isOpen(operation) || !can('operation.cancel')) return null;
  return (
    <Button
      isSmall
      kind="quiet"
      icon="close"
      onClick={() => api('POST /operations/{id}/cancel', { params: { id: operation.id } }).catch(showProblem)}
    >
      {text.operations.cancel}
    </Button>
  );
}
