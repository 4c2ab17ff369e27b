/** The screen of a VM: noVNC on a WebSocket, with typed text, key combinations, scaling and a touch key row. */

import RFB from '@novnc/novnc';
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { readSetting, writeSetting } from '../../state/browser-settings.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { Icon } from '../icon.tsx';
import { Menu } from '../menu.tsx';
import { keepConsoleOpen, type LinkState } from './console-link.ts';
import type { ConsoleViewProps } from './console-view.ts';
import { leaveConsole } from './full-screen.ts';
import { BACKSPACE, COMBINATIONS, type KeyPress, pressesFor, TOUCH_KEYS, TOUCH_MODIFIERS } from './keys.ts';
import { LinkCover } from './link-cover.tsx';
import { TypeTextDialog } from './type-text-dialog.tsx';

const words = text.console;

/** Presses all keys in order and lets them go in the opposite order. */
function press(rfb: RFB, keys: readonly KeyPress[]): void {
  for (const key of keys) rfb.sendKey(key.keysym, key.code, true);
  for (const key of keys.toReversed()) rfb.sendKey(key.keysym, key.code, false);
}

/** Keys that are down when the keyboard goes elsewhere come up elsewhere, and the guest would hold them for ever.
 *  noVNC lets go of all keys when the window loses the keyboard, but not when only its canvas does: it is told the former. */
function letKeysGo(): void {
  window.dispatchEvent(new Event('blur'));
}

export function VncScreen({ vm, isViewOnly, buttons }: ConsoleViewProps) {
  const target = useRef<HTMLDivElement>(null);
  const touchInput = useRef<HTMLTextAreaElement>(null);
  const rfb = useRef<RFB | null>(null);
  const state = useSignal<LinkState>({ kind: 'connecting' });
  const attempt = useSignal(0);
  const isScaled = useSignal(readSetting('console-scale') !== 'off');
  const isTyping = useSignal(false);
  const held = useSignal<readonly string[]>([]);
  const { id } = vm;

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` counts the tries that the user asked for
  useEffect(() => {
    const place = target.current;
    if (!place) return;
    const stop = new AbortController();
    void keepConsoleOpen({
      vmId: id,
      kind: 'vnc',
      mode: isViewOnly ? 'view' : 'control',
      state,
      stop: stop.signal,
      connect: (url, onOpen) =>
        new Promise((resolve) => {
          const screen = new RFB(place, url, { shared: true });
          rfb.current = screen;
          screen.viewOnly = isViewOnly;
          screen.scaleViewport = isScaled.peek();
          screen.clipViewport = !isScaled.peek();
          screen.dragViewport = false;
          screen.background = 'transparent';
          const onStop = () => screen.disconnect();
          stop.signal.addEventListener('abort', onStop);
          screen.addEventListener('connect', () => {
            onOpen();
            if (!isViewOnly) screen.focus();
          });
          screen.addEventListener('disconnect', () => {
            stop.signal.removeEventListener('abort', onStop);
            rfb.current = null;
            resolve();
          });
        }),
    });
    return () => stop.abort();
  }, [id, isViewOnly, attempt.value, state, isScaled]);

  const isOpen = state.value.kind === 'open';
  const canType = isOpen && !isViewOnly;
  const scale = isScaled.value;
  useEffect(() => {
    const setScale = (next: boolean) => {
      isScaled.value = next;
      writeSetting('console-scale', next ? 'on' : 'off');
      if (!rfb.current) return;
      rfb.current.scaleViewport = next;
      rfb.current.clipViewport = !next;
    };
    buttons.value = (
      <>
        {canType && (
          <>
            <Button isSmall kind="quiet" icon="paste" onClick={() => (isTyping.value = true)}>
              {words.typeText}
            </Button>
            <Menu
              label={words.keys}
              triggerClass="button quiet small"
              trigger={
                <>
                  <Icon name="keyboard" />
                  <span>{words.keys}</span>
                </>
              }
              entries={COMBINATIONS.map(({ label, keys }) => ({
                label,
                run: () => {
                  if (!rfb.current) return;
                  press(rfb.current, keys);
                  rfb.current.focus();
                },
              }))}
            />
          </>
        )}
        <Button isSmall kind="quiet" icon="screen" aria-pressed={scale} onClick={() => setScale(!scale)}>
          {words.scaled}
        </Button>
      </>
    );
  }, [canType, scale, isScaled, isTyping, buttons]);

  const pressTouch = (keys: readonly KeyPress[]) => {
    if (!rfb.current) return;
    const modifiers = TOUCH_MODIFIERS.filter((modifier) => held.value.includes(modifier.label)).map(
      (modifier) => modifier.key,
    );
    press(rfb.current, [...modifiers, ...keys]);
    held.value = [];
  };
  return (
    <>
      <div class="console-box" data-takes-keys>
        <div
          ref={target}
          class={`vnc ${isOpen ? '' : 'is-waiting'}`}
          data-testid="vnc"
          data-state={state.value.kind}
          onKeyDownCapture={(event) => {
            // The way out for people who work with the keyboard only.
            if (event.ctrlKey && event.altKey && event.shiftKey) {
              // The third key of the chord is not for the guest.
              event.stopPropagation();
              event.preventDefault();
              rfb.current?.blur();
              leaveConsole();
            }
          }}
          onBlurCapture={letKeysGo}
        />
        <LinkCover state={state} onRetry={() => (attempt.value += 1)} />
      </div>
      {canType && (
        <div class="touch-keys" role="group" aria-label={words.keys}>
          <Button isSmall icon="keyboard" onClick={() => touchInput.current?.focus()}>
            {words.touchKeyboard}
          </Button>
          {TOUCH_MODIFIERS.map((modifier) => (
            <Button
              key={modifier.label}
              isSmall
              aria-pressed={held.value.includes(modifier.label)}
              onClick={() =>
                (held.value = held.value.includes(modifier.label)
                  ? held.value.filter((label) => label !== modifier.label)
                  : [...held.value, modifier.label])
              }
            >
              {modifier.label}
            </Button>
          ))}
          {TOUCH_KEYS.map((key) => (
            <Button key={key.label} isSmall onClick={() => pressTouch([key.key])}>
              {key.label}
            </Button>
          ))}
          <textarea
            ref={touchInput}
            class="touch-input"
            aria-label={words.touchKeyboard}
            autocapitalize="off"
            autocomplete="off"
            spellcheck={false}
            onKeyDown={(event) => {
              if (event.key === 'Backspace' && event.currentTarget.value === '') pressTouch([BACKSPACE]);
            }}
            onInput={(event) => {
              const typed = event.currentTarget.value;
              event.currentTarget.value = '';
              for (const character of typed) {
                const keys = pressesFor(character, 'us');
                if (keys) pressTouch(keys);
              }
            }}
          />
        </div>
      )}
      {isTyping.value && (
        <TypeTextDialog
          vmName={vm.name}
          send={(keys) => {
            if (!rfb.current) return false;
            press(rfb.current, keys);
            return true;
          }}
          onClose={() => {
            isTyping.value = false;
            // Once the dialog has gone: until then it keeps the keyboard.
            window.setTimeout(() => rfb.current?.focus());
          }}
        />
      )}
    </>
  );
}
