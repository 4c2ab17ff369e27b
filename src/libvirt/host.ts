/** One libvirt host: its connections, their limits, reconnecting, and the state that the rest of the program sees.
 *  Separate connections keep one slow thing from stopping another: control, events, statistics, one per stream, one per long job. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { systemClock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import { type Logger, silentLogger } from '#kernel/logger.ts';
import { createAgentApi } from './api/agent.ts';
import { createBackupApi } from './api/backup.ts';
import type { Caller } from './api/caller.ts';
import { createDomainApi } from './api/domain.ts';
import { decodeEvent, type LibvirtEvent, registerEvents } from './api/events.ts';
import { createMigrateApi } from './api/migrate.ts';
import { createNetworkApi } from './api/network.ts';
import { createNodeApi } from './api/node.ts';
import { createNodeDeviceApi } from './api/nodedev.ts';
import { createProjectApi, type ProjectDomains } from './api/project.ts';
import { createSecretApi } from './api/secret.ts';
import { createSnapshotApi } from './api/snapshot.ts';
import { createStatsApi } from './api/stats.ts';
import { createStorageApi } from './api/storage.ts';
import { type CallOptions, Connection } from './connection.ts';
import { LibvirtError } from './errors.ts';
import { createGate } from './gate.ts';
import { type LibvirtIdentity, setIdentity } from './identity.ts';
import { createLane } from './lane.ts';
import { createProjectConnections, type FindAccount, type SecondFence } from './project-connections.ts';
import type { Procedure } from './table.ts';
import { connectTransport, type TransportOptions } from './transport/connect.ts';
import { parseLibvirtUri } from './uri.ts';

export interface LibvirtHostOptions extends TransportOptions {
  /** See `parseLibvirtUri`. */
  readonly uri: string;
  /** Overrides the socket of a local URI. */
  readonly socketPath?: string;
  /** Finds users of this machine, for the second fence; without it projects have none. */
  readonly findAccount?: FindAccount;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Share of jitter in the back-off, 0 to 1; a port for tests. */
  readonly random?: () => number;
}

export interface LibvirtHostState {
  readonly status: 'connecting' | 'connected' | 'disconnected';
  readonly since: Date;
  /** Why it is disconnected. */
  readonly error: LibvirtError | null;
}

const MAX_CONNECTIONS = 64;
const MAX_ABANDONED_CALLS = 3;
// Connections that may wait for overdue answers: one stuck QEMU holds one call, several stuck at different times hold one each.
const MAX_LOST_MONITOR = 3;
const MAX_LOST_PLAIN = 2;
const MAX_LOST_GUESTS = 2;
const BACKOFF_FIRST_MS = 500;
const BACKOFF_LAST_MS = 30_000;
const OPEN_DEADLINE_MS = 10_000;
const STATS_DEADLINE_MS = 5_000;
const AGENT_DEADLINE_MS = 7_000;

export type LibvirtHost = ReturnType<typeof createLibvirtHost>;

/** Does nothing until `start`. Calls while it is not connected fail at once with libvirt_unavailable. */
export function createLibvirtHost(options: LibvirtHostOptions) {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? silentLogger;
  const random = options.random ?? Math.random;
  const isReadOnly = options.isReadOnly ?? false;
  const target = parseLibvirtUri(options.uri, {
    isReadOnly,
    ...(options.socketPath === undefined ? {} : { socketPath: options.socketPath }),
  });

  let state: LibvirtHostState = { status: 'connecting', since: clock.now(), error: null };
  const stateListeners = new Set<(state: LibvirtHostState) => void>();
  const eventListeners = new Set<(event: LibvirtEvent) => void>();
  const open = new Set<Connection>();
  const gate = createGate({ running: 4, priorityExtra: 1, waiting: 50 });
  let control: Connection | null = null;
  let controlLost: ((error: LibvirtError) => void) | null = null;
  let run: { readonly stop: AbortController; readonly done: Promise<void> } | null = null;

  function setState(status: LibvirtHostState['status'], error: LibvirtError | null): void {
    if (state.status === status && state.error === error) return;
    state = { status, since: state.status === status ? state.since : clock.now(), error };
    for (const listener of [...stateListeners]) notify(() => listener(state));
  }

  function notify(act: () => void): void {
    try {
      act();
    } catch (error) {
      // A listener's failure is its own; the connection to libvirt goes on.
      log.error({ err: error }, 'a listener of the libvirt host failed');
    }
  }

  async function connect(signal?: AbortSignal): Promise<Connection> {
    if (open.size >= MAX_CONNECTIONS) {
      throw new LibvirtError('busy', {
        procedure: 'connect',
        detail: `All ${MAX_CONNECTIONS} connections to ${target.label} are in use.`,
      });
    }
    const timeout = new AbortController();
    const timer = setTimeout(
      () => timeout.abort(new Error(`no connection within ${OPEN_DEADLINE_MS} ms`)),
      OPEN_DEADLINE_MS,
    );
    const anySignal = signal ? AbortSignal.any([timeout.signal, signal]) : timeout.signal;
    try {
      const transport = await connectTransport(target, options, { signal: anySignal });
      const connection = await Connection.open(transport, {
        uri: target.openUri,
        isReadOnly,
        clock,
        log,
        openDeadlineMs: OPEN_DEADLINE_MS,
        signal: anySignal,
      });
      open.add(connection);
      connection.onClose(() => open.delete(connection));
      return connection;
    } catch (error) {
      if (error instanceof LibvirtError) throw error;
      throw new LibvirtError('libvirt_unavailable', { procedure: 'connect', cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** A usable pair of connections; resolves when one of the two is lost. */
  async function session(signal: AbortSignal, connected: () => void): Promise<LibvirtError> {
    const opened = await connectPair(signal);
    try {
      const lost = new Promise<LibvirtError>((resolve) => {
        controlLost = resolve;
        opened.events.onClose(resolve);
        signal.addEventListener('abort', () => resolve(new LibvirtError('cancelled', { procedure: 'connect' })), {
          once: true,
        });
      });
      opened.events.onEvent((number, payload) => {
        const event = decodeEvent(number, payload);
        if (event) for (const listener of [...eventListeners]) notify(() => listener(event));
      });
      await registerEvents(opened.events, log);
      adoptControl(opened.control);
      const lostEarly = opened.control.lostBecause ?? opened.events.lostBecause;
      if (lostEarly) return lostEarly;
      connected();
      return await lost;
    } finally {
      const last = control;
      control = null;
      controlLost = null;
      const lanes = [monitorLane, plainLane, guestLane].map((lane) => lane.close());
      await Promise.all([opened.events.close(), opened.control.close(), last?.close(), ...lanes]);
    }
  }

  async function connectPair(signal: AbortSignal): Promise<{ control: Connection; events: Connection }> {
    const first = await connect(signal);
    try {
      return { control: first, events: await connect(signal) };
    } catch (error) {
      first.destroy();
      throw error;
    }
  }

  async function keepConnected(signal: AbortSignal, attempted: () => void): Promise<void> {
    let backoffMs = BACKOFF_FIRST_MS;
    while (!signal.aborted) {
      let failure: LibvirtError;
      try {
        failure = await session(signal, () => {
          backoffMs = BACKOFF_FIRST_MS;
          setState('connected', null);
          attempted();
        });
      } catch (error) {
        failure =
          error instanceof LibvirtError
            ? error
            : new LibvirtError('libvirt_unavailable', { procedure: 'connect', cause: error });
      }
      if (signal.aborted) return;
      log.warn({ host: target.label, reason: messageOf(failure.cause ?? failure) }, 'no connection to libvirt');
      setState('disconnected', failure);
      attempted();
      await nap(clock, backoffMs * (0.75 + random() / 2), signal); // stopped while waiting
      backoffMs = Math.min(backoffMs * 2, BACKOFF_LAST_MS);
    }
  }

  function adoptControl(connection: Connection): void {
    control = connection;
    connection.onClose((error) => {
      if (control === connection) controlLost?.(error);
    });
  }

  function controlConnection(procedure: string): Connection {
    if (control && !control.lostBecause) return control;
    throw new LibvirtError('libvirt_unavailable', { procedure, cause: state.error?.cause });
  }

  /** After three calls without an answer the connection's workers may all hang: go on with a fresh one. */
  function replaceControl(worn: Connection): void {
    if (control !== worn) return;
    log.warn(
      { host: target.label, abandoned: worn.abandonedCalls },
      'libvirt left calls unanswered; the control connection is replaced',
    );
    connect().then(
      (fresh) => {
        if (control !== worn) {
          void fresh.close();
          return;
        }
        adoptControl(fresh);
        // The worn one stays open for the answers that may still come, until the session ends.
      },
      (error: unknown) => log.warn({ err: error }, 'no fresh control connection'),
    );
  }

  async function callOnControl<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    call: CallOptions = {},
  ): Promise<Result> {
    return gate.pass(procedure, call, async () => {
      const connection = controlConnection(procedure.name);
      try {
        return await connection.call(procedure, args, call);
      } finally {
        if (connection.abandonedCalls >= MAX_ABANDONED_CALLS) replaceControl(connection);
      }
    });
  }

  const lane = (maxLost: number, deadlineMs: number, busyDetail: string) =>
    createLane({
      maxLost,
      deadlineMs,
      busyDetail,
      connect(procedure) {
        controlConnection(procedure);
        return connect();
      },
    });
  const monitorLane = lane(
    MAX_LOST_MONITOR,
    STATS_DEADLINE_MS,
    'The monitor of a VM hangs; its statistics wait until libvirt answers again.',
  );
  const plainLane = lane(MAX_LOST_PLAIN, STATS_DEADLINE_MS, 'libvirt does not answer; statistics wait until it does.');
  const guestLane = lane(
    MAX_LOST_GUESTS,
    AGENT_DEADLINE_MS,
    'Guest agents hang; they are asked again when libvirt answers.',
  );

  async function onOwnConnection<Result>(
    signal: AbortSignal | undefined,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    controlConnection('connect');
    const connection = await connect(signal);
    try {
      return await work(connection);
    } finally {
      await connection.close();
    }
  }

  const caller: Caller = {
    call: callOnControl,
    callForStats: plainLane.call,
    callForMonitorStats: monitorLane.call,
    callForGuests: guestLane.call,
    callLong: (procedure, args, call) =>
      onOwnConnection(call.signal, (connection) => connection.call(procedure, args, call)),
    async openStream(procedure, args, call = {}) {
      controlConnection(procedure.name);
      const connection = await connect(call.signal);
      try {
        const opened = await connection.openStream(procedure, args, call);
        opened.stream.once('close', () => void connection.close());
        return opened;
      } catch (error) {
        await connection.close();
        throw error;
      }
    },
  };

  const projects = createProjectConnections({
    connect: (signal) => {
      controlConnection('connect');
      return connect(signal);
    },
    findAccount: target.transport.kind === 'unix' ? (options.findAccount ?? null) : null,
    clock,
    log,
  });

  return {
    uri: target.label,
    /** The present state; see `onStateChange`. */
    get state(): LibvirtHostState {
      return state;
    },
    /** Connections open now. */
    get openConnections(): number {
      return open.size;
    },
    /** Resolves after the first attempt, whether it succeeded or not (see `state`); goes on reconnecting until `stop`. */
    async start(signal?: AbortSignal): Promise<void> {
      if (run) return;
      const stop = new AbortController();
      signal?.addEventListener('abort', () => stop.abort(), { once: true });
      if (signal?.aborted) return;
      setState('connecting', null);
      await new Promise<void>((resolve) => {
        run = { stop, done: keepConnected(stop.signal, resolve).finally(resolve) };
      });
    },
    /** Closes every connection. Pending calls fail. */
    async stop(): Promise<void> {
      const running = run;
      if (!running) return;
      run = null;
      running.stop.abort();
      await running.done;
      await projects.close();
      await Promise.all([...open].map((connection) => connection.close()));
      setState('disconnected', null);
    },
    /** Called at each change. After 'connected' re-list everything: events are not replayed. @returns the function that ends it */
    onStateChange(listener: (state: LibvirtHostState) => void): () => void {
      stateListeners.add(listener);
      return () => stateListeners.delete(listener);
    },
    /** Events are hints: they can come before the reply of the call that caused them. @returns the function that ends it */
    onEvent(listener: (event: LibvirtEvent) => void): () => void {
      eventListeners.add(listener);
      return () => eventListeners.delete(listener);
    },
    /** Runs `work` with a caller that libvirt takes for `identity`; its connection is closed afterwards, never shared. */
    asIdentity<Result>(
      identity: LibvirtIdentity,
      work: (domains: ReturnType<typeof createDomainApi>) => Promise<Result>,
    ): Promise<Result> {
      return onOwnConnection(undefined, async (connection) => {
        await setIdentity(connection, identity);
        const only: Caller = {
          call: (procedure, args, call) => connection.call(procedure, args, call),
          callForStats: (procedure, args, call) => connection.call(procedure, args, call),
          callForMonitorStats: (procedure, args, call) => connection.call(procedure, args, call),
          callForGuests: (procedure, args, call) => connection.call(procedure, args, call),
          callLong: (procedure, args, call) => connection.call(procedure, args, call),
          openStream: (procedure, args, call) => connection.openStream(procedure, args, call),
        };
        return work(createDomainApi(only));
      });
    },
    /** The verbs that go through the second fence, under the user of project `number`, or plainly where there is none (`secondFence`). */
    asProject(number: number): ProjectDomains {
      return createProjectApi(number, projects, caller);
    },
    /** By which user libvirt judges the calls of project `number`, or why it does not. @throws LibvirtError when libvirt does not answer */
    secondFence(number: number): Promise<SecondFence> {
      return projects.fenceOf(number);
    },
    domains: { ...createDomainApi(caller), ...createStatsApi(caller) },
    ...createStorageApi(caller),
    ...createNetworkApi(caller),
    nodeDevices: createNodeDeviceApi(caller),
    secrets: createSecretApi(caller),
    ...createSnapshotApi(caller),
    ...createBackupApi(caller),
    migrate: createMigrateApi(caller),
    agent: createAgentApi(caller),
    node: createNodeApi(caller),
  };
}
