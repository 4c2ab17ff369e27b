/** Start and stop of hyperd: settings come from the configuration file and HV_* variables, signals end it. */

import { messageOf } from '#kernel/errors.ts';
import { ConfigError, loadConfig } from '#platform/config.ts';
import { giveBackMemory } from '#platform/memory.ts';
import { createRecentLines } from '#platform/recent-lines.ts';
import { startDaemon } from './daemon.ts';
import { createLogger } from './logging.ts';

const STOP_LIMIT_MS = 25_000;
/** By then the first readings and the first run of all health checks, half a minute after the start, are over: they bring most of what is
 *  not needed again (measured with 200 VMs: 133 MiB before, 126 after; given back ten seconds after the start it stays at 130). */
const SETTLED_MS = 60_000;

async function start(): Promise<void> {
  const config = await loadConfig(process.env);
  const recent = createRecentLines();
  const log = createLogger(config.log.level, recent);
  process.on('unhandledRejection', (reason) => {
    // Half-dead is worse than dead: the supervisor starts a fresh process, and the journal resumes what ran.
    log.error({ err: reason }, `unhandled rejection: ${messageOf(reason)}`);
    process.exit(70);
  });
  let isStopping = false;
  const daemon = await startDaemon({
    config,
    log,
    recentLog: recent.all,
    env: process.env,
    restart: () => stop('restart', beginAnew),
  });
  setTimeout(giveBackMemory, SETTLED_MS).unref();

  function stop(signal: string, afterwards: () => void = () => process.exit(0)) {
    if (isStopping) return;
    isStopping = true;
    log.info({ signal }, 'stopping');
    setTimeout(() => {
      log.error({}, 'did not stop in time');
      process.exit(1);
    }, STOP_LIMIT_MS).unref();
    daemon.stop().then(afterwards, (error: unknown) => {
      log.error({ err: error }, `stopping failed: ${messageOf(error)}`);
      process.exit(1);
    });
  }
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

/** Replaces this process by a fresh one with the same id, as whoever watches over it knows it. */
function beginAnew(): void {
  const { execPath, execArgv, argv } = process;
  process.execve?.(execPath, [execPath, ...execArgv, ...argv.slice(1)], process.env);
}

/** Runs the daemon until a signal. Resolves when it is ready; ends the process with a line for the terminal when it does not get there. */
export async function runHyperd(): Promise<void> {
  try {
    await start();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(`hyperd: ${text}\n`);
    if (!(error instanceof ConfigError) && error instanceof Error && process.env['HV_DEBUG'])
      process.stderr.write(`${error.stack ?? ''}\n`);
    process.exit(1);
  }
}
