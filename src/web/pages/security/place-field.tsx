/** Where a role or token holds: the whole system, a project or a VM; only places that the signed-in user may choose. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { Field } from '../../components/form.tsx';
import { projects } from '../../state/projects.ts';
import { vmList } from '../../state/vms.ts';
import { text } from '../../text.ts';

const words = text.access.grants;

type Kind = 'all' | 'project' | 'vm';

const kindOf = (scope: string | null): Kind =>
  scope?.startsWith('project:') ? 'project' : scope?.startsWith('vm:') ? 'vm' : 'all';

/** @param value scope as the API has it, null = not chosen yet
 *  @param allows which of the places may be chosen */
export function PlaceField({
  label,
  hint,
  allLabel = words.places.all,
  value,
  isTried,
  allows = () => true,
  onChange,
}: {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly allLabel?: string;
  readonly value: string | null;
  readonly isTried: boolean;
  readonly allows?: (scope: string, project: string | null) => boolean;
  readonly onChange: (scope: string | null) => void;
}) {
  const kind = useSignal<Kind>(value === null ? (allows('all', null) ? 'all' : 'project') : kindOf(value));
  const places = {
    all: allows('all', null) ? [{ scope: 'all', name: allLabel }] : [],
    project: (projects.data.value ?? [])
      .filter(({ id }) => allows(`project:${id}`, id))
      .map(({ id, name }) => ({ scope: `project:${id}`, name })),
    vm: vmList.value
      .filter((vm) => allows(`vm:${vm.id}`, vm.project))
      .map((vm) => ({ scope: `vm:${vm.id}`, name: vm.name }))
      .toSorted((a, b) => a.name.localeCompare(b.name)),
  } as const;
  const kinds = (['all', 'project', 'vm'] as const).filter((one) => places[one].length > 0);
  const choose = (next: Kind) => {
    kind.value = next;
    onChange(next === 'all' ? 'all' : null);
  };
  return (
    <Field label={label} hint={hint} problem={isTried && value === null ? words.choosePlace : null}>
      {(field) => (
        <span class="place-field">
          <select
            {...field}
            value={kind.value}
            onChange={(event) => {
              const next = kinds.find((one) => one === event.currentTarget.value);
              if (next) choose(next);
            }}
          >
            {kinds.map((one) => (
              <option key={one} value={one}>
                {one === 'all' ? allLabel : words.places[one]}
              </option>
            ))}
          </select>
          {kind.value !== 'all' && (
            <select
              aria-label={words.places[kind.value]}
              value={value ?? ''}
              onChange={(event) => onChange(event.currentTarget.value || null)}
            >
              <option value="">{words.choosePlace}</option>
              {places[kind.value].map(({ scope, name }) => (
                <option key={scope} value={scope}>
                  {name}
                </option>
              ))}
            </select>
          )}
        </span>
      )}
    </Field>
  );
}
