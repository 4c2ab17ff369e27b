/** Modal windows: the browser's own dialog element, so focus, Esc and the layer above everything come for free. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { text } from '../text.ts';
import { Button, type ButtonKind, IconButton } from './button.tsx';
import { Field } from './form.tsx';

const FIRST_CONTROL = '.dialog-body :is(input, textarea, select):not(:disabled), .dialog-foot button:not(:disabled)';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
  /** Buttons at the foot. */
  readonly foot?: ComponentChildren;
  readonly isWide?: boolean;
  /** Enter in a field does this. */
  readonly onSubmit?: () => void;
}

/** Open as long as it is rendered. */
export function Dialog({ title, onClose, children, foot, isWide = false, onSubmit }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    // Not the cross in the corner, which stands first: a field to fill in, else the way back.
    element.current?.querySelector<HTMLElement>(FIRST_CONTROL)?.focus();
    return () => {
      // The element is taken away, not closed, so the browser does not give the keyboard back by itself.
      if (before instanceof HTMLElement && before.isConnected && document.activeElement === document.body)
        before.focus({ preventScroll: true });
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the click beside the window is a shortcut for Esc, which the element brings itself
    <dialog
      ref={element}
      class={`dialog ${isWide ? 'wide' : ''}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === element.current) onClose();
      }}
    >
      <form
        class="dialog-inner"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit?.();
        }}
      >
        <header class="dialog-head">
          <h2 id={titleId}>{title}</h2>
          <IconButton icon="close" label={text.actions.close} onClick={onClose} />
        </header>
        <div class="dialog-body">{children}</div>
        {foot && <footer class="dialog-foot">{foot}</footer>}
      </form>
    </dialog>
  );
}

interface ConfirmProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** What the button does, as "Stop web1". */
  readonly action: string;
  readonly kind?: ButtonKind;
  /** The action needs this name typed. */
  readonly typedName?: string;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

/** Asks before something that cannot simply be taken back. */
export function ConfirmDialog({
  title,
  children,
  action,
  kind = 'danger',
  typedName,
  onConfirm,
  onClose,
}: ConfirmProps) {
  const typed = useSignal('');
  const isReady = typedName === undefined || typed.value === typedName;
  const confirm = () => {
    if (!isReady) return;
    onClose();
    onConfirm();
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={confirm}
      foot={
        <>
          <Button onClick={onClose}>{text.actions.cancel}</Button>
          <Button type="submit" kind={kind} disabled={!isReady}>
            {action}
          </Button>
        </>
      }
    >
      {children}
      {typedName !== undefined && (
        <Field label={text.confirm.typeName(typedName)}>
          {(field) => (
            <input
              {...field}
              class="mono"
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              value={typed.value}
              onInput={(event) => (typed.value = event.currentTarget.value)}
            />
          )}
        </Field>
      )}
    </Dialog>
  );
}
