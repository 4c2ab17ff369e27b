/** What stands above a list that can be searched: a field and chips. What is asked for is in the address, so that a link shows the same. */

import type { ComponentChildren } from 'preact';
import { currentQuery, setQuery } from '../state/router.ts';
import { Icon } from './icon.tsx';

/** @param label says what is looked through */
export function SearchField({ label }: { readonly label: string }) {
  return (
    <span class="filter-search">
      <Icon name="search" />
      <input
        type="search"
        aria-label={label}
        placeholder={label}
        autocomplete="off"
        spellcheck={false}
        value={currentQuery.value.get('q') ?? ''}
        onInput={(event) => setQuery({ q: event.currentTarget.value })}
      />
    </span>
  );
}

/** True when all words of the search field are found in it. */
export function isSearched(haystack: string): boolean {
  const words = (currentQuery.value.get('q') ?? '').toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => haystack.toLowerCase().includes(word));
}

/** A filter with too many choices for chips, which is in the address under `name`. A choice that is not among them is shown as it is. */
export function ChoiceFilter({
  name,
  label,
  any,
  choices,
}: {
  readonly name: string;
  readonly label: string;
  /** Of no filter. */
  readonly any: string;
  readonly choices: readonly { readonly id: string; readonly name: string }[];
}) {
  const chosen = currentQuery.value.get(name) ?? '';
  return (
    <select
      class="filter-select"
      aria-label={label}
      value={chosen}
      onChange={(event) => setQuery({ [name]: event.currentTarget.value })}
    >
      <option value="">{any}</option>
      {chosen !== '' && !choices.some(({ id }) => id === chosen) && <option value={chosen}>{chosen}</option>}
      {choices.map((choice) => (
        <option key={choice.id} value={choice.id}>
          {choice.name}
        </option>
      ))}
    </select>
  );
}

/** Filters of which at most one is on; a second click takes it off. */
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
