/** What a command gets to work with. */

import type { ApiClient } from '#contract/client.ts';
import type { Output } from './output.ts';
import type { Transport } from './transport.ts';

export interface CommandContext {
  readonly api: ApiClient;
  readonly transport: Transport;
  readonly output: Output;
  /** `--detach` was given. */
  readonly isDetached: boolean;
  readonly env: NodeJS.ProcessEnv;
}
