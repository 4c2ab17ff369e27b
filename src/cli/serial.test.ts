/** The interactive console in a real pseudo terminal, against a WebSocket on a unix socket. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import { exampleVm, type FakeDaemon, startFakeDaemon } from './fake-daemon.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const hasScript = spawnSync('script', ['--version']).status === 0;
const skip = hasScript ? false : 'no `script` (util-linux) for a pseudo terminal';

interface Console {
  readonly daemon: FakeDaemon;
  readonly received: () => string;
}

/** A daemon whose console greets, and then does what `onInput` says. */
async function startConsole(
  onInput: (text: string, socket: { send(data: Buffer): void; close(code: number, reason: string): void }) => void,
): Promise<Console> {
  const daemon = await startFakeDaemon();
  let received = '';
  daemon.on('GET /vms/{id}', () => exampleVm);
  daemon.on(
    'POST /vms/{id}/tickets',
    () => ({ ticket: 't', path: '/api/v1/vms/x/serial?ticket=t', expiresAt: '2026-01-01T00:00:00Z' }),
    201,
  );
  const consoles = new WebSocketServer({ server: daemon.server });
  consoles.on('connection', (socket) => {
    socket.send(Buffer.from('login: '));
    socket.on('message', (data) => {
      received += String(data);
      onInput(String(data), socket);
    });
  });
  return { daemon, received: () => received };
}

/** Runs `hv vm serial web-1` in a pseudo terminal; `type` is called with all output so far. */
async function openInTerminal(
  t: TestContext,
  daemon: FakeDaemon,
  type: (shown: string) => string | null,
): Promise<{ code: number | null; shown: string }> {
  const child = spawn('script', ['-qec', `'${process.execPath}' '${MAIN}' vm serial web-1`, '/dev/null'], {
    env: { ...process.env, HV_RUNTIME_DIR: daemon.runtimeDir, NO_COLOR: '1', TERM: 'xterm' },
  });
  t.after(() => child.kill('SIGKILL'));
  let shown = '';
  // It may be gone before the last text is typed.
  child.stdin.on('error', () => undefined);
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('utf8');
    const text = type(shown);
    if (text !== null) child.stdin.write(text);
  });
  const [code] = await once(child, 'close');
  await daemon.close();
  return { code: typeof code === 'number' ? code : null, shown };
}

test('what is typed reaches the guest, what it writes is shown, Ctrl-] leaves', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const { daemon, received } = await startConsole((text, socket) => {
    if (text.includes('root')) socket.send(Buffer.from('# welcome'));
  });
  let hasTyped = false;
  const { code, shown } = await openInTerminal(t, daemon, (text) => {
    if (text.includes('# welcome')) return '\u001d';
    if (hasTyped || !text.includes('login: ')) return null;
    hasTyped = true;
    return 'root\r\u0003';
  });
  assert.equal(code, 0);
  // Ctrl-C goes to the guest, not to hv.
  assert.equal(received(), 'root\r\u0003');
  assert.match(shown, /serial console of web-1/);
  assert.match(shown, /left the console of web-1; it runs on/);
});

test('a guest that stops ends the console without an error', { skip, timeout: 60_000 }, async (t) => {
  const { daemon } = await startConsole((_text, socket) =>
    socket.close(CONSOLE_CLOSE.guestStopped, 'The guest stopped.'),
  );
  const { code, shown } = await openInTerminal(t, daemon, (text) => (text.includes('login: ') ? 'x' : null));
  assert.equal(code, 0);
  assert.match(shown, /The guest stopped\./);
});

test('a console that breaks off says so and exits 6', { skip, timeout: 60_000 }, async (t) => {
  const { daemon } = await startConsole((_text, socket) =>
    socket.close(CONSOLE_CLOSE.unreachable, 'libvirt went away'),
  );
  const { code, shown } = await openInTerminal(t, daemon, (text) => (text.includes('login: ') ? 'x' : null));
  assert.equal(code, 6);
  assert.match(shown, /broke off: libvirt went away/);
  assert.match(shown, /hv vm serial web-1/);
});
