/** A VM's screen or serial console with its key bar; an explanation in its place while there is nothing to see. */

import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Vm } from '#contract/vms.ts';
import { can, problemOf } from '../../state/api.ts';
import { showToast } from '../../state/toasts.ts';
import { isOn } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { Button, ButtonLink } from '../button.tsx';
import { Choice } from '../form.tsx';
import { EmptyState, Skeleton } from '../page.tsx';
import { VmStateMark } from '../state-mark.tsx';
import { fittingActions, powerIcon, powerVm, VmDialogs } from '../vm-actions.tsx';
import type { ConsoleView } from './console-view.ts';
import { enterFullScreen, leaveConsole, useFullScreen } from './full-screen.ts';
import './console.css';

export type ConsoleKind = 'vnc' | 'serial';

const words = text.console;

const loadView: Readonly<Record<ConsoleKind, () => Promise<ConsoleView>>> = {
  vnc: async () => (await import('./vnc-screen.tsx')).VncScreen,
  serial: async () => (await import('./serial-terminal.tsx')).SerialTerminal,
};

export function Console({
  vm,
  kind,
  onKind,
  isOwnWindow = false,
}: {
  readonly vm: Vm;
  readonly kind: ConsoleKind;
  readonly onKind: (kind: ConsoleKind) => void;
  readonly isOwnWindow?: boolean;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const mayControl = can('vm.console');
  const isViewOnly = useSignal(!mayControl);
  const buttons = useSignal<ComponentChildren>(null);
  const view = useSignal<{ readonly kind: ConsoleKind; readonly component: ConsoleView } | null>(null);
  const has = kind === 'vnc' ? vm.hasVnc : vm.hasSerial;
  // The last words of a guest that is off can still be read on its serial console.
  const isShown = has && (isOn(vm) || kind === 'serial');
  useEffect(() => {
    buttons.value = null;
    if (!isShown) return;
    let isGone = false;
    loadView[kind]().then(
      (component) => {
        if (!isGone) view.value = { kind, component };
      },
      (error: unknown) => showToast({ kind: 'bad', title: text.errors.page.title, detail: problemOf(error).detail }),
    );
    return () => {
      isGone = true;
    };
  }, [kind, isShown, buttons, view]);
  const escOwner = useFullScreen();
  const toggleFull = () => {
    if (document.fullscreenElement) leaveConsole();
    else if (frame.current) void enterFullScreen(frame.current);
  };
  const View = view.value?.kind === kind ? view.value.component : null;
  return (
    <div ref={frame} class={`console ${isOwnWindow ? 'is-own-window' : ''}`}>
      <div class="console-bar">
        <Choice
          label={words.kind}
          value={kind}
          onChange={onKind}
          options={[
            { value: 'vnc', label: words.kinds.vnc },
            { value: 'serial', label: words.kinds.serial },
          ]}
        />
        {isOwnWindow && (
          <>
            <strong class="console-name">{vm.name}</strong>
            <VmStateMark vm={vm} />
          </>
        )}
        {escOwner && <p class="console-way-out muted small">{words.wayOut[escOwner]}</p>}
        <div class="console-buttons">
          {isShown && buttons.value}
          {isShown && isOn(vm) && (
            <Button
              isSmall
              kind="quiet"
              icon="lock"
              disabled={!mayControl}
              aria-pressed={isViewOnly.value}
              title={mayControl ? words.viewOnlyHint : words.viewOnlyRight}
              onClick={() => (isViewOnly.value = !isViewOnly.value)}
            >
              {words.viewOnly}
            </Button>
          )}
          {isShown && (
            <Button isSmall kind="quiet" icon="full" onClick={toggleFull}>
              {escOwner ? words.leaveFull : words.full}
            </Button>
          )}
          {!isOwnWindow && !escOwner && (
            <ButtonLink kind="quiet" icon="external" href={`/consoles/${vm.id}/${kind}`} opensWindow>
              {words.ownWindow}
            </ButtonLink>
          )}
        </div>
      </div>
      {isShown ? (
        View ? (
          <View
            key={`${vm.id}${isViewOnly.value}${isOn(vm)}`}
            vm={vm}
            isViewOnly={isViewOnly.value}
            buttons={buttons}
          />
        ) : (
          <div class="console-box">
            <Skeleton lines={6} />
          </div>
        )
      ) : (
        <Nothing vm={vm} kind={kind} onKind={onKind} />
      )}
      {isOwnWindow && <VmDialogs />}
    </div>
  );
}

/** Why there is no picture, and what to do about it. */
function Nothing({
  vm,
  kind,
  onKind,
}: {
  readonly vm: Vm;
  readonly kind: ConsoleKind;
  readonly onKind: (kind: ConsoleKind) => void;
}) {
  const isMissing = kind === 'vnc' ? !vm.hasVnc : !vm.hasSerial;
  const other = kind === 'vnc' ? 'serial' : 'vnc';
  const start = fittingActions(vm).find((action) => action === 'start' || action === 'resume');
  return (
    <div class="console-box">
      <EmptyState
        icon={kind === 'vnc' ? 'screen' : 'terminal'}
        title={isMissing ? words.missing[kind] : words.off(vm.name, text.vmStates[vm.state])}
        action={
          <>
            {!isMissing && start && can('vm.power') && (
              <Button
                kind="primary"
                icon={powerIcon(start)}
                disabled={vm.operationId !== null}
                onClick={() => powerVm(vm, start)}
              >
                {words.start(text.power.actions[start], vm.name)}
              </Button>
            )}
            {(isMissing || kind === 'vnc') && <Button onClick={() => onKind(other)}>{words.openOther[other]}</Button>}
          </>
        }
      >
        {isMissing ? words.missingNote[kind] : words.offNote}
      </EmptyState>
    </div>
  );
}
