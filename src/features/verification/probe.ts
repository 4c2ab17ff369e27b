/** Asks a test VM what its owner wants to know: a port, a page, or a program in the guest. One question, one answer; who asks repeats. */

import { createConnection } from 'node:net';
import { z } from 'zod';
import type { ProofProbe } from '#contract/verification.ts';
import type { Clock } from '#kernel/clock.ts';
import { plainLine } from '#kernel/stranger-text.ts';
import type { AgentCommand } from '#platform/guest-identity.ts';

export interface ProbeAnswer {
  readonly isGood: boolean;
  /** For people: what it said. */
  readonly text: string;
}

export interface ProbeWays {
  readonly agent: AgentCommand;
  /** Address of the guest in its own network; null = none is known. */
  address(): Promise<string | null>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const ANSWER_MS = 5_000;
const SCRIPT_MS = 60_000;
const LOOK_MS = 500;
const MAX_ANSWER_BYTES = 64 * 1024;
const SHOWN = 500;

/** @returns null = it could not be asked, for want of an address */
export async function askProbe(probe: ProofProbe, ways: ProbeWays): Promise<ProbeAnswer | null> {
  if (probe.kind === 'script') return runScript(probe, ways);
  const address = await ways.address();
  if (address === null) return null;
  if (probe.kind === 'tcp') {
    const answer = await talk(address, probe.port, null, ways.signal);
    return answer.isOpen
      ? { isGood: true, text: `port ${probe.port} is open` }
      : { isGood: false, text: `port ${probe.port}: ${answer.problem}` };
  }
  const request = `GET ${probe.path} HTTP/1.1\r\nHost: ${address}\r\nUser-Agent: hyper-nixos\r\nAccept: */*\r\nConnection: close\r\n\r\n`;
  const answer = await talk(address, probe.port, request, ways.signal);
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(answer.text)?.[1];
  if (status === undefined)
    return {
      isGood: false,
      text: `no HTTP answer on port ${probe.port}: ${answer.problem ?? plainLine(answer.text, SHOWN)}`,
    };
  const hasText = probe.expectText === undefined || answer.text.includes(probe.expectText);
  const isGood = Number(status) >= 200 && Number(status) < 400 && hasText;
  return { isGood, text: `HTTP ${status}${hasText ? '' : ', without the expected text'}` };
}

interface Talk {
  readonly isOpen: boolean;
  readonly problem: string | null;
  readonly text: string;
}

/** Opens a connection, says one thing and hears what comes, all bounded. Never rejects. */
function talk(host: string, port: number, request: string | null, signal: AbortSignal): Promise<Talk> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    const parts: Buffer[] = [];
    let size = 0;
    let isOpen = false;
    const end = (problem: string | null) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve({ isOpen, problem, text: Buffer.concat(parts).toString('latin1') });
    };
    const timer = setTimeout(() => end('no answer in time'), ANSWER_MS);
    const onAbort = () => end('cancelled');
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('connect', () => {
      isOpen = true;
      if (request === null) end(null);
      else socket.write(request);
    });
    socket.on('data', (part: Buffer) => {
      size += part.length;
      parts.push(part);
      if (size >= MAX_ANSWER_BYTES) end(null);
    });
    socket.on('end', () => end(null));
    socket.on('error', (error) => end(error.message));
  });
}

const startedSchema = z.object({ return: z.object({ pid: z.int() }) });
const statusSchema = z.object({
  return: z.object({
    exited: z.boolean(),
    exitcode: z.int().optional(),
    signal: z.int().optional(),
    'out-data': z.string().optional(),
    'err-data': z.string().optional(),
  }),
});

async function runScript(
  { program, args }: Extract<ProofProbe, { kind: 'script' }>,
  { agent, clock, signal }: ProbeWays,
): Promise<ProbeAnswer> {
  const command = { execute: 'guest-exec', arguments: { path: program, arg: args, 'capture-output': true } };
  const started = startedSchema.safeParse(await answerOf(agent, command));
  if (!started.success) return { isGood: false, text: 'the agent does not run programs, or not this one' };
  const endMs = clock.monotonicMs() + SCRIPT_MS;
  while (clock.monotonicMs() < endMs) {
    await clock.sleep(LOOK_MS, signal);
    const look = { execute: 'guest-exec-status', arguments: { pid: started.data.return.pid } };
    const status = statusSchema.safeParse(await answerOf(agent, look));
    if (!status.success || !status.data.return.exited) continue;
    const { exitcode, signal: byte, 'out-data': out = '', 'err-data': err = '' } = status.data.return;
    const said = plainLine(
      Buffer.from(`${out === '' ? err : out}`.slice(0, 4 * SHOWN), 'base64').toString('utf8'),
      SHOWN,
    );
    const ending = exitcode === undefined ? `ended by signal ${byte ?? '?'}` : `exit code ${exitcode}`;
    return { isGood: exitcode === 0, text: said === '' ? ending : `${ending}: ${said}` };
  }
  return { isGood: false, text: 'it did not end within a minute' };
}

async function answerOf(agent: AgentCommand, command: Readonly<Record<string, unknown>>): Promise<unknown> {
  try {
    return JSON.parse(await agent(JSON.stringify(command)));
  } catch {
    // No answer is an answer here: who asks goes on asking until the time is over.
    return null;
  }
}
