/** A console in a window of its own. */

import { useEffect } from 'preact/hooks';
import { Console } from '../../components/console/console.tsx';
import { EmptyState, Loaded } from '../../components/page.tsx';
import { Toasts } from '../../components/toasts.tsx';
import { navigate } from '../../state/router.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';

export function ConsolePage({ params }: { readonly params: Readonly<Record<string, string>> }) {
  const wanted = params['id'] ?? '';
  const kind = params['kind'] === 'serial' ? 'serial' : 'vnc';
  const name = vms.data.value?.get(wanted)?.name ?? '';
  useEffect(() => {
    document.title = `${name} · ${text.pages.console}`;
  }, [name]);
  return (
    <div class="console-window">
      <Loaded resource={vms}>
        {(known) => {
          const vm = known.get(wanted) ?? [...known.values()].find((candidate) => candidate.name === wanted);
          if (!vm)
            return (
              <EmptyState icon="vm" title={text.vm.missing}>
                {text.vm.missingNote(wanted)}
              </EmptyState>
            );
          return (
            <Console
              vm={vm}
              kind={kind}
              isOwnWindow
              onKind={(next) => navigate(`/consoles/${vm.id}/${next}`, { replace: true })}
            />
          );
        }}
      </Loaded>
      <Toasts />
    </div>
  );
}
