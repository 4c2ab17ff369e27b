/** Filters of which at most one is on; a second click takes it off. */

import type { ComponentChildren } from 'preact';

export function Chips<Value extends string>({
  label,
  chosen,
  options,
  onChoose,
}: {
  readonly label: string;
  readonly chosen: Value | null;
  readonly options: readonly { readonly value: Value; readonly label: ComponentChildren }[];
  readonly onChoose: (value: Value | null) => void;
}) {
  return (
    <span class="chips" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          type="button"
          key={option.value}
          class="chip"
          aria-pressed={option.value === chosen}
          onClick={() => onChoose(option.value === chosen ? null : option.value)}
        >
          {option.label}
        </button>
      ))}
    </span>
  );
}
