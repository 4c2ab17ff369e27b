/** A button that opens a list of actions. Uses the browser's popover layer, so lists and tables cannot clip it. */

import type { ComponentChildren } from 'preact';
import { useId, useRef } from 'preact/hooks';
import { Icon, type IconName } from './icon.tsx';

export interface MenuEntry {
  readonly label: string;
  readonly icon?: IconName;
  readonly run: () => void;
  readonly isDangerous?: boolean;
  readonly isDisabled?: boolean;
  /** Why it cannot be chosen, or what it does. */
  readonly hint?: string;
  /** Draws a line above. */
  readonly startsGroup?: boolean;
}

export function Menu({
  label,
  entries,
  trigger,
  triggerClass = 'icon-button',
}: {
  readonly label: string;
  readonly entries: readonly MenuEntry[];
  readonly trigger?: ComponentChildren;
  readonly triggerClass?: string;
}) {
  const id = useId().replaceAll(':', '');
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const place = () => {
    const from = button.current?.getBoundingClientRect();
    const menu = list.current;
    if (!from || !menu) return;
    const { width, height } = menu.getBoundingClientRect();
    const below = from.bottom + 4;
    menu.style.left = `${Math.max(8, Math.min(from.right - width, window.innerWidth - width - 8))}px`;
    menu.style.top = `${below + height > window.innerHeight - 8 ? Math.max(8, from.top - height - 4) : below}px`;
  };
  const onKey = (event: KeyboardEvent) => {
    const items: Element[] = [...(list.current?.querySelectorAll('button:not(:disabled)') ?? [])];
    const at = document.activeElement === null ? -1 : items.indexOf(document.activeElement);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      Home: 0,
      End: items.length - 1,
    };
    const next = steps[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const item = items[(next + items.length) % items.length];
    if (item instanceof HTMLElement) item.focus();
  };
  return (
    <>
      <button
        type="button"
        ref={button}
        class={triggerClass}
        popoverTarget={id}
        aria-haspopup="menu"
        aria-label={label}
        title={label}
      >
        {trigger ?? <Icon name="more" />}
      </button>
      <div
        ref={list}
        id={id}
        popover="auto"
        role="menu"
        tabIndex={-1}
        class="menu"
        onToggle={(event) => {
          if (event.newState !== 'open') return;
          place();
          list.current?.querySelector<HTMLButtonElement>('button:not(:disabled)')?.focus();
        }}
        onKeyDown={onKey}
      >
        {entries.map((entry) => (
          <button
            type="button"
            role="menuitem"
            key={entry.label}
            disabled={entry.isDisabled}
            title={entry.hint}
            class={`${entry.isDangerous ? 'dangerous' : ''} ${entry.startsGroup ? 'starts-group' : ''}`}
            onClick={(event) => {
              event.stopPropagation();
              list.current?.hidePopover();
              // What the entry opens gives the keyboard back to where it was.
              button.current?.focus({ preventScroll: true });
              entry.run();
            }}
          >
            {entry.icon ? <Icon name={entry.icon} /> : <span class="icon" />}
            {entry.label}
          </button>
        ))}
      </div>
    </>
  );
}
