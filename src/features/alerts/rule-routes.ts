/** The routes of rules: change them, check their text, try them on the past. */

import type { AlertRuleSpec } from '#contract/alert-rule-spec.ts';
import { ACTIVE_STATES, type AlertRule } from '#contract/alerts.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { NotificationsApi } from '#features/notifications/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { createQueue } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { page } from '#kernel/page.ts';
import type { ApiRequest, Handlers } from '#platform/feature.ts';
import { type BacktestDependencies, backtest } from './backtest/backtest.ts';
import type { Engine } from './live/engine.ts';
import { alertObject, objectOfRule } from './objects.ts';
import { type CommitChange, checkRule, type RuleEntry, type RuleRegistry } from './rules/registry.ts';
import type { AlertStore } from './store.ts';

export interface RuleRouteDependencies {
  readonly registry: RuleRegistry;
  readonly engine: Pick<Engine, 'all'>;
  readonly store: Pick<AlertStore, 'lastFiredMs'>;
  readonly commit: CommitChange;
  readonly past: BacktestDependencies;
  readonly projects: Pick<ProjectsApi, 'get'>;
  readonly channelExists: NotificationsApi['channelExists'];
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
}

/** Who looks. */
type Viewer = Pick<ApiRequest<'GET /rules'>, 'may' | 'reach'>;

const DAY_MS = 86_400_000;
const DEFAULT_RANGE_MS = 7 * DAY_MS;
const MAX_RANGE_MS = 30 * DAY_MS;

export function createRuleRoutes(dependencies: RuleRouteDependencies): Handlers {
  const { registry, engine, store, commit, past, projects, channelExists, clock, events } = dependencies;
  /** One backtest holds a month of figures in memory; several at once would be too much. */
  const inTurn = createQueue();
  const view = (entry: RuleEntry, { may }: Viewer, firedMs: number | null): AlertRule => ({
    ...entry.spec,
    id: entry.id,
    origin: entry.origin,
    explanation: entry.explanation,
    problems: [...entry.problems],
    firing: engine
      .all()
      .filter(({ rule, state }) => rule.id === entry.id && ACTIVE_STATES.includes(state))
      .filter((alert) => may('alert.read', alertObject(alert))).length,
    lastFiredAt: firedMs === null ? null : new Date(firedMs).toISOString(),
  });
  const viewOf = async (entry: RuleEntry, viewer: Viewer): Promise<AlertRule> =>
    view(entry, viewer, await store.lastFiredMs(entry.id, viewer.reach('alert.read')));
  const found = (idOrName: string): RuleEntry => {
    const entry = registry.get(idOrName);
    if (entry === null) throw new AppError('not_found', { detail: `There is no rule "${idOrName.slice(0, 80)}".` });
    return entry;
  };
  /** Projects are kept by their id. @throws not_found */
  const withProjectId = <Spec extends { readonly project?: AlertRuleSpec['project'] | undefined }>(
    spec: Spec,
  ): Spec => {
    if (spec.project === undefined || spec.project === null) return spec;
    const project = projects.get(spec.project);
    if (!project) throw new AppError('not_found', { detail: `There is no project "${spec.project}".` });
    return { ...spec, project: project.id };
  };
  const requireChannels = (names: readonly string[] | null | undefined, project: string | null) => {
    const index = names?.findIndex((name) => !channelExists(name, project)) ?? -1;
    if (index >= 0)
      throw new AppError('invalid_input', {
        detail: `There is no channel "${names?.[index]}" that this rule may send to.`,
        fields: [
          { path: `channels.${index}`, problem: 'there is no such channel', mend: '`hv channel list` lists them.' },
        ],
      });
  };
  const changed = ({ id, spec }: RuleEntry) => events.emit('rule.changed', { id, project: spec.project });

  return {
    'GET /rules': async ({ query, may, reach }) => {
      const text = query.q?.toLowerCase() ?? '';
      const seen = registry
        .all()
        .filter((entry) => may('alert.read', objectOfRule(entry)))
        .filter(({ spec }) => `${spec.name} ${spec.condition}`.toLowerCase().includes(text));
      const fired = new Map<string, number | null>();
      for (const { id } of seen) fired.set(id, await store.lastFiredMs(id, reach('alert.read')));
      return page(seen, query, (entry) => view(entry, { may, reach }, fired.get(entry.id) ?? null));
    },
    'GET /rules/{id}': ({ params, may, reach }) => viewOf(found(params.id), { may, reach }),

    'POST /rules': async ({ body, identity, may, reach }) => {
      const spec = withProjectId(body);
      requireChannels(spec.channels, spec.project);
      const entry = await registry.create(spec, identity.user, clock.now());
      changed(entry);
      return viewOf(entry, { may, reach });
    },

    'PATCH /rules/{id}': async ({ params, body, identity, may, reach, require }) => {
      const before = found(params.id);
      const patch = withProjectId(body);
      // Who may change it where it is may not put it everywhere.
      if (patch.project !== undefined) require('alert.configure', { ...objectOfRule(before), project: patch.project });
      requireChannels(patch.channels, patch.project === undefined ? before.spec.project : patch.project);
      const entry = await registry.change(before.id, patch, identity.user, clock.now(), commit);
      if (entry.spec.project !== before.spec.project) changed(before);
      changed(entry);
      return viewOf(entry, { may, reach });
    },

    'DELETE /rules/{id}': async ({ params, require }) => {
      const before = found(params.id);
      // What comes back holds everywhere.
      if (before.origin === 'changed_default') require('alert.configure', { ...objectOfRule(before), project: null });
      await registry.remove(before.id, commit);
      changed(before);
      return undefined;
    },

    'POST /rules/check': ({ body }) => {
      const { problems, explanation, metrics } = checkRule(body);
      return { isValid: problems.length === 0, problems: [...problems], explanation, metrics: [...metrics] };
    },

    'POST /rules/backtest': async ({ body, signal }) => {
      const spec = withProjectId(body.rule);
      const { compiled, problems } = checkRule(spec);
      if (compiled === null)
        throw new AppError('rule_invalid', {
          detail: problems[0]?.message ?? 'It cannot be read.',
          params: { problems },
        });
      const toMs = body.to === undefined ? clock.now().getTime() : Date.parse(body.to);
      const fromMs = body.from === undefined ? toMs - DEFAULT_RANGE_MS : Date.parse(body.from);
      if (fromMs >= toMs || toMs - fromMs > MAX_RANGE_MS)
        throw new AppError('invalid_input', {
          fields: [
            {
              path: 'body.from',
              problem: 'does not fit `to`',
              mend: 'Choose at most 30 days, the beginning before the end.',
            },
          ],
        });
      return inTurn(async () => {
        signal.throwIfAborted();
        return backtest({ spec, compiled, fromMs, toMs, signal }, past);
      });
    },
  };
}
