/** Tells systemd that the service is ready, stopping or alive. Does nothing when systemd did not start us.
 *  Node has no datagram Unix sockets, so `systemd-notify` carries the message (the unit needs NotifyAccess=all). */

import { run } from './process.ts';

export interface ServiceNotifier {
  ready(): Promise<void>;
  stopping(): Promise<void>;
  alive(): Promise<void>;
  /** How often `alive` must be called, or null when systemd does not watch. */
  readonly watchdogMs: number | null;
}

export function createServiceNotifier(env: Readonly<Record<string, string | undefined>>): ServiceNotifier {
  const socket = env['NOTIFY_SOCKET'];
  const send = async (state: string) => {
    if (socket)
      await run(['systemd-notify', `--pid=${process.pid}`, state], {
        timeoutMs: 5000,
        env: { NOTIFY_SOCKET: socket, PATH: env['PATH'] ?? '/usr/bin:/run/current-system/sw/bin' },
      });
  };
  const microseconds = Number(env['WATCHDOG_USEC'] ?? 'NaN');
  return {
    ready: () => send('READY=1'),
    stopping: () => send('STOPPING=1'),
    alive: () => send('WATCHDOG=1'),
    // Half the limit, so that one late beat is not taken for death.
    watchdogMs: socket && Number.isFinite(microseconds) ? microseconds / 2000 : null,
  };
}
