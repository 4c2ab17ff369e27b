/** Parts of forms about what is matched and when. */

import type { Severity } from '#contract/alerts-config.ts';
import { Field } from '../../components/form.tsx';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import type { WindowPlan } from './silence-times.ts';

const words = alertsText.silences;

const SEVERITIES = ['critical', 'warning', 'info'] as const;

/** What a field for local times takes. */
export function localInput(date: Date): string {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Buttons of which any number are on. */
export function PickSeveral<Value extends string | number>({
  label,
  options,
  chosen,
  onChange,
}: {
  readonly label: string;
  readonly options: readonly { readonly value: Value; readonly label: string }[];
  readonly chosen: readonly Value[];
  readonly onChange: (chosen: readonly Value[]) => void;
}) {
  return (
    <fieldset class="pick-several">
      <legend>{label}</legend>
      <span class="chips">
        {options.map((option) => (
          <button
            type="button"
            key={option.value}
            class="chip"
            aria-pressed={chosen.includes(option.value)}
            onClick={() =>
              onChange(
                chosen.includes(option.value)
                  ? chosen.filter((one) => one !== option.value)
                  : [...chosen, option.value],
              )
            }
          >
            {option.label}
          </button>
        ))}
      </span>
    </fieldset>
  );
}

export function SeverityPicker({
  label,
  chosen,
  onChange,
}: {
  readonly label: string;
  readonly chosen: readonly Severity[];
  readonly onChange: (chosen: readonly Severity[]) => void;
}) {
  return (
    <PickSeveral
      label={`${label} (${alertsText.routing.severitiesHint})`}
      options={SEVERITIES.map((value) => ({ value, label: text.severities[value] }))}
      chosen={chosen}
      onChange={onChange}
    />
  );
}

/** Days, time and length of a window that comes again. */
export function WindowFields({
  plan,
  problem,
  onChange,
}: {
  readonly plan: WindowPlan;
  readonly problem: string | null;
  readonly onChange: (plan: WindowPlan) => void;
}) {
  return (
    <>
      <PickSeveral
        label={words.days}
        options={alertsText.routing.days.map((label, value) => ({ value, label }))}
        chosen={plan.days}
        onChange={(days) => onChange({ ...plan, days })}
      />
      <div class="form-row">
        <Field label={words.time} hint={words.timeHint}>
          {(field) => (
            <input
              {...field}
              type="time"
              value={plan.time}
              onInput={(event) => onChange({ ...plan, time: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field label={words.duration} problem={problem}>
          {(field) => (
            <input
              {...field}
              inputMode="numeric"
              value={plan.minutes}
              onInput={(event) => onChange({ ...plan, minutes: event.currentTarget.value })}
            />
          )}
        </Field>
        <Field label={words.plannedTo} isOptional>
          {(field) => (
            <input
              {...field}
              type="date"
              value={plan.lastDay}
              onInput={(event) => onChange({ ...plan, lastDay: event.currentTarget.value })}
            />
          )}
        </Field>
      </div>
    </>
  );
}
