/** The screen or the serial console of a VM, inside its page. */

import type { Vm } from '#contract/vms.ts';
import { Console } from '../../components/console/console.tsx';
import { currentQuery, setQuery } from '../../state/router.ts';

export function ConsoleTab({ vm }: { readonly vm: Vm }) {
  const asked = currentQuery.value.get('view');
  const kind = asked === 'serial' || asked === 'vnc' ? asked : vm.hasVnc ? 'vnc' : 'serial';
  return <Console vm={vm} kind={kind} onKind={(next) => setQuery({ view: next })} />;
}
