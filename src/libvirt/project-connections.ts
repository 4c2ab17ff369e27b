/** Connections that libvirt takes for a project's own user, `hv-p<k>`: what goes over them is judged by the host's access rules as well,
 *  so that a mistake in our policy cannot start or stop another project's VM. Such a connection cannot switch back, so each project has
 *  one; few are kept, and none that nobody uses. Where the host cannot bind an identity the reason is told and nothing is promised. */

import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Connection } from './connection.ts';
import { isBound, type LibvirtIdentity, setIdentity } from './identity.ts';

/** Why a project has no second fence. `default_project`: its VMs carry no prefix that rules could go by. */
export const FENCE_GAPS = ['default_project', 'remote_host', 'no_account', 'no_access_driver'] as const;
export type FenceGap = (typeof FENCE_GAPS)[number];

/** The user that libvirt judges a project's calls by, or why there is none. */
export type SecondFence =
  | { readonly kind: 'account'; readonly account: string }
  | { readonly kind: 'none'; readonly reason: FenceGap };

/** Finds a user of the host by name; null when there is none. */
export type FindAccount = (name: string) => Promise<{ readonly uid: number; readonly gid: number } | null>;

interface Kept {
  readonly connection: Connection;
  readonly account: string;
  uses: number;
  isWorn: boolean;
  /** Ends the wait for idleness. */
  idle: AbortController | null;
}

interface ProjectConnectionsOptions {
  connect(signal?: AbortSignal): Promise<Connection>;
  /** Absent: the host is elsewhere, its users are not ours. */
  readonly findAccount: FindAccount | null;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ProjectConnections {
  /** The project's shared connection for the time of `work`; null instead of it when the project has no second fence. */
  use<Result>(project: number, work: (connection: Connection | null) => Promise<Result>): Promise<Result>;
  /** A connection for one use that the caller closes; null when the project has no second fence. */
  open(project: number, signal?: AbortSignal): Promise<Connection | null>;
  /** Asks libvirt when it is not known. @throws LibvirtError when libvirt does not answer */
  fenceOf(project: number): Promise<SecondFence>;
  /** Connections kept now. */
  readonly size: number;
  close(): Promise<void>;
}

export const MAX_KEPT = 16;
export const IDLE_MS = 60_000;
/** How long a gap is believed: an administrator who closes it should not have to restart us. */
export const GAP_MS = 30_000;
const MAX_ABANDONED_CALLS = 3;

/** The user of a project on its host. */
export const projectAccount = (project: number): string => `hv-p${project}`;

export function createProjectConnections(options: ProjectConnectionsOptions): ProjectConnections {
  const { connect, findAccount, clock, log } = options;
  // In the order of last use.
  const kept = new Map<number, Kept>();
  const opening = new Map<number, Promise<Kept | FenceGap>>();
  const gaps = new Map<number, { readonly reason: FenceGap; readonly untilMs: number }>();

  async function identityOf(project: number): Promise<LibvirtIdentity | FenceGap> {
    if (project <= 0) return 'default_project';
    if (findAccount === null) return 'remote_host';
    const userName = projectAccount(project);
    const account = await findAccount(userName);
    return account === null
      ? 'no_account'
      : { userName, userId: account.uid, groupName: userName, groupId: account.gid };
  }

  async function openAs(project: number, signal?: AbortSignal): Promise<Connection | FenceGap> {
    const gap = gaps.get(project);
    if (gap && gap.untilMs > clock.monotonicMs()) return gap.reason;
    const identity = await identityOf(project);
    if (typeof identity === 'string') return remember(project, identity);
    const connection = await connect(signal);
    const call = signal === undefined ? {} : { signal };
    try {
      await setIdentity(connection, identity, call);
      if (await isBound(connection, identity, call)) {
        gaps.delete(project);
        return connection;
      }
    } catch (error) {
      await connection.close();
      throw error;
    }
    await connection.close();
    return remember(project, 'no_access_driver');
  }

  function remember(project: number, reason: FenceGap): FenceGap {
    if (gaps.get(project)?.reason !== reason && project > 0)
      log.warn({ project, reason }, 'the project has no second fence');
    gaps.set(project, { reason, untilMs: clock.monotonicMs() + GAP_MS });
    return reason;
  }

  async function keptFor(project: number): Promise<Kept | FenceGap> {
    const found = kept.get(project);
    if (found && !found.connection.lostBecause && !found.isWorn) return found;
    const begun = opening.get(project);
    if (begun) return begun;
    const fresh = openAs(project)
      .then((connection) => (typeof connection === 'string' ? connection : keep(project, connection)))
      .finally(() => opening.delete(project));
    opening.set(project, fresh);
    return fresh;
  }

  function keep(project: number, connection: Connection): Kept {
    const entry: Kept = { connection, account: projectAccount(project), uses: 0, isWorn: false, idle: null };
    kept.set(project, entry);
    connection.onClose(() => forget(project, entry));
    makeRoom(project);
    return entry;
  }

  function forget(project: number, entry: Kept): void {
    entry.idle?.abort();
    if (kept.get(project) === entry) kept.delete(project);
  }

  function makeRoom(newest: number): void {
    for (const [project, entry] of kept) {
      if (kept.size <= MAX_KEPT) return;
      if (entry.uses > 0 || project === newest) continue;
      drop(project, entry);
    }
  }

  function drop(project: number, entry: Kept): void {
    forget(project, entry);
    void entry.connection.close();
  }

  function begin(project: number, entry: Kept): void {
    entry.uses += 1;
    entry.idle?.abort();
    entry.idle = null;
    if (kept.get(project) !== entry) return;
    kept.delete(project);
    kept.set(project, entry);
  }

  function end(project: number, entry: Kept): void {
    entry.uses -= 1;
    if (entry.connection.abandonedCalls >= MAX_ABANDONED_CALLS) {
      // Its workers may all hang: the next call gets another, this one stays for the answers that may still come.
      entry.isWorn = true;
      if (kept.get(project) === entry) kept.delete(project);
      void entry.connection.caughtUp().then(() => entry.connection.close());
      return;
    }
    if (entry.uses > 0 || entry.connection.lostBecause) return;
    const idle = new AbortController();
    entry.idle = idle;
    clock.sleep(IDLE_MS, idle.signal).then(
      () => drop(project, entry),
      () => undefined, // used again, or closed
    );
    makeRoom(project);
  }

  return {
    async use(project, work) {
      const entry = await keptFor(project);
      if (typeof entry === 'string') return work(null);
      begin(project, entry);
      try {
        return await work(entry.connection);
      } finally {
        end(project, entry);
      }
    },
    async open(project, signal) {
      const opened = await openAs(project, signal);
      return typeof opened === 'string' ? null : opened;
    },
    async fenceOf(project) {
      const entry = await keptFor(project);
      if (typeof entry === 'string') return { kind: 'none', reason: entry };
      begin(project, entry);
      end(project, entry);
      return { kind: 'account', account: entry.account };
    },
    get size() {
      return kept.size;
    },
    async close() {
      const connections = [...kept.values()];
      for (const [project, entry] of [...kept]) forget(project, entry);
      await Promise.all(
        connections.map(({ connection }) =>
          connection
            .close()
            .catch((error: unknown) => log.warn({ reason: messageOf(error) }, 'a connection did not close')),
        ),
      );
    },
  };
}
