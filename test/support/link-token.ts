/** The secret of a fresh one-time link, as the dashboard reads it from its address. */

import type { TestDaemon } from './daemon.ts';

export async function linkToken(daemon: Pick<TestDaemon, 'admin'>, user = 'admin'): Promise<string> {
  const { url } = await daemon.admin('POST /auth/links', { body: { user } });
  return url.slice(url.indexOf('#') + 1);
}
