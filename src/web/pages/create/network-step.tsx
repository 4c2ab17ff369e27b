/** Where the VM's NIC is plugged in. */

import { useEffect } from 'preact/hooks';
import type { Network } from '#contract/networks.ts';
import { Field } from '../../components/form.tsx';
import { Loaded } from '../../components/page.tsx';
import { networks } from '../../state/library.ts';
import { isNetworkOf } from '../../state/projects.ts';
import { text } from '../../text.ts';
import type { StepProps } from './step-props.ts';

const words = text.create;

export function NetworkStep(props: StepProps) {
  return (
    <Loaded resource={networks} lines={3}>
      {(known) => <NetworkChoice {...props} known={known.filter((network) => isNetworkOf(network, props.project))} />}
    </Loaded>
  );
}

function NetworkChoice({
  known,
  draft,
  project,
  change,
  problemOfField,
}: StepProps & { readonly known: readonly Network[] }) {
  const choices = [
    ...known
      .filter((network) => network.kind !== 'host_bridge')
      .map((network) => ({
        value: `network:${network.name}`,
        title: network.name,
        note: [
          text.networks.kinds[network.kind],
          network.addresses.map((entry) => `${entry.address}/${entry.prefix}`).join(', '),
          network.state === 'inactive' && words.startsNetwork,
        ]
          .filter(Boolean)
          .join(' · '),
      })),
    ...known
      .filter((network) => network.kind === 'host_bridge')
      .map((network) => ({ value: `bridge:${network.name}`, title: network.name, note: words.bridgeNote })),
    { value: 'none', title: words.noNetwork, note: words.noNetworkNote },
  ];
  // On a new machine the NAT network does not exist yet; it is made with the first VM.
  if (!known.some((network) => network.name === 'default') && isNetworkOf({ id: 'default', name: 'default' }, project))
    choices.unshift({ value: 'network:default', title: 'default', note: words.defaultNetworkNote });
  // Where the usual network is not one of the project, the first that is takes its place.
  const first = choices.some(({ value }) => value === draft.attach) ? null : (choices[0]?.value ?? null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the choice to be made is what this waits for
  useEffect(() => {
    if (first !== null) change({ attach: first });
  }, [first]);
  return (
    <div class="form">
      <div class="choices" role="radiogroup" aria-label={words.stepTitles.network}>
        {choices.map((choice) => (
          <label key={choice.value} class={`choice-line ${draft.attach === choice.value ? 'is-chosen' : ''}`}>
            <input
              type="radio"
              name="attach"
              checked={draft.attach === choice.value}
              onChange={() => change({ attach: choice.value })}
            />
            <span>
              <strong class="mono">{choice.title}</strong>
              <span class="muted small">{choice.note}</span>
            </span>
          </label>
        ))}
      </div>
      {draft.attach !== 'none' && (
        <Field label={words.mac} isOptional hint={words.macHint} problem={problemOfField('nics.0')}>
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              spellcheck={false}
              placeholder="52:54:00:…"
              value={draft.mac}
              onInput={(event) => change({ mac: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
    </div>
  );
}
