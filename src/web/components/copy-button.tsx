/** Copies a text and says so. */

import { useSignal } from '@preact/signals';
import { text } from '../text.ts';
import { Button, IconButton } from './button.tsx';

/** @param label words on the button; without them it is an icon named `name` */
export function CopyButton({
  value,
  label,
  name = text.actions.copy,
}: {
  readonly value: string;
  readonly label?: string;
  readonly name?: string;
}) {
  const state = useSignal<'idle' | 'copied' | 'failed'>('idle');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      state.value = 'copied';
    } catch {
      // The clipboard is refused outside secure pages and by some settings; say so instead of pretending.
      state.value = 'failed';
    }
    window.setTimeout(() => {
      state.value = 'idle';
    }, 2000);
  };
  const word = state.value === 'idle' ? (label ?? name) : text.copy[state.value];
  if (label === undefined)
    return <IconButton icon={state.value === 'copied' ? 'check' : 'copy'} label={word} onClick={copy} />;
  return (
    <Button isSmall kind="quiet" icon={state.value === 'copied' ? 'check' : 'copy'} onClick={copy}>
      {word}
    </Button>
  );
}
