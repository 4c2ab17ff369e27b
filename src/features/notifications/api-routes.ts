/** Channels, routing, silences and messages over HTTP. */

import { z } from 'zod';
import { CHANNEL_KINDS, type Channel, maxSilenceMs } from '#contract/notifications.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import { type FoundObject, type Handlers, SYSTEM } from '#platform/feature.ts';
import { type ChannelEntry, type Channels, channelObject } from './channel-registry.ts';
import { CHANNEL_TYPES } from './channels/index.ts';
import type { ChannelStateRow } from './migrations.ts';
import type { Notices } from './notices.ts';
import { type Silences, silenceObject } from './routing/silences.ts';
import type { RoutingStore } from './routing-store.ts';
import type { createTestMessages } from './test-messages.ts';

export interface NotificationRouteDependencies {
  readonly channels: Channels;
  readonly silences: Silences;
  readonly routing: RoutingStore;
  readonly notices: Notices;
  readonly tests: ReturnType<typeof createTestMessages>;
  readonly projects: Pick<ProjectsApi, 'get'>;
  readonly clock: Clock;
  /** What other features send through a channel, in words. */
  usesOf(channel: Pick<ChannelEntry, 'id' | 'name' | 'project'>): readonly string[];
  changed(what: 'channel' | 'silence' | 'notice', id: string, project: string | null): void;
  /** Messages wait that did not before. */
  wake(): void;
}

export function createNotificationRoutes(dependencies: NotificationRouteDependencies): Handlers {
  const { channels, silences, routing, notices, tests, projects, clock, usesOf, changed, wake } = dependencies;

  const view = (entry: ChannelEntry, state: ChannelStateRow | undefined): Channel => ({
    id: entry.id,
    name: entry.name,
    kind: entry.kind,
    project: entry.project,
    origin: entry.origin,
    isEnabled: entry.isEnabled,
    title: entry.title,
    settings: { ...entry.settings },
    secretNames: [...entry.secretNames],
    state: state?.is_failing === 1 ? 'failing' : (state?.last_sent_at ?? null) === null ? 'unused' : 'ok',
    lastError: state?.last_error ?? null,
    lastSentAt: state?.last_sent_at ?? null,
  });
  const viewNow = async (entry: ChannelEntry) => view(entry, (await channels.states()).get(entry.id));
  const channelOf = (id: string): ChannelEntry => {
    const entry = channels.get(id);
    if (!entry) throw new AppError('not_found', { detail: `There is no channel "${id.slice(0, 80)}".` });
    return entry;
  };
  /** The project that a body names, as an object of policy; nothing named = the system. */
  const placeOf = (idOrName: string | null | undefined): FoundObject => {
    if (idOrName === null || idOrName === undefined) return { ...SYSTEM, name: 'system' };
    const row = projects.get(idOrName);
    return row
      ? { type: 'project', id: row.id, name: row.name, project: row.id }
      : { type: 'project', id: idOrName, name: idOrName, project: idOrName };
  };
  const projectOf = (place: FoundObject): string | null => {
    if (place.type === 'system') return null;
    if (!projects.get(place.id))
      throw new AppError('not_found', { detail: `There is no project "${place.id.slice(0, 80)}".` });
    return place.id;
  };
  const requireNames = (names: readonly string[], path: string) => {
    const missing = names.find((name) => channels.get(name) === null);
    if (missing !== undefined)
      throw new AppError('invalid_input', {
        detail: `There is no channel "${missing}".`,
        fields: [{ path, problem: `there is no channel "${missing}"`, mend: '`hv channel list` lists them.' }],
      });
  };

  /** Who removes or renames a channel would quiet what is sent there. @param channel with an empty id: what names it by its name */
  const requireUnused = (channel: Pick<ChannelEntry, 'id' | 'name' | 'project'>) => {
    const isNamed = (names: readonly string[]) => names.includes(channel.name) || names.includes(channel.id);
    const routes = routing
      .current()
      .routes.filter((route) => isNamed(route.channels) || route.escalation.some((step) => isNamed(step.channels)));
    const uses = [...routes.map(({ name }) => `the route "${name}"`), ...usesOf(channel)];
    if (uses.length > 0)
      throw new AppError('channel_in_use', {
        detail: `${uses.slice(0, 5).join(', ')} ${uses.length === 1 ? 'sends' : 'send'} through "${channel.name}".`,
      });
  };

  return {
    'GET /channel-kinds': () => ({
      items: CHANNEL_KINDS.map((kind) => ({
        kind,
        title: CHANNEL_TYPES[kind].title,
        fields: [...fieldsOf(CHANNEL_TYPES[kind].settings, false), ...fieldsOf(CHANNEL_TYPES[kind].secrets, true)],
      })),
    }),
    'GET /channels': async ({ query, may }) => {
      const states = await channels.states();
      const seen = channels.all().filter((entry) => may('alert.read', channelObject(entry)));
      return page(seen, query, (entry) => view(entry, states.get(entry.id)));
    },
    'POST /channels': async ({ body, require }) => {
      const place = placeOf(body.project);
      require('alert.configure', place);
      const entry = await channels.add({ ...body, title: body.title ?? null, project: projectOf(place) });
      changed('channel', entry.id, entry.project);
      return viewNow(entry);
    },
    'GET /channels/{id}': ({ params }) => viewNow(channelOf(params.id)),
    'PATCH /channels/{id}': async ({ params, body }) => {
      const before = channelOf(params.id);
      if (body.name !== undefined && body.name !== before.name) requireUnused({ ...before, id: '' });
      const entry = await channels.change(before, body);
      changed('channel', entry.id, entry.project);
      wake();
      return viewNow(entry);
    },
    'DELETE /channels/{id}': async ({ params }) => {
      const entry = channelOf(params.id);
      requireUnused(entry);
      await channels.remove(entry);
      changed('channel', entry.id, entry.project);
      wake();
      return undefined;
    },
    'POST /channels/{id}/test': async ({ params, identity, signal }) => {
      const entry = channelOf(params.id);
      if (!entry.isEnabled)
        throw new AppError('wrong_state', {
          detail: `The channel "${entry.name}" is switched off.`,
          hint: `Switch it on: \`hv channel edit ${entry.name} --enable\`.`,
        });
      const { id, row } = await tests.run(entry, identity.user, signal);
      const isDelivered = row?.state === 'sent';
      return {
        isDelivered,
        error: isDelivered ? null : (row?.last_error ?? 'it still waits behind other messages of this channel'),
        note: isDelivered ? (row?.last_error ?? CHANNEL_TYPES[entry.kind].note) : null,
        noticeId: id,
      };
    },
    'GET /notification-routing': () => routing.current(),
    'PUT /notification-routing': async ({ body }) => {
      for (const [index, route] of body.routes.entries()) {
        requireNames(route.channels, `routes.${index}.channels`);
        for (const [step, one] of route.escalation.entries())
          requireNames(one.channels, `routes.${index}.escalation.${step}.channels`);
      }
      await routing.replace(body);
      wake();
      return routing.current();
    },
    'GET /silences': ({ query, may }) =>
      page(
        silences.all().filter((one) => (query.all || !one.isOver) && may('alert.read', silenceObject(one))),
        query,
        (one) => one,
      ),
    'POST /silences': async ({ body, identity, may, require }) => {
      const place = placeOf(body.project);
      require('alert.ack', place);
      const now = clock.now();
      const from = body.from ?? now.toISOString();
      const isWindow = body.cron !== undefined;
      const problem =
        Date.parse(body.to) <= now.getTime()
          ? 'it ends before now'
          : Date.parse(body.to) - Date.parse(from) > maxSilenceMs(isWindow)
            ? `it lasts longer than ${isWindow ? 'three years' : '30 days'}`
            : Date.parse(body.to) <= Date.parse(from)
              ? 'it ends before it begins'
              : null;
      if (problem !== null)
        throw new AppError('invalid_input', {
          detail: `The silence cannot be: ${problem}.`,
          fields: [{ path: 'to', problem, mend: 'Choose another end.' }],
        });
      const silence = await silences.add({
        project: projectOf(place),
        match: body.match,
        from,
        to: body.to,
        cron: body.cron ?? null,
        durationMinutes: body.durationMinutes ?? null,
        reason: body.reason,
        createdBy: identity.user,
        mayHideSecurity: may('alert.configure', place),
      });
      changed('silence', silence.id, silence.project);
      return silence;
    },
    'DELETE /silences/{id}': async ({ params }) => {
      const silence = silences.get(params.id);
      if (!silence) throw new AppError('not_found', { detail: `There is no silence "${params.id.slice(0, 80)}".` });
      await silences.remove(silence.id);
      changed('silence', silence.id, silence.project);
      wake();
      return undefined;
    },
    'GET /notices': async ({ query, reach, may }) => {
      const where = reach('alert.read');
      const sees = (idOrName: string) => {
        const entry = channels.get(idOrName);
        return entry === null ? where === null : may('alert.read', channelObject(entry));
      };
      const { channel } = query;
      if (channel !== undefined && !sees(channel)) return { items: [], next: null };
      return notices.list({
        limit: query.limit,
        cursor: query.cursor,
        state: query.state,
        ...(channel === undefined ? {} : { channelId: channels.get(channel)?.id ?? channel }),
        projects: where === null ? null : where.projects,
        seesChannel: sees,
      });
    },
    'POST /notices/{id}/retry': async ({ params, require }) => {
      const row = await notices.find(params.id);
      const place = placeOf(row === null ? null : row.project);
      require('alert.configure', place);
      if (row === null) throw new AppError('not_found', { detail: `There is no message "${params.id.slice(0, 80)}".` });
      // It goes out through the channel: that must be his too.
      const entry = row.channel_id === null ? null : channels.get(row.channel_id);
      if (entry !== null) require('alert.configure', channelObject(entry));
      const again = await notices.retry(row);
      changed('notice', again.id, again.project);
      wake();
      return notices.view(again);
    },
  };
}

function fieldsOf(schema: z.ZodObject, isSecret: boolean) {
  return Object.entries(schema.shape).map(([name, field]) => {
    const isRequired = !z.safeParse(field, undefined).success;
    const meta = z.globalRegistry.get(field);
    return { name, isSecret, isRequired, description: String(meta?.description ?? '') };
  });
}
