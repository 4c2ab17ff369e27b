/** The composition root: opens the state, wires libvirt, features and the three doors, and takes them down again. */

import { randomBytes, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { metricsDoor } from '#contract/config.ts';
import type { ApiEvents } from '#contract/events.ts';
import { HOST_GROUPS, HYPER_USER } from '#contract/fence.ts';
import { access } from '#features/access/index.ts';
import { audit } from '#features/audit/index.ts';
import { exports } from '#features/exports/index.ts';
import { imageObject } from '#features/images/index.ts';
import { inventory } from '#features/inventory/index.ts';
import { networkObject } from '#features/networks/index.ts';
import { projects } from '#features/projects/index.ts';
import { poolObject } from '#features/storage/index.ts';
import { systemClock } from '#kernel/clock.ts';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import { createLibvirtHost } from '#libvirt/index.ts';
import { findAccount, findGroup } from '#platform/accounts.ts';
import { calendarMigrations, createCalendar } from '#platform/calendar.ts';
import type { Config } from '#platform/config.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createSpaceLedger } from '#platform/disk-space.ts';
import type { Handlers } from '#platform/feature.ts';
import { lockStateFolder } from '#platform/instance-lock.ts';
import { prepareStateFolders } from '#platform/state-folders.ts';
import { finishSwap } from '#platform/state-swap.ts';
import { createServiceNotifier } from '#platform/systemd.ts';
import type { ServerCertificate } from '#platform/tls/pair.ts';
import { keepCertificate } from '#platform/tls/renewal.ts';
import { certificateSource } from '#platform/tls/source.ts';
import { VERSION } from '#platform/version.ts';
import { apiDocument } from './api-document.ts';
import { compose } from './compose.ts';
import { eventTopics } from './event-topics.ts';
import { features } from './features.ts';
import { createEventStream } from './http/event-stream.ts';
import { type Door, localDoor, networkDoor } from './http/listener.ts';
import { createOpenLimit } from './http/open-limit.ts';
import { createRoutes } from './http/pipeline.ts';
import { createRedirect, secureOriginOf } from './http/redirect.ts';
import { createServer, useCertificate } from './http/server.ts';
import { processMetrics } from './process-metrics.ts';
import { allowedHosts, certificateNames, parseListen, publicOrigin } from './public-names.ts';

const WEB_FOLDER = fileURLToPath(new URL('../web/dist', import.meta.url));

export interface Daemon {
  stop(): Promise<void>;
}

/** Who may use a door on this machine besides the owner: the group, once hyperd runs as its own user (`hv system access-setup`). */
async function doorGroup(name: string): Promise<number | null> {
  return userInfo().username === HYPER_USER ? findGroup(name) : null;
}

async function listenOnSocket(app: FastifyInstance, path: string, group: number | null): Promise<void> {
  await rm(path, { force: true });
  const mask = process.umask(0o177);
  try {
    await app.listen({ path });
  } finally {
    process.umask(mask);
  }
  if (group !== null) await chown(path, -1, group);
  await chmod(path, group === null ? 0o600 : 0o660);
}

async function listenOnNetwork(app: FastifyInstance, listen: { host: string; port: number }): Promise<number> {
  try {
    await app.listen(listen);
  } catch (error) {
    if (hasErrno(error, 'EADDRINUSE'))
      throw new Error(
        `Port ${listen.port} on ${listen.host} is taken by another program. Choose another: ./hv up --listen ${listen.host}:${listen.port + 1}`,
        { cause: error },
      );
    if (hasErrno(error, 'EADDRNOTAVAIL'))
      throw new Error(
        `This machine has no address ${listen.host}. Choose one of its own: ./hv up --listen 127.0.0.1:${listen.port}`,
        { cause: error },
      );
    if (hasErrno(error, 'EACCES'))
      throw new Error(
        `Port ${listen.port} needs more rights. Choose one from 1024 on: ./hv up --listen ${listen.host}:8080`,
        { cause: error },
      );
    throw error;
  }
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : listen.port;
}

/** Brings everything up; resolves when the doors are open. @throws Error with a message for the terminal */
export async function startDaemon({
  config,
  log,
  recentLog,
  env,
  restart,
}: {
  config: Config;
  log: Logger;
  recentLog: () => readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  restart: () => void;
}): Promise<Daemon> {
  const startedAt = new Date();
  const notifier = createServiceNotifier(env);
  await prepareStateFolders(config.state);
  await mkdir(config.runtimeDir, { recursive: true, mode: 0o755 });
  const unlock = lockStateFolder(config.state.root);
  await finishSwap(config.state.root, config.killPoint);
  const db = openDatabase(join(config.state.root, 'state.db'));
  const listen = parseListen(config.listen);
  const names = certificateNames(listen, config.publicNames);
  const lifetime = new AbortController();
  const allowed = new Set<string>();
  const redirect = createRedirect((host) => secureOriginOf(host, port, allowed, address().origin));
  const certificates = await certificateSource({
    config,
    names,
    clock: systemClock,
    log: log.child({ part: 'tls' }),
    showProof: redirect.showProof,
    signal: lifetime.signal,
  });
  let tls = await certificates.first(startedAt);
  const events = createEventBus<ApiEvents>((error, name) =>
    log.error({ err: error, event: name }, `a listener failed: ${messageOf(error)}`),
  );
  const libvirt = createLibvirtHost({
    uri: config.libvirtUri,
    findAccount,
    clock: systemClock,
    log: log.child({ part: 'libvirt' }),
  });
  let port = listen.port;
  const address = () => ({
    origin: publicOrigin(listen, port, config.publicNames),
    fingerprint: tls.fingerprint,
    get certificateEndsAt() {
      return new Date(new X509Certificate(tls.certificate).validTo);
    },
  });

  db.migrate('calendar', calendarMigrations);
  const calendar = createCalendar({ db, clock: systemClock, log: log.child({ part: 'calendar' }) });
  const space = createSpaceLedger();
  const composition = compose(
    features,
    { config, db, libvirt, clock: systemClock, calendar, events, address, space, startedAt, recentLog, restart },
    log,
  );
  const accessApi = composition.use(access);
  const inventoryApi = composition.use(inventory);
  const registry = composition.use(projects);
  const topicOf = eventTopics({
    network: (id) => networkObject(inventoryApi.networks().find((one) => one.id === id) ?? { id, name: id }, registry),
    pool: (id) => poolObject(inventoryApi.pools().find((one) => one.id === id) ?? { id, name: id }, registry),
    image: (image) => imageObject(image, registry),
  });
  const stream = createEventStream(events, accessApi, topicOf, randomBytes(4).toString('hex'), (change) =>
    inventoryApi.watchers(change),
  );
  const openLimit = createOpenLimit();
  const ownHandlers: Handlers = {
    ...apiDocument(VERSION),
    'GET /events': ({ identity, headers, signal }) => {
      openLimit.take(identity, signal);
      return {
        contentType: 'text/event-stream',
        bytes: stream.open(identity, headers['last-event-id'] ?? null, signal),
      };
    },
  };
  let isStarted = false;
  const routes = createRoutes(
    { ...composition.handlers, ...ownHandlers },
    composition.resolvers,
    accessApi,
    composition.use(audit),
    systemClock,
    () => isStarted,
  );

  const notReady = () => [
    ...(isStarted ? [] : ['starting']),
    ...(libvirt.state.status === 'connected' ? [] : ['libvirt is not connected']),
  ];
  const exported = composition.use(exports);
  exported.familiesFrom(() => [...processMetrics(VERSION, startedAt), ...stream.metrics(), ...composition.metrics()]);
  const serve = (door: Door, isNetwork: boolean) =>
    createServer({
      door,
      routes,
      openLimit,
      log: log.child({ part: 'http' }),
      tls: isNetwork ? tls : null,
      webFolder: isNetwork && existsSync(WEB_FOLDER) ? WEB_FOLDER : null,
      renewedCookie: accessApi.renewedCookie,
      servesMetrics: !isNetwork || metricsDoor(config) !== 'closed',
      metricsPage: exported.page,
      notReady,
    });

  const servers: FastifyInstance[] = [];
  let beat: NodeJS.Timeout | null = null;
  let keptDate: Promise<void> = Promise.resolve();
  let renewing: Promise<void> = Promise.resolve();
  const stop = async () => {
    await notifier.stopping();
    if (beat) clearInterval(beat);
    stream.close();
    await Promise.all(servers.map((server) => server.close()));
    redirect.close();
    lifetime.abort(new Error('the daemon stops'));
    await renewing;
    await composition.stop();
    await keptDate;
    await libvirt.stop();
    await db.close();
    for (const name of ['admin.sock', 'operator.sock', 'hyperd.pid'])
      await rm(join(config.runtimeDir, name), { force: true });
    unlock();
    log.info({}, 'stopped');
  };

  try {
    const [network, admin, operator] = await Promise.all([
      serve(networkDoor(accessApi, allowed), true),
      serve(localDoor('admin'), false),
      serve(localDoor('operator'), false),
    ]);
    servers.push(network, admin, operator);
    const use = (renewed: ServerCertificate) => {
      tls = renewed;
      useCertificate(network, renewed);
    };
    port = await listenOnNetwork(network, listen);
    for (const host of allowedHosts(names, port, config.publicNames)) allowed.add(host);
    if (config.tls.redirectListen !== undefined) await redirect.listen(parseListen(config.tls.redirectListen));
    renewing = keepCertificate(tls, { ...certificates, use, clock: systemClock, log }, lifetime.signal);
    await listenOnSocket(admin, join(config.runtimeDir, 'admin.sock'), await doorGroup(HOST_GROUPS.admin));
    await listenOnSocket(operator, join(config.runtimeDir, 'operator.sock'), await doorGroup(HOST_GROUPS.operator));
    await writeFile(join(config.runtimeDir, 'hyperd.pid'), `${process.pid}\n`);
    // Whether libvirt answers or not, the doors open: the dashboard tells what is wrong.
    await libvirt.start(lifetime.signal);
    await calendar.load();
    keptDate = calendar.run(lifetime.signal);
    await composition.start(lifetime.signal);
    isStarted = true;
  } catch (error) {
    await stop();
    throw error;
  }
  if (notifier.watchdogMs !== null)
    beat = setInterval(
      () =>
        void notifier
          .alive()
          .catch((error: unknown) => log.warn({ err: error }, 'systemd could not be told that we live')),
      notifier.watchdogMs,
    );
  await notifier.ready();
  log.info({ address: address().origin, pid: process.pid, version: VERSION, libvirt: config.libvirtUri }, 'ready');
  return { stop };
}
