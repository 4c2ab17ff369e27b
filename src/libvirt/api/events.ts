/** libvirt's events as one typed union. Events are hints: none is repeated, and one may come before the reply of the call that caused it. */

import type { Logger } from '#kernel/logger.ts';
import type { TypedParam } from '../codec.ts';
import type { Connection } from '../connection.ts';
import { LibvirtError } from '../errors.ts';
import {
  DOMAIN_EVENTS,
  type EventMessage,
  NETWORK_EVENTS,
  NODE_DEVICE_EVENTS,
  P,
  POOL_EVENTS,
  SECRET_EVENTS,
} from '../table.ts';
import { XdrDecoder } from '../xdr.ts';
import { type DomainRef, domainRef } from './domain.ts';
import type { NetworkRef } from './network.ts';
import type { PoolRef } from './storage.ts';

const LIFECYCLE = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pmsuspended',
  'crashed',
] as const;
const STARTED = ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'] as const;
const RESUMED = ['unpaused', 'migrated', 'from-snapshot', 'postcopy', 'postcopy-failed'] as const;
const STOPPED = ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'] as const;
const SUSPENDED = [
  'paused',
  'migrated',
  'io-error',
  'watchdog',
  'restored',
  'from-snapshot',
  'api-error',
  'postcopy',
  'postcopy-failed',
] as const;
const OBJECT_LIFECYCLE = ['defined', 'undefined', 'started', 'stopped', 'created', 'deleted'] as const;
const DEVICE_LIFECYCLE = ['created', 'deleted', 'defined', 'undefined'] as const;
const SECRET_LIFECYCLE = ['defined', 'undefined'] as const;
const BLOCK_JOB_TYPES = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'] as const;
const BLOCK_JOB_STATUS = ['completed', 'failed', 'cancelled', 'ready'] as const;
const IO_ERROR_ACTIONS = ['none', 'pause', 'report'] as const;
const WATCHDOG_ACTIONS = ['none', 'pause', 'reset', 'poweroff', 'shutdown', 'debug', 'inject-nmi'] as const;
const METADATA_TYPES = ['description', 'title', 'element'] as const;

type LifecycleReason =
  | (typeof STARTED)[number]
  | (typeof RESUMED)[number]
  | (typeof STOPPED)[number]
  | (typeof SUSPENDED)[number];

export type LibvirtEvent =
  | {
      readonly type: 'domain-lifecycle';
      readonly domain: DomainRef;
      readonly event: (typeof LIFECYCLE)[number] | 'unknown';
      /** libvirt's number; `reason` names it where it matters. */
      readonly detail: number;
      readonly reason: LifecycleReason | null;
    }
  | { readonly type: 'domain-rebooted'; readonly domain: DomainRef }
  | { readonly type: 'domain-watchdog'; readonly domain: DomainRef; readonly action: string }
  | {
      readonly type: 'domain-io-error';
      readonly domain: DomainRef;
      readonly path: string;
      readonly alias: string;
      readonly action: string;
      readonly reason: string;
    }
  | {
      readonly type: 'domain-disk-changed';
      readonly domain: DomainRef;
      readonly oldPath: string | null;
      readonly newPath: string | null;
      readonly alias: string;
    }
  | {
      readonly type: 'domain-tray-changed';
      readonly domain: DomainRef;
      readonly alias: string;
      readonly tray: 'open' | 'closed';
    }
  | { readonly type: 'domain-balloon-changed'; readonly domain: DomainRef; readonly memoryKib: number }
  | {
      readonly type: 'domain-device-added' | 'domain-device-removed' | 'domain-device-removal-failed';
      readonly domain: DomainRef;
      readonly alias: string;
    }
  | {
      readonly type: 'domain-block-job';
      readonly domain: DomainRef;
      readonly disk: string;
      readonly job: string;
      readonly status: string;
    }
  | {
      readonly type: 'domain-tunable-changed' | 'domain-job-completed';
      readonly domain: DomainRef;
      readonly params: readonly TypedParam[];
    }
  | { readonly type: 'domain-agent'; readonly domain: DomainRef; readonly isConnected: boolean }
  | { readonly type: 'domain-migration-iteration'; readonly domain: DomainRef; readonly iteration: number }
  | {
      readonly type: 'domain-metadata-changed';
      readonly domain: DomainRef;
      readonly field: string;
      readonly uri: string | null;
    }
  | {
      readonly type: 'domain-block-threshold';
      readonly domain: DomainRef;
      readonly disk: string;
      readonly path: string | null;
      readonly thresholdBytes: bigint;
      readonly excessBytes: bigint;
    }
  | {
      readonly type: 'domain-memory-failure';
      readonly domain: DomainRef;
      readonly recipient: number;
      readonly action: number;
    }
  | { readonly type: 'network-lifecycle'; readonly network: NetworkRef; readonly event: string }
  | { readonly type: 'pool-lifecycle'; readonly pool: PoolRef; readonly event: string }
  | { readonly type: 'pool-refreshed'; readonly pool: PoolRef }
  | { readonly type: 'node-device-lifecycle'; readonly name: string; readonly event: string }
  | { readonly type: 'node-device-updated'; readonly name: string }
  | { readonly type: 'secret-lifecycle'; readonly uuid: string; readonly event: string }
  | { readonly type: 'secret-value-changed'; readonly uuid: string };

type Reader = (from: XdrDecoder) => LibvirtEvent;

const readers: ReadonlyMap<number, Reader> = new Map([
  reader(DOMAIN_EVENTS.lifecycle, ({ dom, event, detail }) => ({
    type: 'domain-lifecycle',
    domain: domainRef(dom),
    event: LIFECYCLE[event] ?? 'unknown',
    detail,
    reason: reasonOf(event, detail),
  })),
  reader(DOMAIN_EVENTS.reboot, ({ dom }) => ({ type: 'domain-rebooted', domain: domainRef(dom) })),
  reader(DOMAIN_EVENTS.watchdog, ({ dom, action }) => ({
    type: 'domain-watchdog',
    domain: domainRef(dom),
    action: WATCHDOG_ACTIONS[action] ?? 'unknown',
  })),
  reader(DOMAIN_EVENTS.ioError, ({ dom, srcPath, devAlias, action, reason }) => ({
    type: 'domain-io-error',
    domain: domainRef(dom),
    path: srcPath,
    alias: devAlias,
    action: IO_ERROR_ACTIONS[action] ?? 'unknown',
    reason,
  })),
  reader(DOMAIN_EVENTS.diskChange, ({ dom, oldSrcPath, newSrcPath, devAlias }) => ({
    type: 'domain-disk-changed',
    domain: domainRef(dom),
    oldPath: oldSrcPath,
    newPath: newSrcPath,
    alias: devAlias,
  })),
  reader(DOMAIN_EVENTS.trayChange, ({ dom, devAlias, reason }) => ({
    type: 'domain-tray-changed',
    domain: domainRef(dom),
    alias: devAlias,
    tray: reason === 0 ? 'open' : 'closed',
  })),
  reader(DOMAIN_EVENTS.balloonChange, ({ dom, actual }) => ({
    type: 'domain-balloon-changed',
    domain: domainRef(dom),
    memoryKib: Number(actual),
  })),
  reader(DOMAIN_EVENTS.deviceAdded, ({ dom, devAlias }) => ({
    type: 'domain-device-added',
    domain: domainRef(dom),
    alias: devAlias,
  })),
  reader(DOMAIN_EVENTS.deviceRemoved, ({ dom, devAlias }) => ({
    type: 'domain-device-removed',
    domain: domainRef(dom),
    alias: devAlias,
  })),
  reader(DOMAIN_EVENTS.deviceRemovalFailed, ({ dom, devAlias }) => ({
    type: 'domain-device-removal-failed',
    domain: domainRef(dom),
    alias: devAlias,
  })),
  reader(DOMAIN_EVENTS.blockJob, ({ dom, dst, type, status }) => ({
    type: 'domain-block-job',
    domain: domainRef(dom),
    disk: dst,
    job: BLOCK_JOB_TYPES[type] ?? 'unknown',
    status: BLOCK_JOB_STATUS[status] ?? 'unknown',
  })),
  reader(DOMAIN_EVENTS.tunable, ({ dom, params }) => ({
    type: 'domain-tunable-changed',
    domain: domainRef(dom),
    params,
  })),
  reader(DOMAIN_EVENTS.jobCompleted, ({ dom, params }) => ({
    type: 'domain-job-completed',
    domain: domainRef(dom),
    params,
  })),
  reader(DOMAIN_EVENTS.agentLifecycle, ({ dom, state }) => ({
    type: 'domain-agent',
    domain: domainRef(dom),
    isConnected: state === 1,
  })),
  reader(DOMAIN_EVENTS.migrationIteration, ({ dom, iteration }) => ({
    type: 'domain-migration-iteration',
    domain: domainRef(dom),
    iteration,
  })),
  reader(DOMAIN_EVENTS.metadataChange, ({ dom, type, nsuri }) => ({
    type: 'domain-metadata-changed',
    domain: domainRef(dom),
    field: METADATA_TYPES[type] ?? 'unknown',
    uri: nsuri,
  })),
  reader(DOMAIN_EVENTS.blockThreshold, ({ dom, dev, path, threshold, excess }) => ({
    type: 'domain-block-threshold',
    domain: domainRef(dom),
    disk: dev,
    path,
    thresholdBytes: threshold,
    excessBytes: excess,
  })),
  reader(DOMAIN_EVENTS.memoryFailure, ({ dom, recipient, action }) => ({
    type: 'domain-memory-failure',
    domain: domainRef(dom),
    recipient,
    action,
  })),
  reader(NETWORK_EVENTS.lifecycle, ({ net, event }) => ({
    type: 'network-lifecycle',
    network: net,
    event: OBJECT_LIFECYCLE[event] ?? 'unknown',
  })),
  reader(POOL_EVENTS.lifecycle, ({ pool, event }) => ({
    type: 'pool-lifecycle',
    pool,
    event: OBJECT_LIFECYCLE[event] ?? 'unknown',
  })),
  reader(POOL_EVENTS.refresh, ({ pool }) => ({ type: 'pool-refreshed', pool })),
  reader(NODE_DEVICE_EVENTS.lifecycle, ({ dev, event }) => ({
    type: 'node-device-lifecycle',
    name: dev.name,
    event: DEVICE_LIFECYCLE[event] ?? 'unknown',
  })),
  reader(NODE_DEVICE_EVENTS.update, ({ dev }) => ({ type: 'node-device-updated', name: dev.name })),
  reader(SECRET_EVENTS.lifecycle, ({ secret, event }) => ({
    type: 'secret-lifecycle',
    uuid: secret.uuid,
    event: SECRET_LIFECYCLE[event] ?? 'unknown',
  })),
  reader(SECRET_EVENTS.valueChanged, ({ secret }) => ({ type: 'secret-value-changed', uuid: secret.uuid })),
]);

/** null for messages that are no event we registered for. @throws XdrError for malformed ones */
export function decodeEvent(number: number, payload: Buffer): LibvirtEvent | null {
  const read = readers.get(number);
  if (!read) return null;
  const from = new XdrDecoder(payload);
  from.int(); // the callback id: one registration per event, so it tells nothing more
  return read(from);
}

/** Registers for every event of every object. A driver without some kind of event is no failure. */
export async function registerEvents(connection: Connection, log: Logger): Promise<void> {
  const registrations = [
    ...Object.values(DOMAIN_EVENTS).map(
      ({ eventId }) =>
        () =>
          connection.call(P.connectDomainEventCallbackRegisterAny, { eventID: eventId, dom: null }),
    ),
    ...Object.values(NETWORK_EVENTS).map(
      ({ eventId }) =>
        () =>
          connection.call(P.networkEventRegister, { eventID: eventId, net: null }),
    ),
    ...Object.values(POOL_EVENTS).map(
      ({ eventId }) =>
        () =>
          connection.call(P.poolEventRegister, { eventID: eventId, pool: null }),
    ),
    ...Object.values(NODE_DEVICE_EVENTS).map(
      ({ eventId }) =>
        () =>
          connection.call(P.nodeDeviceEventRegister, { eventID: eventId, dev: null }),
    ),
    ...Object.values(SECRET_EVENTS).map(
      ({ eventId }) =>
        () =>
          connection.call(P.secretEventRegister, { eventID: eventId, secret: null }),
    ),
  ];
  const results = await Promise.allSettled(registrations.map((register) => register()));
  for (const result of results) {
    if (result.status === 'fulfilled') continue;
    const error: unknown = result.reason;
    if (!(error instanceof LibvirtError) || error.failure === null) throw error;
    log.debug({ err: error }, 'libvirt does not offer one kind of event');
  }
}

function reader<Payload>(message: EventMessage<Payload>, read: (payload: Payload) => LibvirtEvent): [number, Reader] {
  return [message.number, (from) => read(message.payload.get(from))];
}

function reasonOf(event: number, detail: number): LifecycleReason | null {
  if (LIFECYCLE[event] === 'started') return STARTED[detail] ?? null;
  if (LIFECYCLE[event] === 'resumed') return RESUMED[detail] ?? null;
  if (LIFECYCLE[event] === 'stopped') return STOPPED[detail] ?? null;
  if (LIFECYCLE[event] === 'suspended') return SUSPENDED[detail] ?? null;
  return null;
}
