/** The part of `hv up` that talks to hyperd: waits until it is ready, shows what preflight found, makes the demonstration
 *  guest on an empty machine, prints the addresses and a one-time sign-in link. Called by the launcher, not by people. */

import { open, readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { ApiClient } from '#contract/client.ts';
import type { Check, Preflight, Status } from '#contract/system.ts';
import { hasErrno } from '#kernel/errors.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { follow } from './follow.ts';
import { endWithBrokenOutput, type Output, processOutput } from './output.ts';
import { describeFailure, problemOf, toFailure } from './problems.ts';
import { safeText } from './text.ts';
import { createClient, createTransport, type Transport } from './transport.ts';

const READY_TIMEOUT_MS = 90_000;
const PREFLIGHT_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
const LOG_POLL_MS = 1000;

interface UpOptions {
  /** Log file of the daemon. */
  readonly logPath: string;
  /** Where in the log this start of the daemon begins, in bytes. */
  readonly logStart: number;
  /** Process id of the daemon when the launcher has just started it; null when it ran before. */
  readonly pid: number | null;
  readonly wantsDemo: boolean;
  /** Stay until the daemon ends, showing its warnings. */
  readonly stays: boolean;
}

interface Surroundings {
  readonly api: ApiClient;
  readonly transport: Transport;
  readonly output: Output;
}

/** Never rejects; 7 when everything runs but the demonstration guest could not be made. */
async function up(options: UpOptions, here: Surroundings): Promise<ExitCode> {
  try {
    await waitUntilReady(options, here);
    const preflight = await readPreflight(here);
    const isDemoFine = !options.wantsDemo || (await makeDemo(here));
    await printAddresses(preflight, here, options.pid === null);
    if (options.stays && options.pid !== null) await watch(options.pid, options.logPath, here.output);
    return isDemoFine ? EXIT.done : EXIT.warnings;
  } catch (error) {
    const failure = toFailure(error);
    describeFailure(here.output, failure);
    if (here.output.isJson) here.output.json(problemOf(failure));
    return EXIT.failed;
  }
}

async function waitUntilReady(options: UpOptions, { transport }: Surroundings): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  let why = 'it does not listen yet';
  while (performance.now() < deadline) {
    try {
      const { status, body } = await transport.send({ method: 'GET', path: '/readyz' });
      if (status === 200) return;
      why = body.toString('utf8').slice(0, 500);
    } catch (error) {
      if (!(error instanceof Failure) || error.exit !== EXIT.unreachable) throw error;
    }
    if (options.pid !== null && !(await isHyperd(options.pid)))
      throw await explainDeath(options.logPath, options.logStart);
    await delay(POLL_MS);
  }
  throw new Failure(`hyperd is not ready after ${READY_TIMEOUT_MS / 1000} s: ${why}`, {
    exit: EXIT.failed,
    code: 'not_ready',
    hint: `Its log is ${options.logPath}`,
  });
}

/** Of a daemon that ended before it was ready. */
async function explainDeath(logPath: string, logStart: number): Promise<Failure> {
  const words = (await lastWords(logPath, logStart)) ?? 'it said nothing';
  return hyperdEnded(`hyperd ended before it was ready: ${words}`, `Its log is ${logPath}`);
}

/** Of a daemon that ran. What it warned of was shown already. */
async function explainEnd(logPath: string, logStart: number): Promise<Failure> {
  const words = await lastWords(logPath, logStart);
  const hint = `\`hv up\` starts it again. Its log is ${logPath}`;
  return words === null
    ? hyperdEnded(
        'hyperd was killed: it ended without a word',
        `${hint}; \`dmesg\` tells whether the kernel did it for want of memory`,
      )
    : hyperdEnded(`hyperd ended: ${words}`, hint);
}

const hyperdEnded = (message: string, hint: string) =>
  new Failure(message, { exit: EXIT.failed, code: 'hyperd_ended', hint });

/** What a daemon that ended said of it; null when it said nothing. */
async function lastWords(logPath: string, logStart: number): Promise<string | null> {
  const lines = (await readFrom(logPath, logStart)).split('\n').filter(Boolean);
  const words = lines.map(messageOfLine).map((line) => line.trim());
  const telling = words.findLast((line) => /^hyperd: |error\b/i.test(line)) ?? words.at(-1);
  return telling?.replace(/^hyperd: /, '') ?? null;
}

/** What hyperd found when it checked the machine, which it does by itself at its start; null when that takes too long. */
async function readPreflight({ api, output }: Surroundings): Promise<Preflight | null> {
  const deadline = performance.now() + PREFLIGHT_TIMEOUT_MS;
  let wasSaid = false;
  while (performance.now() < deadline) {
    const preflight = await api('GET /preflight');
    if (preflight) return preflight;
    if (!wasSaid) output.message('Checking this machine: programs, libvirt, and whether a guest really runs under KVM');
    wasSaid = true;
    await delay(POLL_MS);
  }
  output.message(
    `The check of this machine takes longer than ${PREFLIGHT_TIMEOUT_MS / 1000} s; see \`hv preflight\` later`,
  );
  return null;
}

/** Makes the hello guest on an empty machine. False when that failed; the reason was said. */
async function makeDemo({ api, transport, output }: Surroundings): Promise<boolean> {
  try {
    const operation = await api('POST /system/demo');
    if (!operation) return true;
    const finished = await follow({ api, transport, output, isDetached: false, env: process.env }, operation);
    if (finished.state === 'done') return true;
    output.message(
      `${output.paintMessage('yellow', '▲')} The hello guest could not be made: ${safeText(finished.error?.detail ?? finished.state)}`,
    );
    if (finished.error?.hint) output.message(`  ${safeText(finished.error.hint)}`);
  } catch (error) {
    output.message(`${output.paintMessage('yellow', '▲')} The hello guest could not be made`);
    describeFailure(output, toFailure(error));
  }
  return false;
}

async function printAddresses(
  preflight: Preflight | null,
  { api, output }: Surroundings,
  ranBefore: boolean,
): Promise<void> {
  const status = await api('GET /system/status');
  const link = await api('POST /auth/links', { body: {} });
  const accel = status.accel === 'unknown' ? (preflight?.accel ?? 'unknown') : status.accel;
  if (output.isJson) {
    process.stdout.write(
      `${JSON.stringify({ url: status.address, login: link.url, version: status.version, accel, pid: status.pid })}\n`,
    );
    return;
  }
  for (const check of preflight?.checks ?? []) if (check.status !== 'ok') sayCheck(check, output);
  output.message(`${output.paintMessage('green', '●')} ${headline(status, accel, ranBefore)}`);
  const field = (name: string, value: string) => output.line(`  ${name.padEnd(12)}${safeText(value)}`);
  field('Dashboard', status.address);
  field('Sign in', link.url);
  field('', 'works once, for 5 minutes; another one: hv system link');
  field('Certificate', `SHA-256 ${link.fingerprint}`);
}

function headline(status: Status, accel: string, ranBefore: boolean): string {
  const speed = {
    kvm: 'guests run under KVM',
    tcg: 'guests are emulated (TCG): slow, but they work',
    none: 'no guest can run here',
    unknown: 'not known yet how guests run',
  };
  const word = accel === 'kvm' || accel === 'tcg' || accel === 'none' ? speed[accel] : speed.unknown;
  return `Hyper-NixOS ${status.version} ${ranBefore ? 'runs already' : 'runs'} (process ${status.pid}); ${word}`;
}

function sayCheck(check: Check, output: Output): void {
  const mark = { ok: '●', warn: '▲', fail: '■', unknown: '?' }[check.status];
  output.message(
    `${output.paintMessage(check.status === 'fail' ? 'red' : 'yellow', mark)} ${safeText(check.title)}: ${safeText(check.detail)}`,
  );
  if (check.hint) output.message(`  ${safeText(check.hint)}`);
}

/** Shows the daemon's warnings and errors until it ends. */
async function watch(pid: number, logPath: string, output: Output): Promise<void> {
  output.message(`  Ctrl-C stops hyperd, not the guests. Its log: ${logPath}`);
  let seen = await sizeOf(logPath);
  while (await isHyperd(pid)) {
    await delay(LOG_POLL_MS);
    const text = await readFrom(logPath, seen);
    const complete = text.slice(0, text.lastIndexOf('\n') + 1);
    seen += Buffer.byteLength(complete);
    for (const line of complete.split('\n'))
      if (levelOfLine(line) >= 40) output.message(`hyperd: ${safeText(messageOfLine(line))}`);
  }
  throw await explainEnd(logPath, seen);
}

/** One log line: JSON from the logger, or plain text from a crash. */
function parseLine(line: string): Readonly<Record<string, unknown>> | null {
  if (!line.startsWith('{')) return null;
  try {
    const parsed: unknown = JSON.parse(line);
    return typeof parsed === 'object' && parsed !== null ? { ...parsed } : null;
  } catch {
    return null; // a torn line at the end of the file is shown as the text it is
  }
}

function messageOfLine(line: string): string {
  const entry = parseLine(line);
  if (!entry) return line;
  const { err, error } = entry;
  const cause = [err, error].find((value) => typeof value === 'object' && value !== null);
  const reason = typeof cause === 'object' && cause !== null && 'message' in cause ? `: ${String(cause.message)}` : '';
  return `${String(entry['msg'] ?? line)}${reason}`;
}

function levelOfLine(line: string): number {
  const level = parseLine(line)?.['level'];
  if (typeof level === 'number') return level;
  return level === 'warn' ? 40 : level === 'error' || level === 'fatal' ? 50 : 30;
}

/** Looks that must agree, and how far apart: a process that is replacing itself has no command line for a moment. */
const LOOKS = 4;
const LOOK_AGAIN_MS = 150;

/** True while the process lives and is still hyperd: ids are used again, and a dead child may linger without a command line. */
async function isHyperd(pid: number): Promise<boolean> {
  for (let look = 1; ; look += 1) {
    try {
      if ((await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes('src/daemon/main.ts')) return true;
    } catch (error) {
      if (hasErrno(error, 'ENOENT', 'ESRCH')) return false;
      throw error;
    }
    if (look === LOOKS) return false;
    await delay(LOOK_AGAIN_MS);
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return 0;
    throw error;
  }
}

/** At most the last 256 KiB after `start`. */
async function readFrom(path: string, start: number): Promise<string> {
  const size = await sizeOf(path);
  const from = Math.max(start, size - 262_144);
  if (size <= from) return '';
  await using file = await open(path, 'r');
  const buffer = Buffer.alloc(size - from);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
  return buffer.subarray(0, bytesRead).toString('utf8');
}

const { values } = parseArgs({
  options: {
    log: { type: 'string', default: '/var/lib/hyper-nixos/hyperd.log' },
    'log-start': { type: 'string', default: '0' },
    pid: { type: 'string', default: '0' },
    demo: { type: 'string', default: 'yes' },
    json: { type: 'string', default: 'no' },
    stay: { type: 'string', default: 'no' },
  },
});
endWithBrokenOutput();
const transport = createTransport();
process.exitCode = await up(
  {
    logPath: values.log,
    logStart: Number(values['log-start']),
    pid: values.pid === '0' ? null : Number(values.pid),
    wantsDemo: values.demo === 'yes',
    stays: values.stay === 'yes',
  },
  { api: createClient(transport), transport, output: processOutput(values.json === 'yes') },
);
