/** Form fields: a label, the control, a hint, and the problem where it belongs. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { GIB, KIB, MIB } from '#kernel/units.ts';
import { text } from '../text.ts';
import { Glyph } from './state-mark.tsx';

/** What the control inside a field must carry. */
export interface FieldControl {
  readonly id: string;
  readonly 'aria-describedby': string | undefined;
  readonly 'aria-invalid': boolean;
}

export interface FieldProps {
  readonly label: ComponentChildren;
  readonly hint?: ComponentChildren;
  /** It can be so, and is seldom wanted. */
  readonly warning?: string | null;
  readonly problem?: string | null;
  readonly isOptional?: boolean;
  readonly children: (control: FieldControl) => ComponentChildren;
}

export function Field({ label, hint, warning, problem, isOptional = false, children }: FieldProps) {
  const id = useId();
  const noteId = `${id}-note`;
  const hasNote = Boolean(problem || warning || hint);
  return (
    <div class="field">
      <label for={id}>
        {label}
        {isOptional && <span class="optional"> {text.form.optional}</span>}
      </label>
      {children({ id, 'aria-describedby': hasNote ? noteId : undefined, 'aria-invalid': Boolean(problem) })}
      {problem ? (
        <p id={noteId} class="field-problem">
          {problem}
        </p>
      ) : warning ? (
        <p id={noteId} class="field-warning">
          <Glyph tone="warn" shape="triangle" /> {warning}
        </p>
      ) : (
        hint && (
          <p id={noteId} class="field-hint">
            {hint}
          </p>
        )
      )}
    </div>
  );
}

/** A box to tick with its explanation. */
export function Check({
  label,
  hint,
  checked,
  onChange,
  disabled = false,
}: {
  readonly label: ComponentChildren;
  readonly hint?: ComponentChildren;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly disabled?: boolean;
}) {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={checked}
        disabled={disabled}
        aria-describedby={hint ? `${id}-note` : undefined}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <div>
        <label for={id}>{label}</label>
        {hint && (
          <p id={`${id}-note`} class="field-hint">
            {hint}
          </p>
        )}
      </div>
    </div>
  );
}

const SIZE_UNITS = { MiB: MIB, GiB: GIB } as const;
type SizeUnit = keyof typeof SIZE_UNITS;

/** Disks are made of sectors and memory of KiB: 0.1 GiB is what people write for a size near it. */
function wholeKib(bytes: number): number {
  return Math.round(bytes / KIB) * KIB;
}

/** Bytes as a number and a unit. @param bytes null = nothing usable typed */
export function SizeInput({
  bytes,
  onChange,
  control,
  unit = 'GiB',
}: {
  readonly bytes: number | null;
  readonly onChange: (bytes: number | null) => void;
  readonly control: FieldControl;
  readonly unit?: SizeUnit;
}) {
  const chosen = useSignal<SizeUnit>(bytes !== null && bytes % GIB !== 0 ? 'MiB' : unit);
  const factor = SIZE_UNITS[chosen.value];
  const typed = useSignal(bytes === null ? '' : String(bytes / factor));
  const shown =
    bytes !== null && wholeKib(Number(typed.value) * factor) !== bytes
      ? String(Math.round((bytes / factor) * 1000) / 1000)
      : typed.value;
  const report = (value: string, byUnit: SizeUnit) => {
    typed.value = value;
    const number = Number(value.replace(',', '.'));
    onChange(
      value.trim() === '' || !Number.isFinite(number) || number < 0 ? null : wholeKib(number * SIZE_UNITS[byUnit]),
    );
  };
  return (
    <span class="size-input">
      <input
        {...control}
        class="mono"
        inputMode="decimal"
        autocomplete="off"
        value={shown}
        onInput={(event) => report(event.currentTarget.value, chosen.value)}
      />
      <select
        aria-label={text.form.unit}
        value={chosen.value}
        onChange={(event) => {
          const next: SizeUnit = event.currentTarget.value === 'MiB' ? 'MiB' : 'GiB';
          chosen.value = next;
          report(shown, next);
        }}
      >
        {Object.keys(SIZE_UNITS).map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </span>
  );
}

/** A few choices side by side; one is taken. */
export function Choice<Value extends string>({
  label,
  value,
  options,
  onChange,
}: {
  readonly label: string;
  readonly value: Value;
  readonly options: readonly { readonly value: Value; readonly label: ComponentChildren; readonly title?: string }[];
  readonly onChange: (value: Value) => void;
}) {
  const name = useId();
  return (
    <div class="choice" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label key={option.value} class={option.value === value ? 'is-chosen' : ''} title={option.title}>
          <input
            type="radio"
            class="visually-hidden"
            name={name}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          {option.label}
        </label>
      ))}
    </div>
  );
}
