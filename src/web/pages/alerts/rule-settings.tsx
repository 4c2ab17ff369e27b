/** What a rule has beside its condition. The seldom ones are folded away. */

import type { Problem } from '#contract/common.ts';
import { Check, Choice, Field } from '../../components/form.tsx';
import { Card } from '../../components/page.tsx';
import { channels } from '../../state/alerts.ts';
import { can, canEverywhere, fieldProblem } from '../../state/api.ts';
import { areSeveralProjects, projects } from '../../state/projects.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import type { DraftProblems, RuleDraft } from './rule-draft.ts';

const words = alertsText.editor;

const SEVERITIES = ['critical', 'warning', 'info'] as const;
const NO_DATA = ['keep', 'alert', 'ok'] as const;

interface SettingsProps {
  readonly draft: RuleDraft;
  readonly clearProblem: string | null;
  /** Null = nothing was changed yet, so nothing is told. */
  readonly problems: DraftProblems | null;
  /** What the daemon said of the last attempt. */
  readonly request: Problem | null;
  readonly isReadOnly: boolean;
  readonly onChange: (part: Partial<RuleDraft>) => void;
}

export function RuleSettings(props: SettingsProps) {
  const { draft, problems, request, isReadOnly, onChange } = props;
  return (
    <Card class="rule-settings">
      <fieldset class="form" disabled={isReadOnly}>
        <legend class="visually-hidden">{words.more}</legend>
        <TextField
          {...props}
          name="name"
          label={words.name}
          problem={problems?.name ? words.namePattern : null}
          isMono
        />
        <div class="field">
          <span class="label">{words.severity}</span>
          <Choice
            label={words.severity}
            value={draft.severity}
            options={SEVERITIES.map((value) => ({ value, label: text.severities[value] }))}
            onChange={(severity) => onChange({ severity })}
          />
        </div>
        <Field
          label={words.description}
          isOptional
          hint={words.descriptionHint}
          problem={fieldProblem(request, 'description')}
        >
          {(field) => (
            <textarea
              {...field}
              rows={2}
              maxLength={500}
              value={draft.description}
              onInput={(event) => onChange({ description: event.currentTarget.value })}
            />
          )}
        </Field>
        <Channels {...props} />
        <Check
          label={words.enabled}
          checked={draft.enabled}
          disabled={isReadOnly}
          onChange={(enabled) => onChange({ enabled })}
        />
        <details class="more">
          <summary>{words.more}</summary>
          <div class="form">
            <More {...props} />
          </div>
        </details>
      </fieldset>
    </Card>
  );
}

function More(props: SettingsProps) {
  const { draft, problems, clearProblem, isReadOnly, onChange } = props;
  const duration = (isWrong: boolean | undefined) => (isWrong ? words.durationProblem : null);
  return (
    <>
      <div class="form-row">
        <TextField
          {...props}
          name="cooldown"
          label={words.cooldown}
          hint={words.cooldownHint}
          problem={duration(problems?.cooldown)}
          isMono
        />
        <TextField
          {...props}
          name="keepFiring"
          label={words.keepFiring}
          hint={words.keepFiringHint}
          problem={duration(problems?.keepFiring)}
          isMono
        />
      </div>
      <TextField {...props} name="clear" label={words.clear} hint={words.clearHint} problem={clearProblem} isMono />
      <div class="field">
        <span class="label">{words.noData}</span>
        <Choice
          label={words.noData}
          value={draft.noData}
          options={NO_DATA.map((value) => ({ value, label: words.noDataNames[value] }))}
          onChange={(noData) => onChange({ noData })}
        />
      </div>
      <Check
        label={words.desiredOnly}
        hint={words.desiredOnlyHint}
        checked={draft.desiredOnly}
        disabled={isReadOnly}
        onChange={(desiredOnly) => onChange({ desiredOnly })}
      />
      <TextField {...props} name="runbook" label={words.runbook} hint={words.runbookHint} problem={null} />
      <TextField
        {...props}
        name="labels"
        label={words.labels}
        hint={words.labelsHint}
        problem={problems?.labels ? words.labelsProblem : null}
        isMono
      />
      {(areSeveralProjects.value || !canEverywhere('alert.configure')) && (
        <Field label={words.project} problem={fieldProblem(props.request, 'project')}>
          {(field) => (
            <select
              {...field}
              value={draft.project}
              onChange={(event) => onChange({ project: event.currentTarget.value })}
            >
              {(canEverywhere('alert.configure') || draft.project === '') && (
                <option value="">{words.allProjects}</option>
              )}
              {projects.data.value
                ?.filter(({ id }) => can('alert.configure', id))
                .map(({ id, name }) => (
                  <option key={id} value={id}>
                    {name}
                  </option>
                ))}
            </select>
          )}
        </Field>
      )}
    </>
  );
}

function TextField({
  name,
  label,
  hint,
  problem,
  isMono = false,
  draft,
  request,
  onChange,
}: SettingsProps & {
  readonly name: 'name' | 'cooldown' | 'keepFiring' | 'clear' | 'runbook' | 'labels';
  readonly label: string;
  readonly hint?: string;
  readonly problem: string | null;
  readonly isMono?: boolean;
}) {
  return (
    <Field label={label} problem={problem ?? fieldProblem(request, name)} {...(hint === undefined ? {} : { hint })}>
      {(field) => (
        <input
          {...field}
          class={isMono ? 'mono' : ''}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          value={draft[name]}
          onInput={(event) => onChange({ [name]: event.currentTarget.value })}
        />
      )}
    </Field>
  );
}

/** By the routing, or only some. */
function Channels({ draft, isReadOnly, onChange }: SettingsProps) {
  const chosen = draft.channels;
  const known = channels.data.value ?? [];
  // A rule may name one that is gone, or that one may not see.
  const names = [...new Set([...known.map(({ name }) => name), ...(chosen ?? [])])];
  return (
    <div class="field">
      <span class="label">{words.channels}</span>
      <Choice
        label={words.channels}
        value={chosen === null ? 'routing' : 'these'}
        options={[
          { value: 'routing', label: words.byRouting },
          { value: 'these', label: words.theseChannels },
        ]}
        onChange={(value) => onChange({ channels: value === 'routing' ? null : [] })}
      />
      {chosen !== null &&
        (names.length === 0 ? (
          <p class="field-hint">{words.noChannels}</p>
        ) : (
          names.map((name) => (
            <Check
              key={name}
              label={name}
              checked={chosen.includes(name)}
              disabled={isReadOnly}
              onChange={(isOn) =>
                onChange({ channels: isOn ? [...chosen, name] : chosen.filter((one) => one !== name) })
              }
            />
          ))
        ))}
    </div>
  );
}
