/** Makes and edits a route: what it fits and where that goes. What the form does not show stays as it was. */

import { useSignal } from '@preact/signals';
import type { Channel, Route } from '#contract/notifications.ts';
import { Check, Field } from '../../components/form.tsx';
import { NameField, SaveDialog } from '../../components/save-dialog.tsx';
import { TextField } from '../../components/text-field.tsx';
import { fieldProblem } from '../../state/api.ts';
import { areSeveralProjects, projects } from '../../state/projects.ts';
import { useRequest } from '../../state/use-request.ts';
import { alertsText } from '../../text-alerts.ts';
import { labelsText, parseLabels } from './label-text.ts';
import { SeverityPicker } from './silence-fields.tsx';

const words = alertsText.routing;

export function RouteDialog({
  route,
  channels,
  onSave,
  onClose,
}: {
  /** Null = a new one. */
  readonly route: Route | null;
  readonly channels: readonly Channel[];
  readonly onSave: (route: Route) => Promise<void>;
  readonly onClose: () => void;
}) {
  const name = useSignal(route?.name ?? '');
  const severities = useSignal(route?.match.severities ?? []);
  const rule = useSignal(route?.match.rule ?? '');
  const labels = useSignal(labelsText(route?.match.labels ?? []));
  const project = useSignal(route?.match.project ?? '');
  const chosen = useSignal<readonly string[]>(route?.channels ?? []);
  const goesOn = useSignal(route?.goesOn ?? false);
  const [first, ...furtherSteps] = route?.escalation ?? [];
  const minutes = useSignal(first === undefined ? '' : String(first.afterMinutes));
  const escalateTo = useSignal<readonly string[]>(first?.channels ?? []);
  const isTried = useSignal(false);
  const request = useRequest();
  const parsed = parseLabels(labels.value);
  const after = Number(minutes.value);
  const hasEscalation = minutes.value.trim() !== '';
  const isEscalationGood =
    !hasEscalation || (Number.isInteger(after) && after >= 1 && after <= 1440 && escalateTo.value.length > 0);
  const isNamed = name.value.trim() !== '';
  const save = () =>
    onSave({
      name: name.value.trim(),
      match: {
        ...(severities.value.length === 0 ? {} : { severities: [...severities.value] }),
        ...(rule.value.trim() === '' ? {} : { rule: rule.value.trim() }),
        ...(parsed === null || parsed.length === 0 ? {} : { labels: [...parsed] }),
        ...(project.value === '' ? {} : { project: project.value }),
        ...(route?.match.times === undefined ? {} : { times: route.match.times }),
      },
      mode: route?.mode ?? 'all',
      isInverted: route?.isInverted ?? false,
      goesOn: goesOn.value,
      channels: [...chosen.value],
      escalation: hasEscalation ? [{ afterMinutes: after, channels: [...escalateTo.value] }, ...furtherSteps] : [],
    });
  const isSpecial = route !== null && (route.match.times !== undefined || route.isInverted || route.mode === 'any');
  const problem = request.problem.value;
  return (
    <SaveDialog
      title={route === null ? words.dialogAdd : words.dialogEdit}
      action={words.save}
      request={request}
      isReady={() => {
        isTried.value = true;
        return isNamed && parsed !== null && isEscalationGood;
      }}
      onSave={save}
      onClose={onClose}
    >
      <NameField
        label={words.name}
        hint={words.nameProblem}
        problem={isTried.value && !isNamed ? words.nameProblem : fieldProblem(problem, 'name')}
        value={name}
      />
      <SeverityPicker
        label={words.severities}
        chosen={severities.value}
        onChange={(next) => {
          severities.value = [...next];
        }}
      />
      <TextField label={words.ruleField} isOptional hint={words.ruleHint} isCode value={rule} />
      <TextField
        label={words.labels}
        isOptional
        hint={words.labelsHint}
        problem={parsed === null ? alertsText.editor.labelsProblem : null}
        isCode
        value={labels}
      />
      {(areSeveralProjects.value || project.value !== '') && (
        <Field label={words.projectField}>
          {(field) => (
            <select {...field} value={project.value} onChange={(event) => (project.value = event.currentTarget.value)}>
              <option value="">{words.anyProject}</option>
              {projects.data.value?.map(({ id, name: label }) => (
                <option key={id} value={id}>
                  {label}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <ChannelPicker
        legend={words.channels}
        channels={channels}
        chosen={chosen.value}
        onChange={(next) => {
          chosen.value = next;
        }}
      />
      <Check label={words.goesOnField} checked={goesOn.value} onChange={(isOn) => (goesOn.value = isOn)} />
      <TextField
        label={words.escalateAfter}
        isOptional
        hint={words.escalateHint}
        problem={isTried.value && !isEscalationGood ? words.escalateHint : null}
        isNumber
        value={minutes}
      />
      {hasEscalation && (
        <ChannelPicker
          legend={words.escalateTo}
          channels={channels}
          chosen={escalateTo.value}
          onChange={(next) => {
            escalateTo.value = next;
          }}
        />
      )}
      {isSpecial && <p class="muted small">{words.kept}</p>}
    </SaveDialog>
  );
}

function ChannelPicker({
  legend,
  channels,
  chosen,
  onChange,
}: {
  readonly legend: string;
  readonly channels: readonly Channel[];
  readonly chosen: readonly string[];
  readonly onChange: (chosen: readonly string[]) => void;
}) {
  const isOf = (channel: Channel) => chosen.some((one) => one === channel.name || one === channel.id);
  return (
    <fieldset class="picker">
      <legend>{legend}</legend>
      <div class="picker-list">
        {channels.map((channel) => (
          <Check
            key={channel.id}
            label={channel.name}
            checked={isOf(channel)}
            onChange={(isOn) =>
              onChange(
                isOn ? [...chosen, channel.name] : chosen.filter((one) => one !== channel.name && one !== channel.id),
              )
            }
          />
        ))}
      </div>
    </fieldset>
  );
}
