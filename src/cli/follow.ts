/** Long work: begins operations, follows them to their end, prints results. Ctrl-C leaves them running and says how to go on. */

import type { Operation } from '#contract/operations.ts';
import type { CommandContext } from './context.ts';
import { EXIT, type ExitCode, exitOfCode } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { describeFailure } from './problems.ts';
import { amountOf, createProgress } from './progress.ts';
import { safeText } from './text.ts';
import { pause } from './time.ts';

/** How long a follower waits for a daemon that restarts. */
const PATIENCE_MS = 60_000;

/** True when an operation does not go on by itself. */
export function isSettled(operation: Operation): boolean {
  return (
    operation.state === 'done' ||
    operation.state === 'failed' ||
    operation.state === 'cancelled' ||
    operation.state === 'attention'
  );
}

/** What to print for a finished operation: its result, with the operation beside it. */
export function resultOf(operation: Operation): unknown {
  const { result, ...rest } = operation;
  if (operation.state !== 'done' || result === null || result === undefined) return operation;
  return typeof result === 'object' && !Array.isArray(result)
    ? { ...result, operation: rest }
    : { result, operation: rest };
}

interface Ending {
  readonly exit: ExitCode;
  readonly json: unknown;
}

/** Follows one operation, or with `--detach` only prints it, and prints its result.
 *  @param sayDone text for people when it is done; the operation's title unless given */
export async function finish(
  context: CommandContext,
  operation: Operation,
  sayDone?: (finished: Operation) => string | Promise<string>,
): Promise<ExitCode> {
  const ending = await settle(context, operation, sayDone);
  if (context.output.isJson) context.output.json(ending.json);
  return ending.exit;
}

/** Does the same to several objects: begins all, follows all. A failure of one does not keep the others from running.
 *  The exit code is that of the first failure. With `--json`, one name prints an object and several print an array. */
export async function finishEach(
  context: CommandContext,
  names: readonly string[],
  begin: (name: string) => Promise<Operation>,
): Promise<ExitCode> {
  const begun: (Operation | Failure)[] = [];
  for (const name of names) {
    try {
      begun.push(await begin(name));
    } catch (error) {
      if (names.length === 1 || !(error instanceof Failure) || error.exit === EXIT.unreachable) throw error;
      describeFailure(context.output, error);
      begun.push(error);
    }
  }
  const endings: Ending[] = [];
  for (const [index, each] of begun.entries()) {
    if (each instanceof Failure) {
      endings.push({ exit: each.exit, json: each.problem ?? { code: each.code, detail: each.message } });
      continue;
    }
    try {
      endings.push(await settle(context, each));
    } catch (error) {
      for (const other of begun.slice(index + 1))
        if (!(other instanceof Failure)) context.output.message(howToGoOn(other));
      throw error;
    }
  }
  if (context.output.isJson)
    context.output.json(names.length === 1 ? endings[0]?.json : endings.map(({ json }) => json));
  return endings.find(({ exit }) => exit !== EXIT.done)?.exit ?? EXIT.done;
}

async function settle(
  context: CommandContext,
  operation: Operation,
  sayDone?: (finished: Operation) => string | Promise<string>,
): Promise<Ending> {
  const { output } = context;
  if (context.isDetached) {
    output.message(
      `${safeText(operation.title)}: begun as ${operation.id}. Follow it with \`hv op follow ${operation.id}\`.`,
    );
    if (!output.isJson) output.line(operation.id);
    return { exit: EXIT.done, json: operation };
  }
  const finished = await follow(context, operation);
  if (finished.state === 'done') {
    output.message(
      `${output.paintMessage('green', '●')} ${sayDone ? await sayDone(finished) : `${safeText(finished.title)}: done`}`,
    );
    return { exit: EXIT.done, json: resultOf(finished) };
  }
  describeEnd(context, finished);
  return {
    exit: finished.error && finished.state === 'failed' ? exitOfCode(finished.error.code) : EXIT.failed,
    json: finished,
  };
}

/** Waits until an operation is settled, showing how far it is. A restart of the daemon is waited for.
 *  @throws Failure with exit 130 on Ctrl-C: the operation goes on */
export async function follow(context: CommandContext, operation: Operation): Promise<Operation> {
  const progress = createProgress(context.output);
  const controller = new AbortController();
  const onInterrupt = () => controller.abort();
  process.once('SIGINT', onInterrupt);
  let latest = operation;
  let wasSaid = false;
  try {
    let reachedMs = performance.now();
    while (!isSettled(latest)) {
      progress.update(amountOf(latest));
      try {
        latest = await context.api('GET /operations/{id}', {
          params: { id: operation.id },
          query: { waitSeconds: 1 },
          signal: controller.signal,
        });
        reachedMs = performance.now();
      } catch (error) {
        const isGone = error instanceof Failure && error.exit === EXIT.unreachable;
        if (!isGone || controller.signal.aborted) throw error;
        if (performance.now() - reachedMs > PATIENCE_MS) throw lost(error, operation);
        if (!wasSaid) progress.say(howToGoOn(operation));
        wasSaid = true;
        progress.update({
          ...amountOf(latest),
          title: `${safeText(latest.title)} · hyperd does not answer, trying again`,
        });
        await pause(1000, controller.signal);
      }
    }
    return latest;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    throw new Failure(`you left; ${safeText(operation.title)} goes on as ${operation.id}`, {
      exit: EXIT.interrupted,
      code: 'interrupted',
      params: { operationId: operation.id },
      hint: `\`hv op follow ${operation.id}\` follows it, \`hv op cancel ${operation.id}\` stops it.`,
    });
  } finally {
    process.off('SIGINT', onInterrupt);
    progress.end();
  }
}

function howToGoOn({ id, title }: Operation): string {
  return `${safeText(title)} is journalled as ${id} and goes on while hyperd runs: \`hv op follow ${id}\``;
}

/** The daemon was away too long to be waited for. */
function lost(error: Failure, { id, title }: Operation): Failure {
  return new Failure(`${error.message}; it is not known how ${title} (${id}) ended`, {
    exit: error.exit,
    code: error.code,
    hint: `When hyperd runs again (\`hv up\`) it goes on: \`hv op follow ${id}\`.`,
    params: { operationId: id },
  });
}

function describeEnd(context: CommandContext, operation: Operation): void {
  const { output } = context;
  const failed = operation.steps.find(({ state }) => state === 'failed');
  const where = failed ? ` at "${safeText(failed.title)}"` : '';
  if (operation.state === 'cancelled') {
    output.message(`${output.paintMessage('yellow', '○')} ${safeText(operation.title)}: cancelled`);
    return;
  }
  const what = operation.state === 'attention' ? 'needs you' : 'failed';
  output.message(
    `${output.paintMessage('red', '■')} ${safeText(operation.title)} ${what}${where}: ${safeText(operation.error?.detail ?? operation.error?.title ?? 'no reason was recorded')}`,
  );
  output.message(`  ${safeText(operation.error?.hint || `hv op show ${operation.id}`)}`);
}
