/** The serial console of a VM: xterm.js on a WebSocket. What the guest wrote before comes first; off VMs show their last words. */

import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { fetchRaw, problemOf } from '../../state/api.ts';
import { isDark } from '../../state/theme.ts';
import { isOn } from '../../state/vms.ts';
import { text } from '../../text.ts';
import { Button } from '../button.tsx';
import { keepConsoleOpen, type LinkState } from './console-link.ts';
import type { ConsoleViewProps } from './console-view.ts';
import { leaveConsole } from './full-screen.ts';
import { LinkCover } from './link-cover.tsx';
import { allowStyleAttributes, strictDocument, withoutStyleElements } from './strict-document.ts';
import { terminalTheme } from './terminal-theme.ts';

const words = text.console;
const KEPT_LINES = 10_000;

export function SerialTerminal({ vm, isViewOnly, buttons }: ConsoleViewProps) {
  const target = useRef<HTMLDivElement>(null);
  const state = useSignal<LinkState>({ kind: 'connecting' });
  const attempt = useSignal(0);
  const isLogOnly = !isOn(vm);
  const { id } = vm;
  const terminal = useRef<Terminal | null>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `attempt` counts the tries that the user asked for
  useEffect(() => {
    const place = target.current;
    if (!place) return;
    const fit = new FitAddon();
    const screen = new Terminal({
      documentOverride: strictDocument(),
      cursorBlink: !isViewOnly && !isLogOnly,
      disableStdin: isViewOnly || isLogOnly,
      scrollback: KEPT_LINES,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--mono'),
      fontSize: 13,
      lineHeight: 1.2,
      // Colours that a program chose for another ground stay readable.
      minimumContrastRatio: 4.5,
      theme: terminalTheme(isDark.peek()),
      screenReaderMode: false,
    });
    terminal.current = screen;
    screen.loadAddon(fit);
    allowStyleAttributes();
    withoutStyleElements(() => screen.open(place));
    fit.fit();
    const sizes = new ResizeObserver(() => fit.fit());
    sizes.observe(place);
    const stop = new AbortController();
    if (isLogOnly) void showLog(id, screen, state, stop.signal);
    else
      void keepConsoleOpen({
        vmId: id,
        kind: 'serial',
        mode: isViewOnly ? 'view' : 'control',
        state,
        stop: stop.signal,
        connect: (url, onOpen) => connect(url, screen, onOpen, stop.signal),
      });
    // The way out for people who work with the keyboard only.
    screen.attachCustomKeyEventHandler((event) => {
      if (!(event.ctrlKey && event.altKey && event.shiftKey)) return true;
      screen.blur();
      leaveConsole();
      return false;
    });
    if (!isViewOnly && !isLogOnly) screen.focus();
    return () => {
      stop.abort();
      sizes.disconnect();
      screen.dispose();
      terminal.current = null;
    };
  }, [id, isViewOnly, isLogOnly, attempt.value, state]);

  useSignalEffect(() => {
    const theme = terminalTheme(isDark.value);
    if (terminal.current) terminal.current.options.theme = theme;
  });

  useEffect(() => {
    buttons.value = (
      <Button isSmall kind="quiet" icon="download" onClick={() => void saveLog(vm.name, id)}>
        {words.saveLog}
      </Button>
    );
  }, [id, vm.name, buttons]);

  return (
    <div class="console-box is-terminal" data-takes-keys>
      {isLogOnly && <p class="terminal-note">{words.serialOff(text.vmStates[vm.state])}</p>}
      <div ref={target} class="terminal" data-testid="serial" data-state={state.value.kind} />
      <LinkCover state={state} onRetry={() => (attempt.value += 1)} />
    </div>
  );
}

/** Resolves when the socket has closed. */
function connect(url: string, screen: Terminal, onOpen: () => void, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    const encoder = new TextEncoder();
    const input = screen.onData((data) => socket.readyState === WebSocket.OPEN && socket.send(encoder.encode(data)));
    const binary = screen.onBinary(
      (data) =>
        socket.readyState === WebSocket.OPEN &&
        socket.send(Uint8Array.from(data, (character) => character.charCodeAt(0))),
    );
    const onStop = () => socket.close();
    stop.addEventListener('abort', onStop);
    socket.addEventListener('open', () => {
      // The server sends what it kept first: after a reconnect it would stand there twice.
      screen.reset();
      onOpen();
    });
    socket.addEventListener('message', (event) => {
      if (event.data instanceof ArrayBuffer) screen.write(new Uint8Array(event.data));
    });
    socket.addEventListener('close', () => {
      input.dispose();
      binary.dispose();
      stop.removeEventListener('abort', onStop);
      resolve();
    });
  });
}

async function readLog(id: string, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const path = `/api/v1/vms/${encodeURIComponent(id)}/serial/log`;
  return new Uint8Array(await fetchRaw(path, (response) => response.arrayBuffer(), signal));
}

async function showLog(id: string, screen: Terminal, state: { value: LinkState }, stop: AbortSignal): Promise<void> {
  try {
    screen.write(await readLog(id, stop));
    state.value = { kind: 'open' };
  } catch (error) {
    if (!stop.aborted) state.value = { kind: 'refused', problem: problemOf(error) };
  }
}

async function saveLog(name: string, id: string): Promise<void> {
  const url = URL.createObjectURL(new Blob([await readLog(id)], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `${name.replaceAll(/[^\w.-]+/g, '_')}-serial.log`;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
