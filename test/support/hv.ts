/** Runs the real `hv` as its own process, against a daemon or against nobody. */

import { type RunResult, runHv } from '#cli/fake-daemon.ts';
import type { TestDaemon } from './daemon.ts';

export const hvOn = (daemon: TestDaemon, args: readonly string[]): Promise<RunResult> => runHv(daemon.runtimeDir, args);

/** There is no daemon where it looks. */
export const hvOffline = (args: readonly string[]): Promise<RunResult> => runHv('/nonexistent', args);
