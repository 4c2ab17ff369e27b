/** How many restore points of each period stay. */

import { backupsText } from '../../text-backups.ts';
import { KEPT, type KeepTexts } from './schedule-draft.ts';

const words = backupsText.schedule;

export function KeepFields({
  keep,
  problem,
  hint = words.keepHint,
  onChange,
}: {
  readonly keep: KeepTexts;
  readonly problem: string | null;
  readonly hint?: string;
  readonly onChange: (keep: KeepTexts) => void;
}) {
  return (
    <fieldset class="keep-fields">
      <legend class="label">{words.keep}</legend>
      <div class="keep-row">
        {KEPT.map((period) => (
          <label key={period} class="keep-one">
            <input
              inputMode="numeric"
              autocomplete="off"
              class="mono"
              aria-invalid={problem !== null}
              value={keep[period]}
              onInput={(event) => onChange({ ...keep, [period]: event.currentTarget.value })}
            />
            <span>{words.keeps[period]}</span>
          </label>
        ))}
      </div>
      {problem === null ? <p class="field-hint">{hint}</p> : <p class="field-problem">{problem}</p>}
    </fieldset>
  );
}
