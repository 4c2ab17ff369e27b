/** Parts of the form of a schedule: when it runs, and which VMs it covers. */

import { useId } from 'preact/hooks';
import { Check, Choice, Field } from '../../components/form.tsx';
import { postures } from '../../state/backups.ts';
import { projects } from '../../state/projects.ts';
import { backupsText } from '../../text-backups.ts';
import type { ScheduleDraft } from './schedule-draft.ts';
import { PACES, type ScheduleTimes } from './schedule-times.ts';

const words = backupsText.schedule;

interface PartProps {
  readonly draft: ScheduleDraft;
  readonly problem: string | null;
  readonly onChange: (parts: Partial<ScheduleDraft>) => void;
}

const zones = Intl.supportedValuesOf('timeZone');

export function TimeFields({
  draft,
  problem,
  zoneProblem,
  onChange,
}: PartProps & { readonly zoneProblem: string | null }) {
  const { times, timeZone } = draft;
  const listId = useId();
  const set = (parts: Partial<ScheduleTimes>) => onChange({ times: { ...times, ...parts } });
  return (
    <>
      <div class="field">
        <span class="label">{words.pace}</span>
        <Choice
          label={words.pace}
          value={times.pace}
          options={PACES.map((value) => ({ value, label: words.paces[value] }))}
          onChange={(pace) => set({ pace })}
        />
      </div>
      {times.pace === 'weekly' && (
        <div class="field">
          <span class="label">{words.days}</span>
          <span class="chips" role="group" aria-label={words.days}>
            {words.dayNames.map((name, day) => (
              <button
                type="button"
                key={name}
                class="chip"
                aria-pressed={times.days.includes(day)}
                onClick={() =>
                  set({
                    days: times.days.includes(day) ? times.days.filter((one) => one !== day) : [...times.days, day],
                  })
                }
              >
                {name}
              </button>
            ))}
          </span>
        </div>
      )}
      <div class="form-row">
        {times.pace === 'other' ? (
          <Field label={words.cron} hint={words.cronHint} problem={problem}>
            {(field) => (
              <input
                {...field}
                class="mono"
                autocomplete="off"
                spellcheck={false}
                value={times.cron}
                onInput={(event) => set({ cron: event.currentTarget.value })}
              />
            )}
          </Field>
        ) : times.pace === 'hourly' ? (
          <Field label={words.minute} problem={problem}>
            {(field) => (
              <input
                {...field}
                class="mono"
                inputMode="numeric"
                autocomplete="off"
                value={times.time.slice(3)}
                onInput={(event) => set({ time: `00:${event.currentTarget.value.padStart(2, '0')}` })}
              />
            )}
          </Field>
        ) : (
          <Field label={words.time} problem={problem}>
            {(field) => (
              <input
                {...field}
                type="time"
                value={times.time}
                onInput={(event) => set({ time: event.currentTarget.value })}
              />
            )}
          </Field>
        )}
        {times.pace === 'monthly' && (
          <Field label={words.dayOfMonth} hint={words.dayOfMonthHint}>
            {(field) => (
              <input
                {...field}
                class="mono"
                inputMode="numeric"
                autocomplete="off"
                value={times.dayOfMonth}
                onInput={(event) => set({ dayOfMonth: event.currentTarget.value })}
              />
            )}
          </Field>
        )}
        <Field label={words.zone} hint={words.zoneHint} problem={zoneProblem}>
          {(field) => (
            <>
              <input
                {...field}
                list={listId}
                autocomplete="off"
                spellcheck={false}
                value={timeZone}
                onInput={(event) => onChange({ timeZone: event.currentTarget.value })}
              />
              <datalist id={listId}>
                {zones.map((name) => (
                  <option key={name} value={name} />
                ))}
              </datalist>
            </>
          )}
        </Field>
      </div>
    </>
  );
}

const KINDS = ['all', 'project', 'tags', 'vms'] as const;

export function TargetFields({ draft, problem, onChange }: PartProps) {
  const { kind } = draft;
  return (
    <>
      <div class="field">
        <span class="label">{words.targets}</span>
        <Choice
          label={words.targets}
          value={kind}
          options={KINDS.map((value) => ({ value, label: words.kinds[value] }))}
          onChange={(chosen) =>
            onChange({
              kind: chosen,
              ...(chosen === 'project' && draft.project === '' ? { project: projects.data.peek()?.[0]?.id ?? '' } : {}),
            })
          }
        />
      </div>
      {kind === 'project' && (
        <Field label={words.project} problem={problem}>
          {(field) => (
            <select
              {...field}
              value={draft.project}
              onChange={(event) => onChange({ project: event.currentTarget.value })}
            >
              {projects.data.value?.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {kind === 'tags' && (
        <Field label={words.tags} hint={words.tagsHint} problem={problem}>
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              spellcheck={false}
              value={draft.tags}
              onInput={(event) => onChange({ tags: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
      {kind === 'vms' ? (
        <VmPicker label={words.vms} problem={problem} chosen={draft.vms} onChange={(vms) => onChange({ vms })} />
      ) : (
        <details class="more" open={draft.except.length > 0}>
          <summary>{words.except}</summary>
          <VmPicker
            label={words.exceptHint}
            problem={null}
            chosen={draft.except}
            onChange={(except) => onChange({ except })}
          />
        </details>
      )}
    </>
  );
}

function VmPicker({
  label,
  problem,
  chosen,
  onChange,
}: {
  readonly label: string;
  readonly problem: string | null;
  readonly chosen: readonly string[];
  readonly onChange: (chosen: readonly string[]) => void;
}) {
  const all = (postures.data.value?.vms ?? []).toSorted((a, b) =>
    a.vmName.localeCompare(b.vmName, 'en', { numeric: true }),
  );
  return (
    <fieldset class="picker">
      <legend>{label}</legend>
      {problem !== null && <p class="field-problem">{problem}</p>}
      <div class="picker-list">
        {all.map(({ vmId, vmName }) => (
          <Check
            key={vmId}
            label={<span class="mono">{vmName}</span>}
            checked={chosen.includes(vmId)}
            onChange={(isOn) => onChange(isOn ? [...chosen, vmId] : chosen.filter((one) => one !== vmId))}
          />
        ))}
      </div>
    </fieldset>
  );
}
