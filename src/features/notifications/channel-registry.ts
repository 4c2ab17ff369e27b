/** The channels there are: those of the database and those of the configuration, in memory, and how sending through each went. */

import { z } from 'zod';
import type { Channel, ChannelKind } from '#contract/notifications.ts';
import { createQueue } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { FoundObject } from '#platform/feature.ts';
import type { SecretSeal, Secrets } from '#platform/sealed-secrets.ts';
import { DESTINATION_SETTINGS, type OpenChannel } from './channels/channel.ts';
import { CHANNEL_TYPES } from './channels/index.ts';
import type { ConfiguredChannel } from './configured-channels.ts';
import type { ChannelStateRow, NotificationTables } from './migrations.ts';

export interface ChannelEntry {
  readonly id: string;
  readonly name: string;
  readonly kind: ChannelKind;
  readonly project: string | null;
  readonly origin: Channel['origin'];
  readonly isEnabled: boolean;
  readonly title: string | null;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly secretNames: readonly string[];
  /** A state that is sent again and again, instead of messages. */
  readonly isLoop: boolean;
  /** HOST:PORT that the configuration names by naming this channel: it alone may reach them on private addresses. */
  readonly ownHosts: readonly string[];
}

export interface ChannelChange {
  readonly name?: string | undefined;
  readonly isEnabled?: boolean | undefined;
  readonly title?: string | null | undefined;
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  readonly secrets?: Readonly<Record<string, string | null>> | undefined;
}

export interface Channels {
  all(): readonly ChannelEntry[];
  /** By id or name. */
  get(idOrName: string): ChannelEntry | null;
  /** With its secrets, for sending. @throws Error when they cannot be opened */
  open(entry: ChannelEntry): { readonly channel: OpenChannel; readonly secrets: Secrets };
  /** @throws AppError channel_settings, already_exists */
  add(
    channel: Omit<ChannelChange, 'name'> & { name: string; kind: ChannelKind; project: string | null },
  ): Promise<ChannelEntry>;
  /** Settings and secrets that are not named stay; where the secrets go changes only together with them.
   *  @throws AppError channel_settings, channel_from_configuration, already_exists, not_found */
  change(entry: ChannelEntry, change: ChannelChange): Promise<ChannelEntry>;
  /** @throws AppError channel_from_configuration */
  remove(entry: ChannelEntry): Promise<void>;
  recordResult(tx: Transaction, channelId: string, error: string | null): Promise<void>;
  recordTest(tx: Transaction, channelId: string, atMs: number): Promise<void>;
  states(): Promise<ReadonlyMap<string, ChannelStateRow>>;
  /** @param configured those of the configuration; they keep their names when others have the same */
  load(configured: readonly ConfiguredChannel[]): Promise<void>;
}

export const channelObject = ({ id, name, project }: Pick<ChannelEntry, 'id' | 'name' | 'project'>): FoundObject => ({
  type: 'channel',
  id,
  name,
  project,
});

interface Known {
  readonly entry: ChannelEntry;
  readonly secrets: () => Secrets;
}

export function createChannels({ db, clock, seal }: { db: Database; clock: Clock; seal: SecretSeal }): Channels {
  let known = new Map<string, Known>();
  let fixed: readonly Known[] = [];
  /** What is checked still holds when it is written: names are free, and of two changes none undoes the other. */
  const inTurn = createQueue();
  const tables = (source: Database | Transaction = db) => source.tables<NotificationTables>();

  const read = async () => {
    const rows = await tables().selectFrom('channel').selectAll().orderBy('name').execute();
    const own = rows.map((row): Known => {
      const secrets = () => seal.open(row.id, row.sealed);
      return {
        secrets,
        entry: {
          id: row.id,
          name: row.name,
          kind: row.kind,
          project: row.project,
          origin: 'api',
          isEnabled: row.is_enabled === 1,
          title: row.title,
          settings: settingsOf(row.settings),
          secretNames: Object.keys(keptSecrets(secrets)),
          isLoop: CHANNEL_TYPES[row.kind].isLoop,
          ownHosts: [],
        },
      };
    });
    known = new Map([...fixed, ...own].map((one) => [one.entry.id, one]));
  };
  const get = (idOrName: string) =>
    known.get(idOrName)?.entry ?? [...known.values()].find(({ entry }) => entry.name === idOrName)?.entry ?? null;
  const requireOwn = (entry: ChannelEntry) => {
    if (entry.origin === 'configuration')
      throw new AppError('channel_from_configuration', {
        detail: `The channel "${entry.name}" is set in the configuration.`,
      });
  };
  const requireFreeName = (name: string, id: string | null) => {
    const other = [...known.values()].find(({ entry }) => entry.name === name && entry.id !== id);
    // Whose it is stays untold: names are one list for all projects.
    if (other) throw new AppError('already_exists', { detail: `A channel is called "${name}" already.` });
  };

  return {
    all: () => [...known.values()].map(({ entry }) => entry),
    get,
    open(entry) {
      const secrets = known.get(entry.id)?.secrets() ?? {};
      return { channel: checked(entry.kind, entry.settings, secrets), secrets };
    },
    add: ({ name, kind, project, isEnabled = true, title = null, settings = {}, secrets = {} }) =>
      inTurn(async () => {
        requireFreeName(name, null);
        const id = newId('chn', clock.now().getTime());
        const given = merged({}, secrets);
        checked(kind, settings, given);
        await tables()
          .insertInto('channel')
          .values({
            id,
            name,
            kind,
            project,
            is_enabled: isEnabled ? 1 : 0,
            title,
            settings: JSON.stringify(settings),
            sealed: seal.seal(id, given),
            created_at: clock.now().toISOString(),
          })
          .execute();
        await read();
        return entryOf(get(id));
      }),
    change: ({ id }, change) =>
      inTurn(async () => {
        const entry = entryOf(known.get(id)?.entry ?? null);
        requireOwn(entry);
        if (change.name !== undefined) requireFreeName(change.name, id);
        const settings = withoutNulls({ ...entry.settings, ...change.settings });
        const kept = keptSecrets(known.get(id)?.secrets);
        requireSecretsAnew(entry, settings, Object.keys(kept), change.secrets ?? {});
        const secrets = merged(kept, change.secrets ?? {});
        checked(entry.kind, settings, secrets);
        await tables()
          .updateTable('channel')
          .set({
            name: change.name ?? entry.name,
            is_enabled: (change.isEnabled ?? entry.isEnabled) ? 1 : 0,
            title: change.title === undefined ? entry.title : change.title,
            settings: JSON.stringify(settings),
            sealed: seal.seal(id, secrets),
          })
          .where('id', '=', id)
          .execute();
        await read();
        return entryOf(get(id));
      }),
    remove: (entry) =>
      inTurn(async () => {
        requireOwn(entry);
        await db.transaction(async (tx) => {
          await tables(tx).deleteFrom('channel').where('id', '=', entry.id).execute();
          await tables(tx).deleteFrom('channel_state').where('channel_id', '=', entry.id).execute();
        });
        await read();
      }),
    async recordResult(tx, channelId, error) {
      const values = {
        is_failing: error === null ? 0 : 1,
        last_error: error,
        ...(error === null ? { last_sent_at: clock.now().toISOString() } : {}),
      };
      await tables(tx)
        .insertInto('channel_state')
        .values({ channel_id: channelId, ...values })
        .onConflict((conflict) => conflict.column('channel_id').doUpdateSet(values))
        .execute();
    },
    async recordTest(tx, channelId, atMs) {
      await tables(tx)
        .insertInto('channel_state')
        .values({ channel_id: channelId, is_failing: 0, tested_ms: atMs })
        .onConflict((conflict) => conflict.column('channel_id').doUpdateSet({ tested_ms: atMs }))
        .execute();
    },
    async states() {
      const rows = await tables().selectFrom('channel_state').selectAll().execute();
      return new Map(rows.map((row) => [row.channel_id, row]));
    },
    async load(configured) {
      const taken = new Set((await tables().selectFrom('channel').select('name').execute()).map(({ name }) => name));
      fixed = configured.map(({ id, name, kind, settings, secrets, host }) => ({
        secrets: () => secrets,
        entry: {
          id,
          name: taken.has(name) ? `${name}-of-configuration` : name,
          kind,
          project: null,
          origin: 'configuration',
          isEnabled: true,
          title: null,
          settings,
          secretNames: Object.keys(secrets),
          isLoop: CHANNEL_TYPES[kind].isLoop,
          ownHosts: [host],
        },
      }));
      for (const { entry, secrets } of fixed) checked(entry.kind, entry.settings, secrets());
      await read();
    },
  };
}

function entryOf(entry: ChannelEntry | null): ChannelEntry {
  if (entry === null) throw new AppError('not_found', { detail: 'The channel was removed meanwhile.' });
  return entry;
}

function settingsOf(text: string): Record<string, unknown> {
  const parsed: unknown = JSON.parse(text);
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
}

/** A channel whose secrets cannot be opened is listed all the same: it must be seen and can be set anew. */
function keptSecrets(secrets: (() => Secrets) | undefined): Secrets {
  try {
    return secrets?.() ?? {};
  } catch {
    return {};
  }
}

/** Whoever may change a channel does not know its secrets: sent to a server of his choice, they would be told to him.
 *  @throws AppError channel_settings naming the secrets */
function requireSecretsAnew(
  { name, settings }: ChannelEntry,
  next: Readonly<Record<string, unknown>>,
  kept: readonly string[],
  given: Readonly<Record<string, string | null>>,
): void {
  const moved = DESTINATION_SETTINGS.filter((key) => JSON.stringify(settings[key]) !== JSON.stringify(next[key]));
  const missing = kept.filter((secret) => given[secret] === undefined);
  if (moved.length === 0 || missing.length === 0) return;
  throw new AppError('channel_settings', {
    detail: `Where "${name}" sends to changes with ${moved.join(' and ')}, so its secrets must be given again: ${missing.join(', ')}.`,
    fields: missing.map((secret) => ({
      path: `secrets.${secret}`,
      problem: `must be given again when ${moved.join(' and ')} changes`,
      mend: 'Give it in the same change; null removes it.',
    })),
  });
}

const withoutNulls = (values: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));

function merged(kept: Secrets, change: Readonly<Record<string, string | null>>): Secrets {
  const all = { ...kept, ...change };
  return Object.fromEntries(Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, value]])));
}

/** @throws AppError channel_settings; its problems name fields, never values */
function checked(kind: ChannelKind, settings: unknown, secrets: Secrets): OpenChannel {
  const type = CHANNEL_TYPES[kind];
  try {
    return type.open(settings, secrets);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw new AppError('channel_settings', {
      detail: `The settings do not fit a channel of kind ${kind}.`,
      fields: error.issues.map((issue) => {
        const keys = issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : '';
        const path = issue.path.map(String).join('.') || keys || 'settings';
        return {
          path,
          problem: keys === '' ? issue.message : `${kind} has no field ${keys}`,
          mend: '`hv channel kinds` shows what each kind takes.',
        };
      }),
    });
  }
}
