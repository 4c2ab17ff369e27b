/** The interactive serial console: this terminal joined to the guest's serial port over a WebSocket. */

import { WebSocket } from 'ws';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { about } from './objects.ts';
import { safeText } from './text.ts';

/** Ctrl-]. */
const ESCAPE = 0x1d;
const CONNECT_MS = 10_000;
/** Leaves the alternate screen, shows the cursor, ends colours, mouse reports and bracketed paste that a guest may have left on. */
const RESET_TERMINAL =
  '\u001b[?1049l\u001b[?25h\u001b[0m\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1006l\u001b[?2004l\u001b[?1l\u001b>\r\n';

/** Joins the terminal to the console of a VM until Ctrl-] or the end of the connection. Needs a terminal on stdin and stdout.
 *  @throws Failure exit 6 when the console cannot be opened or breaks */
export async function openSerial(context: CommandContext, name: string, isReadOnly: boolean): Promise<ExitCode> {
  const { api, transport, output } = context;
  const mode = isReadOnly ? 'view' : 'control';
  const vm = await about(context, 'vm', name, (id) => api('GET /vms/{id}', { params: { id } }));
  const ticket = await api('POST /vms/{id}/tickets', { params: { id: vm.id }, body: { kind: 'serial', mode } });
  const { url, options } = await transport.webSocket(ticket.path);
  const socket = new WebSocket(url, { handshakeTimeout: CONNECT_MS, ...options });
  await opened(socket);
  output.message(
    `${output.paintMessage('green', '●')} serial console of ${safeText(vm.name)}${isReadOnly ? ', read only' : ''}. Ctrl-] leaves it.`,
  );
  const reason = await join(socket, isReadOnly);
  output.raw(RESET_TERMINAL);
  if (reason === null) {
    output.message(`left the console of ${safeText(vm.name)}; it runs on`);
    return EXIT.done;
  }
  if (reason.isClean) {
    output.message(reason.text || `the console of ${safeText(vm.name)} was closed`);
    return EXIT.done;
  }
  throw new Failure(`the console of "${vm.name}" broke off: ${reason.text}`, {
    exit: EXIT.unreachable,
    code: 'unreachable',
    hint: `Open it again with \`hv vm serial ${vm.name}\`.`,
  });
}

function opened(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (detail: string) =>
      reject(
        new Failure(`the console could not be opened: ${detail}`, {
          exit: EXIT.unreachable,
          code: 'unreachable',
          hint: 'Try again; `hv vm show NAME` tells whether it has a serial port.',
        }),
      );
    socket.once('open', () => {
      // What the guest wrote comes with the very first bytes: hold it until someone listens.
      socket.pause();
      resolve();
    });
    socket.once('error', (error) => refuse(error.message));
    socket.once('unexpected-response', (_request, response) => refuse(`HTTP ${response.statusCode}`));
  });
}

interface Ending {
  readonly isClean: boolean;
  readonly text: string;
}

/** Passes bytes both ways. Resolves with null when the user left, else with why the other side ended. */
function join(socket: WebSocket, isReadOnly: boolean): Promise<Ending | null> {
  const { stdin, stdout } = process;
  return new Promise((resolve) => {
    const leave = (ending: Ending | null) => {
      stdin.off('data', onInput);
      stdin.setRawMode(false);
      stdin.pause();
      socket.removeAllListeners('close');
      if (ending === null) socket.close(1000);
      else socket.terminate();
      resolve(ending);
    };
    const onInput = (data: Buffer) => {
      const end = data.indexOf(ESCAPE);
      const sent = end === -1 ? data : data.subarray(0, end);
      if (sent.length > 0 && !isReadOnly) socket.send(sent);
      if (end !== -1) leave(null);
    };
    socket.on('message', (data, isBinary) => {
      if (isBinary)
        stdout.write(Buffer.isBuffer(data) ? data : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]));
    });
    socket.on('error', (error) => leave({ isClean: false, text: error.message }));
    socket.on('close', (code, why) => leave(endingOf(code, safeText(why.toString('utf8')))));
    stdin.setRawMode(true);
    stdin.resume();
    stdin.on('data', onInput);
    socket.resume();
  });
}

function endingOf(code: number, why: string): Ending {
  const isClean = code === 1000 || code === 1001 || code === CONSOLE_CLOSE.guestStopped;
  if (code === CONSOLE_CLOSE.guestStopped) return { isClean, text: why || 'the guest stopped' };
  return { isClean, text: why || (isClean ? '' : `code ${code}`) };
}
