/** A line of text with its label, which the signal holds. */

import type { Signal } from '@preact/signals';
import { Field, type FieldProps } from './form.tsx';

interface TextFieldProps extends Omit<FieldProps, 'children'> {
  readonly value: Signal<string>;
  /** Names, patterns and conditions: every character counts. */
  readonly isCode?: boolean;
  readonly isNumber?: boolean;
  readonly maxLength?: number;
}

export function TextField({ value, isCode = false, isNumber = false, maxLength, ...field }: TextFieldProps) {
  return (
    <Field {...field}>
      {(control) => (
        <input
          {...control}
          class={isCode ? 'mono' : undefined}
          autocomplete="off"
          spellcheck={!isCode}
          inputMode={isNumber ? 'numeric' : undefined}
          maxLength={maxLength}
          value={value.value}
          onInput={(event) => {
            value.value = event.currentTarget.value;
          }}
        />
      )}
    </Field>
  );
}
