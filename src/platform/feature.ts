/** The shape of a feature: one vertical slice, set up once by the composition root.
 *  Setting up does nothing observable; work begins in `start` and ends in `stop`. */

import type { Readable } from 'node:stream';
import type { SignInMethod } from '#contract/access.ts';
import type { Answer, Api, ApiKey, ParsedBody, ParsedParams, ParsedQuery } from '#contract/api.ts';
import type { ObjectType } from '#contract/define.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Permission } from '#contract/permissions.ts';
import type { Clock } from '#kernel/clock.ts';
import type { ErrorCatalogue } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import type { Calendar } from './calendar.ts';
import type { Config } from './config.ts';
import type { Database, Migration } from './db/database.ts';
import type { SpaceLedger } from './disk-space.ts';

/** Who asks. */
export interface Identity {
  /** Stable id; `local:admin` and `local:operator` for the sockets, `system` for the daemon itself. */
  readonly userId: string;
  /** Name, for people. */
  readonly user: string;
  readonly via: 'admin_socket' | 'operator_socket' | 'session' | 'token' | 'system';
  /** How it was proven who this is. */
  readonly method: SignInMethod;
  /** Set when the identity came by a session cookie. */
  readonly sessionId: string | null;
  /** Set when the identity came by an API token. */
  readonly tokenId: string | null;
  /** Remote address, or null on a local socket. */
  readonly address: string | null;
}

/** The daemon's own work: what it does because of the clock, not because somebody asked. */
export const SYSTEM_IDENTITY: Identity = {
  userId: 'system',
  user: 'system',
  via: 'system',
  method: 'system',
  sessionId: null,
  tokenId: null,
  address: null,
};

/** Work that goes on for somebody whose right was checked when it began, under his name in the records. */
export const inNameOf = (user: string): Identity => ({ ...SYSTEM_IDENTITY, user });

/** What a permission is asked for. */
export interface ObjectRef {
  readonly type: ObjectType | 'system';
  readonly id: string;
  /** The project that owns it; null = the system. */
  readonly project: string | null;
  /** Projects that may see and use it without owning it. */
  readonly sharedWith?: readonly string[] | 'all';
  /** The VM it is or belongs to; grants on that VM cover it. */
  readonly vmId?: string | undefined;
  /** The user it belongs to, who may manage it himself. */
  readonly owner?: string | undefined;
}

/** The whole system as an object. */
export const SYSTEM: ObjectRef = { type: 'system', id: 'system', project: null };

/** An object with its name, as resolvers find it. */
export interface FoundObject extends ObjectRef {
  readonly name: string;
}

/** The answer of policy. */
export interface Decision {
  readonly allow: boolean;
  /** Whether the one who asks may know that the object exists. */
  readonly visible: boolean;
  /** The grant that allows it; null when none does. */
  readonly grant: string | null;
}

/** A validated request. */
export interface ApiRequest<Key extends ApiKey> {
  readonly params: ParsedParams<Key>;
  readonly query: ParsedQuery<Key>;
  readonly body: ParsedBody<Key>;
  readonly identity: Identity;
  /** The project of the object or the one that the body names; null for requests about the whole system. */
  readonly project: string | null;
  /** Whether the one who asks may do this to an object that the route does not name. */
  may(permission: Permission, object: ObjectRef): boolean;
  /** Where he holds a permission; null = everywhere. For lists that a database filters. */
  reach(permission: Permission): { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;
  /** @throws AppError not_found for an object that he may not see, forbidden for one that he may not do this to */
  require(permission: Permission, object: FoundObject): void;
  /** Says for the audit log who it turned out to be: at a sign-in the one who comes is a stranger still. */
  isBy(who: Pick<Identity, 'user' | 'userId'>): void;
  readonly requestId: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly idempotencyKey: string | null;
  /** SHA-256 of method, path and body; tells a repeated request from another one under the same idempotency key. */
  readonly requestHash: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** The unread body of an `upload` route. */
  readonly stream: Readable | null;
}

/** Answer of a `bytes` route. */
export interface BytesReply {
  readonly contentType: string;
  readonly bytes: Uint8Array | string | Readable;
  readonly headers?: Readonly<Record<string, string>>;
  /** 304 = the client's copy is still good; 200 unless said. */
  readonly status?: 304;
}

/** Answer of a JSON route that also sets headers, as a cookie or an ETag. */
export interface JsonReply<Value> {
  readonly json: Value;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
}

/** Answer of a JSON route whose text was made before, for large answers that many ask for. */
export interface JsonTextReply {
  /** UTF-8; must be what the route's schema says. Not to be changed any more. */
  readonly jsonText: Buffer;
}

/** An accepted WebSocket, as messages. */
export interface Socket {
  /** Binary messages from the client. */
  onMessage(listener: (data: Uint8Array) => void): void;
  onClose(listener: () => void): void;
  send(data: Uint8Array): void;
  /** Bytes not yet taken by the network; stop reading the source above a bound. */
  bufferedBytes(): number;
  close(code: number, reason: string): void;
}

type RawOf<Key extends ApiKey> = Api[Key] extends { readonly raw: infer Raw } ? Raw : 'json';

type HandlerResult<Key extends ApiKey> =
  RawOf<Key> extends 'bytes'
    ? BytesReply
    : RawOf<Key> extends 'websocket'
      ? (socket: Socket) => void
      : RawOf<Key> extends 'stream'
        ? BytesReply
        : Answer<Key> | JsonReply<Answer<Key>> | JsonTextReply;

export type Handler<Key extends ApiKey> = (
  request: ApiRequest<Key>,
) => Promise<HandlerResult<Key>> | HandlerResult<Key>;

/** The routes that one feature answers. Together the features must answer every route of the contract. */
export type Handlers = { readonly [Key in ApiKey]?: Handler<Key> };

/** Finds the object a permission is asked for; returns null when there is none. Never waits for libvirt.
 *  @param isVisible tells which of several objects of one name the asker may see
 *  @throws AppError ambiguous_name */
export type ObjectResolver = (
  idOrName: string,
  isVisible: (object: ObjectRef) => boolean,
) => FoundObject | null | Promise<FoundObject | null>;

/** Figures of one name as they are exported, in no particular text form. */
export interface MetricFamily {
  /** As exported; counters end in `_total`, infos in `_info`. */
  readonly name: string;
  /** `state_set`: one sample per state, 1 for the present one, the label `state` names it. `info`: always 1, the labels tell. */
  readonly type: 'counter' | 'gauge' | 'state_set' | 'info';
  /** Absent or null = a bare number. */
  readonly unit?: 'seconds' | 'bytes' | 'celsius' | 'ratio' | null;
  readonly help: string;
  readonly samples: readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

/** Where browsers reach this machine, the SHA-256 fingerprint of the certificate they see there, and when it ends. */
export type PublicAddress = () => {
  readonly origin: string;
  readonly fingerprint: string;
  readonly certificateEndsAt: Date;
};

/** What every feature gets. */
export interface FeatureContext {
  readonly config: Config;
  readonly db: Database;
  readonly libvirt: LibvirtHost;
  readonly clock: Clock;
  /** Whether the date can be believed; asked before anything is deleted for its age. */
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly events: EventBus<ApiEvents>;
  readonly log: Logger;
  /** The last lines of the whole log as they were written, oldest first. */
  readonly recentLog: () => readonly string[];
  readonly address: PublicAddress;
  /** What is promised of the file systems that features write to. */
  readonly space: SpaceLedger;
  /** When the daemon began. */
  readonly startedAt: Date;
  /** Ends the daemon as a signal does, and begins it anew in the same process. Returns at once. */
  restart(): void;
  /** The programmatic interface of another feature; it must be named in `needs`. */
  use<FeatureApi>(feature: Feature<FeatureApi>): FeatureApi;
}

/** What a feature gives to the composition root. */
export interface FeatureParts<FeatureApi> {
  readonly api: FeatureApi;
  readonly handlers?: Handlers;
  readonly resolvers?: Readonly<Record<string, ObjectResolver>>;
  readonly metrics?: () => readonly MetricFamily[];
  /** Begins work. Must return soon; long work goes on in the background and ends with the signal. */
  readonly start?: (signal: AbortSignal) => Promise<void>;
  /** Takes up work that an earlier life of the daemon left. Called after every feature has started. */
  readonly resume?: (signal: AbortSignal) => Promise<void>;
  /** Ends within 10 s and frees every listener, timer, stream and lease. */
  readonly stop?: () => Promise<void>;
}

export interface Feature<FeatureApi = unknown> {
  readonly name: string;
  readonly migrations?: readonly Migration[];
  readonly errors?: ErrorCatalogue;
  /** Features that must be set up and started before; a cycle or an unknown name stops start-up. */
  readonly needs?: readonly string[];
  setup(context: FeatureContext): FeatureParts<FeatureApi>;
}

/** Declares a feature; exists for the types. */
export function defineFeature<FeatureApi>(feature: Feature<FeatureApi>): Feature<FeatureApi> {
  return feature;
}

/** The one question of policy: may `who` do `permission` to `object`? */
export type Decide = (who: Identity, permission: Permission, object: ObjectRef) => Decision;
