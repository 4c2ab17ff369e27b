/** One operation with its steps; the address survives a reload, so it can be sent to somebody. */

import { useEffect, useMemo } from 'preact/hooks';
import type { Operation } from '#contract/operations.ts';
import { formatDuration } from '#kernel/units.ts';
import { ButtonLink } from '../../components/button.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { ExactTime, Since, TimeAgo } from '../../components/figures.tsx';
import { CancelButton, OperationProgress } from '../../components/operation-item.tsx';
import { Card, Facts, Loaded, PageHead } from '../../components/page.tsx';
import { OperationError } from '../../components/problem-box.tsx';
import { Glyph, OperationMark, type Tone } from '../../components/state-mark.tsx';
import { api, can } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { isOpen, operations } from '../../state/operations.ts';
import { isOn, vms } from '../../state/vms.ts';
import { text } from '../../text.ts';

const words = text.operations;

export function OperationPage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const id = params['id'] ?? '';
  const asked = useMemo(() => createResource(() => api('GET /operations/{id}', { params: { id } })), [id]);
  const live = operations.data.value?.get(id);
  return <Loaded resource={asked}>{(first) => <Shown operation={live ?? first} />}</Loaded>;
}

type StepState = Operation['steps'][number]['state'];
const STEP_MARKS: Readonly<Record<StepState, readonly [Tone, 'dot' | 'ring' | 'half' | 'square']>> = {
  pending: ['unknown', 'ring'],
  running: ['accent', 'half'],
  done: ['good', 'dot'],
  skipped: ['unknown', 'dot'],
  failed: ['bad', 'square'],
  undone: ['warn', 'ring'],
};

function Shown({ operation }: { readonly operation: Operation }) {
  useEffect(() => {
    if (can('vm.read')) vms.ensure();
  }, []);
  const target = linkOf(operation);
  const vm = operation.objectType === 'vm' ? vms.data.value?.get(operation.objectId ?? '') : undefined;
  const hasConsole = vm !== undefined && isOn(vm) && !isOpen(operation) && can('vm.screen');
  return (
    <>
      <PageHead title={operation.title} note={<OperationMark state={operation.state} />}>
        {target && <ButtonLink href={target}>{text.toasts.show(operation.objectName ?? '')}</ButtonLink>}
        {hasConsole && (
          <ButtonLink
            kind={operation.kind === 'vm.create' ? 'primary' : 'plain'}
            icon={vm.hasVnc ? 'screen' : 'terminal'}
            href={`/vms/${vm.id}/console`}
          >
            {text.vm.console}
          </ButtonLink>
        )}
        <CancelButton operation={operation} />
      </PageHead>
      <div class="stack">
        <OperationError operation={operation} />
        {isOpen(operation) && (
          <Card>
            <OperationProgress operation={operation} />
          </Card>
        )}
        <div class="operation-columns">
          <Card title={words.steps}>
            {operation.steps.length === 0 ? (
              <p class="muted">{words.noSteps}</p>
            ) : (
              <ol class="steps">
                {operation.steps.map((step) => (
                  <li key={step.name}>
                    <Glyph tone={STEP_MARKS[step.state][0]} shape={STEP_MARKS[step.state][1]} />
                    <span>{step.title}</span>
                    <span class="muted small">{words.stepStates[step.state]}</span>
                  </li>
                ))}
              </ol>
            )}
          </Card>
          <Card title={words.facts}>
            <Facts
              items={[
                [words.startedBy, operation.actor],
                [words.started, <ExactTime key="s" iso={operation.createdAt} />],
                operation.finishedAt
                  ? [words.took, formatDuration(Date.parse(operation.finishedAt) - Date.parse(operation.createdAt))]
                  : [words.runsFor, <Since key="r" iso={operation.createdAt} />],
                ...(operation.finishedAt
                  ? [[words.finished, <TimeAgo key="f" iso={operation.finishedAt} />] as const]
                  : []),
                [words.kind, <code key="k">{operation.kind}</code>],
                [
                  words.id,
                  <span key="i" class="with-copy">
                    <code>{operation.id}</code>
                    <CopyButton value={operation.id} />
                  </span>,
                ],
                ...(operation.requestId ? [[words.request, <code key="q">{operation.requestId}</code>] as const] : []),
              ]}
            />
          </Card>
        </div>
      </div>
    </>
  );
}

function linkOf(operation: Operation): string | null {
  if (operation.objectId === null) return null;
  if (operation.objectType === 'vm') {
    if (operation.kind === 'vm.delete') return '/trash';
    // While it is being created there is nothing to see, and what was undone or deleted later is gone.
    return vms.data.value?.has(operation.objectId) ? `/vms/${operation.objectId}` : null;
  }
  if (operation.objectType === 'image') return '/images';
  if (operation.objectType === 'repository') return '/backups/repositories';
  if (operation.objectType === 'proof' && !isOpen(operation))
    return `/backups/proofs/${encodeURIComponent(operation.objectId)}`;
  return null;
}
