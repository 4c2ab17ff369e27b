/** Makes a new VM of a restore point: its name, whose it is, and what it will be, before anything is done. */

import { type ReadonlySignal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { BackupRepository, RestorePlan, RestorePoint } from '#contract/backups.ts';
import type { Problem } from '#contract/common.ts';
import { bytesText } from '../../components/figures.tsx';
import { Check, Choice, Field } from '../../components/form.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { Prose } from '../../components/prose.tsx';
import { NameField, SaveDialog } from '../../components/save-dialog.tsx';
import { Glyph } from '../../components/state-mark.tsx';
import { api, can, fieldProblem, problemOf } from '../../state/api.ts';
import { repositories } from '../../state/backups.ts';
import { follow } from '../../state/operations.ts';
import { areSeveralProjects, projects } from '../../state/projects.ts';
import { useRequest } from '../../state/use-request.ts';
import { vms } from '../../state/vms.ts';
import { backupsText } from '../../text-backups.ts';
import { copiesText } from '../../text-copies.ts';
import { momentText } from './moment.ts';

const words = backupsText.restore;

const MOST_NAME = 60;
const SETTLE_MS = 350;

/** A name that nobody has yet. */
function freeName(of: string): string {
  const taken = new Set([...(vms.data.peek()?.values() ?? [])].map(({ name }) => name));
  const base = `${of.slice(0, MOST_NAME - 12)}-restored`;
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? base : `${base}-${number}`;
    if (!taken.has(name)) return name;
  }
}

/** Where a restore point lies: those that can be reached first, the nearest first. */
function placesOf(point: RestorePoint): readonly { id: string; label: string; isFar: boolean }[] {
  const all = repositories.data.value ?? [];
  const holding = all.filter(({ id, name }) => id === point.repositoryId || point.copies.includes(name));
  const isFar = ({ kind }: BackupRepository) => kind === 'sftp' || kind === 's3';
  const rank = (one: BackupRepository) =>
    (one.state === 'ready' ? 0 : 4) + (isFar(one) ? 2 : 0) + (one.id === point.repositoryId ? 0 : 1);
  return holding
    .toSorted((a, b) => rank(a) - rank(b))
    .map((one) => ({
      id: one.id,
      label: one.isCopy ? copiesText.copyOf(one.name) : isFar(one) ? one.name : copiesText.repositoryOf(one.name),
      isFar: isFar(one),
    }));
}

type Mode = 'copy' | 'instant';
const MODES = ['copy', 'instant'] as const;

/** @param of how the data gets there; the reader may choose otherwise
 *  @param from id of the repository or copy that it is read from; the nearest that can be reached unless given */
export function RestoreDialog({
  point,
  of = 'copy',
  from,
  onClose,
}: {
  readonly point: RestorePoint;
  readonly of?: Mode;
  readonly from?: string | null;
  readonly onClose: () => void;
}) {
  const asked = useSignal<Mode>(of);
  const places = placesOf(point);
  const chosen = useSignal(from ?? '');
  const place = places.find(({ id }) => id === chosen.value) ?? places[0];
  const name = useSignal(freeName(point.vmName));
  const project = useSignal(point.project);
  const start = useSignal(true);
  const request = useRequest();
  useEffect(() => {
    repositories.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  // A guest runs at once only from a file system of this host.
  const isFar = place?.isFar ?? false;
  const mode: Mode = isFar ? 'copy' : asked.value;
  const isInstant = mode === 'instant';
  const body = {
    name: name.value.trim(),
    start: isInstant || start.value,
    project: project.value,
    mode,
    ...(place === undefined || place.id === point.repositoryId ? {} : { from: place.id }),
  };
  const { plan, problem: planProblem } = useRestorePlan(point.id, body);
  const problem = request.problem.value;
  const restore = async () => {
    let refusal: unknown = null;
    await follow(api('POST /restore-points/{id}/restore', { params: { id: point.id }, body }), {
      onRefused: (error) => (refusal = error),
    });
    if (refusal !== null) throw refusal;
  };
  const nameProblem = fieldProblem(problem, 'name') ?? fieldProblem(planProblem.value, 'name');
  return (
    <SaveDialog
      isWide
      title={words.title(point.vmName)}
      action={isInstant ? words.startAction : words.action}
      request={request}
      lead={<p class="muted">{words.of(momentText(point.pointInTime))}</p>}
      onSave={restore}
      onClose={onClose}
    >
      <NameField label={words.name} problem={nameProblem} value={name} />
      {areSeveralProjects.value && (
        <Field label={words.project} problem={fieldProblem(problem, 'project')}>
          {(field) => (
            <select {...field} value={project.value} onChange={(event) => (project.value = event.currentTarget.value)}>
              {projects.data.value
                ?.filter(({ id }) => can('backup.restore', id))
                .map(({ id, name: called }) => (
                  <option key={id} value={id}>
                    {called}
                  </option>
                ))}
            </select>
          )}
        </Field>
      )}
      {places.length > 1 && (
        <Field
          label={copiesText.readFrom}
          {...(isFar ? { hint: copiesText.readFromHint } : {})}
          problem={fieldProblem(problem, 'from')}
        >
          {(field) => (
            <select {...field} value={place?.id ?? ''} onChange={(event) => (chosen.value = event.currentTarget.value)}>
              {places.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.label}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {!isFar && (
        <div class="field">
          <span class="label">{words.mode}</span>
          <Choice
            label={words.mode}
            value={mode}
            options={MODES.map((value) => ({ value, label: words.modes[value] }))}
            onChange={(value) => (asked.value = value)}
          />
          {isInstant && <p class="field-hint">{words.instantNote}</p>}
        </div>
      )}
      {!isInstant && (
        <Check label={words.start} checked={start.value} onChange={(checked) => (start.value = checked)} />
      )}
      <div class="plan-pane" aria-live="polite">
        {planProblem.value !== null && nameProblem === null ? (
          <ProblemBox isCompact problem={planProblem.value} />
        ) : plan.value === null ? (
          nameProblem === null && <p class="muted">{words.planning}</p>
        ) : (
          <PlanOfRestore plan={plan.value} />
        )}
      </div>
    </SaveDialog>
  );
}

interface Body {
  readonly name: string;
  readonly start: boolean;
  readonly project: string;
  readonly mode: Mode;
  readonly from?: string;
}

function useRestorePlan(
  id: string,
  body: Body,
): { readonly plan: ReadonlySignal<RestorePlan | null>; readonly problem: ReadonlySignal<Problem | null> } {
  const plan = useSignal<RestorePlan | null>(null);
  const problem = useSignal<Problem | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text of the body stands for it
  useEffect(() => {
    const stop = new AbortController();
    const timer = window.setTimeout(async () => {
      try {
        const made = await api('POST /restore-points/{id}/restore/plan', {
          params: { id },
          body,
          signal: stop.signal,
        });
        if (stop.signal.aborted) return;
        plan.value = made;
        problem.value = null;
      } catch (error) {
        if (!stop.signal.aborted) problem.value = problemOf(error);
      }
    }, SETTLE_MS);
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  }, [id, JSON.stringify(body)]);
  return { plan, problem };
}

function PlanOfRestore({ plan }: { readonly plan: RestorePlan }) {
  return (
    <div class="plan">
      <h3>{words.makes}</h3>
      {plan.warnings.map((warning) => (
        <p key={warning} class="plan-warning">
          <Glyph tone="warn" shape="triangle" />
          <Prose value={warning} />
        </p>
      ))}
      <ul class="lines small">
        <li>{words.memory(plan.vcpus, bytesText(plan.memoryBytes))}</li>
        {plan.disks.map(({ target, format, sizeBytes }) => (
          <li key={target} class="mono">
            {words.disk(target, format, bytesText(sizeBytes))}
          </li>
        ))}
      </ul>
      {plan.changes.length > 0 && (
        <>
          <h3>{words.changes}</h3>
          <ul class="plain-list small">
            {plan.changes.map((change) => (
              <li key={change}>
                <Prose value={change} />
              </li>
            ))}
          </ul>
        </>
      )}
      <p class="muted small">{words.room(bytesText(plan.needs.diskBytes), bytesText(plan.needs.freeDiskBytes))}</p>
    </div>
  );
}
