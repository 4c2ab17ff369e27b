/** The libvirt definition as it is stored, read only. */

import { useMemo } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Card, Loaded } from '../../components/page.tsx';
import { fetchRaw } from '../../state/api.ts';
import { createResource } from '../../state/collection.ts';
import { text } from '../../text.ts';
import { colourXml } from './xml-colours.ts';

export function DefinitionTab({ vm }: { readonly vm: Vm }) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the tag changes with the definition, then it is read again
  const xml = useMemo(
    () => createResource(() => fetchRaw(`/api/v1/vms/${encodeURIComponent(vm.id)}/xml`, (response) => response.text())),
    [vm.id, vm.etag],
  );
  return (
    <Loaded resource={xml} lines={14}>
      {(source) => (
        <Card
          class="is-flush"
          title={text.definition.title}
          aside={<CopyButton value={source} label={text.actions.copy} />}
        >
          <p class="muted small definition-note">{vm.managed ? text.definition.managed : text.definition.unmanaged}</p>
          <pre class="code" role="region" tabIndex={0} aria-label={text.definition.title}>
            {colourXml(source).map((piece, index) =>
              piece.kind === 'text' ? (
                piece.text
              ) : (
                <span key={index} class={`xml-${piece.kind}`}>
                  {piece.text}
                </span>
              ),
            )}
          </pre>
        </Card>
      )}
    </Loaded>
  );
}
