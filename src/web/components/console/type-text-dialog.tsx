/** Types a text into the guest key by key: a VNC screen has no clipboard of its own. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { readSetting, writeSetting } from '../../state/browser-settings.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { Dialog } from '../dialog.tsx';
import { Check, Field } from '../form.tsx';
import { ProgressBar } from '../operation-item.tsx';
import { type KeyPress, LAYOUTS, type LayoutName, pressesFor, readyToType } from './keys.ts';

const words = text.console.typing;

/** A guest reads its keyboard from a small buffer (16 keys on PS/2): faster typing loses characters. */
const KEY_PAUSE_MS = 25;
const ASK_FROM_CHARACTERS = 4096;

function isLayout(name: string | null): name is LayoutName {
  return name !== null && name in LAYOUTS;
}

/** @param send presses keys together; false = the console is gone */
export function TypeTextDialog({
  vmName,
  send,
  onClose,
}: {
  readonly vmName: string;
  readonly send: (keys: readonly KeyPress[]) => boolean;
  readonly onClose: () => void;
}) {
  const saved = readSetting('keyboard-layout');
  const layout = useSignal<LayoutName>(isLayout(saved) ? saved : 'us');
  const typed = useSignal('');
  const isSure = useSignal(false);
  const done = useSignal<number | null>(null);
  const isGone = useSignal(false);
  const stop = useRef(false);
  useEffect(
    () => () => {
      stop.current = true;
    },
    [],
  );
  const { characters, missing } = readyToType(typed.value, layout.value);
  const isLong = characters.length > ASK_FROM_CHARACTERS;
  const isRunning = done.value !== null;
  const canType = characters.length > 0 && (!isLong || isSure.value) && !isRunning;

  const type = async () => {
    if (!canType) return;
    for (const [index, character] of characters.entries()) {
      if (stop.current) return;
      const keys = pressesFor(character, layout.value);
      if (keys && !send(keys)) {
        isGone.value = true;
        done.value = null;
        return;
      }
      done.value = index + 1;
      await new Promise((resolve) => window.setTimeout(resolve, KEY_PAUSE_MS));
    }
    onClose();
  };
  const paste = async () => {
    try {
      typed.value = await navigator.clipboard.readText();
    } catch {
      // Reading the clipboard is the browser's to allow; pasting into the field by hand always works.
    }
  };

  return (
    <Dialog
      title={words.title(vmName)}
      onClose={onClose}
      onSubmit={() => void type()}
      foot={
        <>
          <Button onClick={onClose}>{isRunning ? words.stop : text.actions.cancel}</Button>
          <Button type="submit" kind="primary" icon="keyboard" disabled={!canType}>
            {words.action(characters.length)}
          </Button>
        </>
      }
    >
      <Field label={words.text} hint={words.hint}>
        {(field) => (
          <textarea
            {...field}
            class="mono"
            rows={6}
            spellcheck={false}
            value={typed.value}
            disabled={isRunning}
            onInput={(event) => (typed.value = event.currentTarget.value)}
          />
        )}
      </Field>
      <div class="form-row">
        <Field label={words.layout}>
          {(field) => (
            <select
              {...field}
              value={layout.value}
              disabled={isRunning}
              onChange={(event) => {
                if (!isLayout(event.currentTarget.value)) return;
                layout.value = event.currentTarget.value;
                writeSetting('keyboard-layout', event.currentTarget.value);
              }}
            >
              {Object.entries(words.layouts).map(([name, label]) => (
                <option key={name} value={name}>
                  {label}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div class="field end">
          <Button icon="paste" onClick={() => void paste()} disabled={isRunning}>
            {words.fromClipboard}
          </Button>
        </div>
      </div>
      {missing.length > 0 && <p class="tone-warn small">{words.missing(missing.join(' '))}</p>}
      {isLong && (
        <Check
          label={words.long(characters.length, Math.ceil((characters.length * KEY_PAUSE_MS) / 1000))}
          checked={isSure.value}
          onChange={(value) => (isSure.value = value)}
        />
      )}
      {done.value !== null && <ProgressBar ratio={done.value / characters.length} label={words.title(vmName)} />}
      {isGone.value && <p class="tone-bad small">{words.gone}</p>}
    </Dialog>
  );
}
