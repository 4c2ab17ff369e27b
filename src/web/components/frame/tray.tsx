/** Operations at the side: what runs now and what ended lately. Stays while the user goes from page to page. */

import { useEffect } from 'preact/hooks';
import { isOpen, isTrayOpen, operationList } from '../../state/operations.ts';
import { text } from '../../text.ts';
import { IconButton } from '../button.tsx';
import { OperationItem } from '../operation-item.tsx';

const SHOWN = 12;

export function Tray() {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) isTrayOpen.value = false;
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, []);
  const all = operationList.value;
  const open = all.filter(isOpen);
  const ended = all.filter((operation) => !isOpen(operation)).slice(0, Math.max(0, SHOWN - open.length));
  return (
    <aside class="tray" aria-label={text.operations.title}>
      <header class="tray-head">
        <h2>{text.operations.title}</h2>
        <IconButton icon="close" label={text.actions.close} onClick={() => (isTrayOpen.value = false)} />
      </header>
      <div class="tray-body" tabIndex={0} role="group" aria-label={text.operations.title}>
        {all.length === 0 && <p class="muted tray-empty">{text.operations.none}</p>}
        {open.map((operation) => (
          <OperationItem key={operation.id} operation={operation} />
        ))}
        {ended.length > 0 && <h3 class="tray-group">{text.operations.ended}</h3>}
        {ended.map((operation) => (
          <OperationItem key={operation.id} operation={operation} />
        ))}
      </div>
      <footer class="tray-foot">
        <a href="/operations">{text.operations.all}</a>
      </footer>
    </aside>
  );
}
