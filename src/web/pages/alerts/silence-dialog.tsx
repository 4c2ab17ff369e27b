/** Makes a silence: what it is for, how long, and why; once, or in windows that come again. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Alert } from '#contract/alerts.ts';
import { Choice, Field } from '../../components/form.tsx';
import { SaveDialog } from '../../components/save-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { silences } from '../../state/alerts.ts';
import { api, can, canEverywhere, fieldProblem } from '../../state/api.ts';
import { areSeveralProjects, projects } from '../../state/projects.ts';
import { showToast } from '../../state/toasts.ts';
import { useRequest } from '../../state/use-request.ts';
import { alertsText } from '../../text-alerts.ts';
import { alertTitle } from './alert-actions.tsx';
import { labelsText, parseLabels } from './label-text.ts';
import { localInput, SeverityPicker, WindowFields } from './silence-fields.tsx';
import { cronOf, LENGTHS, type Length, timesOf, type WindowPlan } from './silence-times.ts';

const words = alertsText.silences;

/** @param of the alert that it is for; null = what the form says */
export function SilenceDialog({ of, onClose }: { readonly of: Alert | null; readonly onClose: () => void }) {
  const rule = useSignal(of?.rule.name ?? '');
  const severities = useSignal<readonly Alert['severity'][]>([]);
  const labels = useSignal(of === null ? '' : labelsText(labelsOf(of)));
  const project = useSignal(of?.project ?? '');
  const length = useSignal<Length>('1h');
  const from = useSignal(localInput(new Date()));
  const to = useSignal(localInput(new Date(Date.now() + 3_600_000)));
  const plan = useSignal<WindowPlan>({ days: [], time: '03:00', minutes: '60', lastDay: '' });
  const reason = useSignal('');
  const isTried = useSignal(false);
  const request = useRequest();
  useEffect(() => {
    if (can('project.read')) projects.ensure();
  }, []);
  const parsed = parseLabels(labels.value);
  const times = timesOf(length.value, from.value, to.value, plan.value, Date.now());
  const isEmpty = rule.value.trim() === '' && severities.value.length === 0 && (parsed ?? []).length === 0;
  const problems = {
    match: isEmpty ? words.matchProblem : null,
    labels: parsed === null ? alertsText.editor.labelsProblem : null,
    reason: reason.value.trim() === '' ? words.reasonProblem : null,
    to: times === null ? (length.value === 'window' ? words.durationProblem : words.toProblem) : null,
  };
  const shown = (problem: string | null) => (isTried.value ? problem : null);
  const save = async () => {
    if (times === null || parsed === null) return;
    const isWindow = length.value === 'window';
    await api('POST /silences', {
      body: {
        ...(project.value === '' ? {} : { project: project.value }),
        match: {
          ...(rule.value.trim() === '' ? {} : { rule: rule.value.trim() }),
          ...(severities.value.length === 0 ? {} : { severities: [...severities.value] }),
          ...(parsed.length === 0 ? {} : { labels: [...parsed] }),
        },
        ...(times.from === null ? {} : { from: times.from }),
        to: times.to,
        ...(isWindow ? { cron: cronOf(plan.value), durationMinutes: Number(plan.value.minutes) } : {}),
        reason: reason.value.trim(),
      },
    });
    await silences.reload();
    showToast({
      kind: 'good',
      title: words.added,
      links: [{ href: '/alerts/silences', label: alertsText.tabs.silences }],
    });
  };
  const problem = request.problem.value;
  return (
    <SaveDialog
      title={of === null ? words.create : words.titleFor(alertTitle(of))}
      action={words.action}
      request={request}
      isReady={() => {
        isTried.value = true;
        return Object.values(problems).every((one) => one === null);
      }}
      onSave={save}
      onClose={onClose}
    >
      <TextField
        label={words.reasonField}
        problem={shown(problems.reason) ?? fieldProblem(problem, 'reason')}
        maxLength={500}
        value={reason}
      />
      <div class="field">
        <span class="label">{words.for}</span>
        <Choice
          label={words.for}
          value={length.value}
          options={LENGTHS.map((value) => ({ value, label: words.lengths[value] }))}
          onChange={(value) => (length.value = value)}
        />
      </div>
      {length.value === 'other' && (
        <div class="form-row">
          <Field label={words.fromField}>
            {(field) => (
              <input
                {...field}
                type="datetime-local"
                value={from.value}
                onInput={(event) => (from.value = event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={words.toField} problem={shown(problems.to) ?? fieldProblem(problem, 'to')}>
            {(field) => (
              <input
                {...field}
                type="datetime-local"
                value={to.value}
                onInput={(event) => (to.value = event.currentTarget.value)}
              />
            )}
          </Field>
        </div>
      )}
      {length.value === 'window' && (
        <WindowFields
          plan={plan.value}
          problem={shown(problems.to)}
          onChange={(next) => {
            plan.value = next;
          }}
        />
      )}
      <TextField
        label={words.rule}
        isOptional
        hint={words.ruleHint}
        problem={shown(problems.match) ?? fieldProblem(problem, 'match.rule')}
        isCode
        value={rule}
      />
      <TextField
        label={words.labels}
        isOptional
        hint={words.labelsHint}
        problem={problems.labels}
        isCode
        value={labels}
      />
      <SeverityPicker
        label={words.severities}
        chosen={severities.value}
        onChange={(next) => {
          severities.value = next;
        }}
      />
      {(areSeveralProjects.value || !canEverywhere('alert.ack')) && (
        <Field label={words.project}>
          {(field) => (
            <select {...field} value={project.value} onChange={(event) => (project.value = event.currentTarget.value)}>
              {canEverywhere('alert.ack') && <option value="">{words.wholeSystem}</option>}
              {projects.data.value
                ?.filter(({ id }) => can('alert.ack', id))
                .map(({ id, name }) => (
                  <option key={id} value={id}>
                    {name}
                  </option>
                ))}
            </select>
          )}
        </Field>
      )}
    </SaveDialog>
  );
}

/** What tells its thing from others: the VM by its id, and the part of it. */
function labelsOf({ labels, entity }: Alert) {
  const names = ['uuid', 'disk', 'nic', 'mount', 'pool', 'device', 'sensor'];
  const own = names.flatMap((name) => (labels[name] ? [{ label: name, value: labels[name], isNot: false }] : []));
  return own.length > 0 || entity.kind !== 'host' || !labels['host']
    ? own
    : [{ label: 'host', value: labels['host'], isNot: false }];
}
