/** Makes and edits a schedule; beside the form stands what it would do. */

import { type Signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { BackupSchedule } from '#contract/protection.ts';
import { Check, Choice, Field } from '../../components/form.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { api, can, fieldProblem } from '../../state/api.ts';
import { homes, postures, repositories, schedules } from '../../state/backups.ts';
import { projects } from '../../state/projects.ts';
import { useRequest } from '../../state/use-request.ts';
import { backupsText } from '../../text-backups.ts';
import { KeepFields } from './keep-fields.tsx';
import { draftOf, fieldsOf, newDraft, type ScheduleDraft } from './schedule-draft.ts';
import { TargetFields, TimeFields } from './schedule-fields.tsx';
import { SchedulePreview } from './schedule-preview.tsx';

const words = backupsText.schedule;

/** @param schedule null = a new one @param vmId the VM that a new one is for; null = all */
export function ScheduleDialog({
  schedule,
  vmId,
  onClose,
}: {
  readonly schedule: BackupSchedule | null;
  readonly vmId: string | null;
  readonly onClose: () => void;
}) {
  const draft = useSignal<ScheduleDraft>(
    schedule === null ? newDraft(Intl.DateTimeFormat().resolvedOptions().timeZone, vmId) : draftOf(schedule),
  );
  const isTried = useSignal(false);
  const request = useRequest();
  useEffect(() => {
    repositories.ensure();
    postures.ensure();
    if (can('project.read')) projects.ensure();
  }, []);
  const change = (parts: Partial<ScheduleDraft>) => {
    draft.value = { ...draft.peek(), ...parts };
  };
  const { fields, problems } = fieldsOf(draft.value);
  const shown = isTried.value ? problems : {};
  const save = async () => {
    if (fields === null) return;
    if (schedule === null) await api('POST /backup-schedules', { body: fields });
    else await api('PATCH /backup-schedules/{id}', { params: { id: schedule.id }, body: fields });
    await schedules.reload();
  };
  const problem = request.problem.value;
  const { name, proof } = draft.value;
  return (
    <SaveDialog
      isWide
      title={schedule === null ? words.createTitle : words.editTitle(schedule.name)}
      action={schedule === null ? words.create : words.save}
      request={request}
      isReady={() => {
        isTried.value = true;
        return fields !== null;
      }}
      onSave={save}
      onClose={onClose}
    >
      <Field label={words.name} hint={words.nameHint} problem={fieldProblem(problem, 'name')}>
        {(field) => (
          <input
            {...field}
            class="mono"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            value={name}
            onInput={(event) => change({ name: event.currentTarget.value })}
          />
        )}
      </Field>
      <TimeFields
        draft={draft.value}
        problem={shown.times ?? fieldProblem(problem, 'calendar')}
        zoneProblem={fieldProblem(problem, 'timeZone')}
        onChange={change}
      />
      <TargetFields draft={draft.value} problem={shown.targets ?? fieldProblem(problem, 'targets')} onChange={change} />
      <RepositoryField draft={draft} onChange={change} />
      <KeepFields
        keep={draft.value.keep}
        problem={shown.keep ?? fieldProblem(problem, 'retention')}
        onChange={(keep) => change({ keep })}
      />
      <div class="field">
        <span class="label">{words.proof}</span>
        <Choice
          label={words.proof}
          value={proof}
          options={(['never', 'weekly', 'each'] as const).map((value) => ({
            value,
            label: backupsText.schedules.proofs[value],
          }))}
          onChange={(value) => change({ proof: value })}
        />
      </div>
      <MoreFields draft={draft.value} problem={shown.more ?? null} onChange={change} />
      <SchedulePreview fields={fields} />
    </SaveDialog>
  );
}

interface PartProps {
  readonly draft: ScheduleDraft;
  readonly problem: string | null;
  readonly onChange: (parts: Partial<ScheduleDraft>) => void;
}

function RepositoryField({
  draft,
  onChange,
}: {
  readonly draft: Signal<ScheduleDraft>;
  readonly onChange: PartProps['onChange'];
}) {
  const all = homes.value;
  return (
    <Field label={words.repository}>
      {(field) => (
        <select
          {...field}
          value={draft.value.repository}
          onChange={(event) => onChange({ repository: event.currentTarget.value })}
        >
          <option value="">{words.defaultRepository}</option>
          {all.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function MoreFields({ draft, problem, onChange }: PartProps) {
  const number = (name: 'jitterMinutes' | 'windowHours' | 'scrubDays' | 'priority', label: string, hint?: string) => (
    <Field label={label} {...(hint === undefined ? {} : { hint })}>
      {(field) => (
        <input
          {...field}
          inputMode="numeric"
          autocomplete="off"
          class="mono"
          value={draft[name]}
          onInput={(event) => onChange({ [name]: event.currentTarget.value })}
        />
      )}
    </Field>
  );
  return (
    <details class="more">
      <summary>{words.advanced}</summary>
      <div class="form">
        <div class="form-row">
          {number('jitterMinutes', words.jitter)}
          {number('windowHours', words.window, words.windowHint)}
          {number('scrubDays', words.scrub, words.scrubHint)}
          {number('priority', words.priority, words.priorityHint)}
        </div>
        {problem !== null && <p class="field-problem">{problem}</p>}
        <Check label={words.catchUp} checked={draft.catchUp} onChange={(catchUp) => onChange({ catchUp })} />
      </div>
    </details>
  );
}
