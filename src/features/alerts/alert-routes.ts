/** The routes of alerts: filter by what one may see, answer. */

import { ALERT_STATES, type Alert, type AlertEvent, alertEventSchema } from '#contract/alerts.ts';
import { SEVERITIES } from '#contract/alerts-config.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import type { ApiRequest, Handlers } from '#platform/feature.ts';
import type { Engine } from './live/engine.ts';
import { alertAsSeen, alertObject, objectOfRule } from './objects.ts';
import type { RuleRegistry } from './rules/registry.ts';
import type { AlertStore, EventRow } from './store.ts';
import { eventView } from './view.ts';

export interface AlertRouteDependencies {
  readonly engine: Pick<Engine, 'all' | 'get' | 'acknowledge'>;
  readonly store: Pick<AlertStore, 'events'>;
  readonly rules: Pick<RuleRegistry, 'get'>;
  readonly projects: Pick<ProjectsApi, 'get'>;
  readonly inventory: Pick<InventoryApi, 'vm' | 'named'>;
}

type Filter = Pick<ApiRequest<'GET /alerts'>['query'], 'severity' | 'project' | 'vm' | 'rule' | 'q'>;

const SHOWN_EVENTS = 100;
/** Which of several is looked at first. */
const ORDER: readonly Alert['state'][] = ['firing', 'clearing', 'suppressed', 'pending', 'ok'];

export function createAlertRoutes({ engine, store, rules, projects, inventory }: AlertRouteDependencies): Handlers {
  const projectId = (idOrName: string) => projects.get(idOrName)?.id ?? idOrName;
  /** One VM of that name; of several those that one may see are all meant, and the label decides. */
  const isVm = (alert: Alert, idOrName: string) => alert.vmId === idOrName || alert.labels['vm'] === idOrName;

  const fits = (alert: Alert, { severity, project, vm, rule, q }: Filter): boolean => {
    const text = `${alert.rule.name} ${alert.entity.name} ${Object.values(alert.labels).join(' ')}`.toLowerCase();
    return (
      (severity === undefined || alert.severity === severity) &&
      (project === undefined || alert.project === projectId(project)) &&
      (vm === undefined || isVm(alert, vm)) &&
      (rule === undefined || alert.rule.id === rule || alert.rule.name === rule) &&
      (q === undefined || text.includes(q.toLowerCase()))
    );
  };
  const found = (id: string): Alert => {
    const alert = engine.get(id);
    if (alert !== null) return alert;
    throw new AppError('not_found', { detail: `There is no alert "${id.slice(0, 80)}".` });
  };
  /** Of a rule that is gone nobody can say any more who may see it, but those who see all. */
  const seesRule = (id: string, { may, reach }: Pick<ApiRequest<'GET /alerts'>, 'may' | 'reach'>): boolean => {
    const entry = rules.get(id);
    return entry === null ? reach('alert.read') === null : may('alert.read', objectOfRule(entry));
  };
  const view =
    (who: Pick<ApiRequest<'GET /alerts'>, 'may' | 'reach'>) =>
    (row: EventRow): AlertEvent =>
      eventView(row, alertEventSchema.shape.kind.parse(row.kind), seesRule(row.rule_id, who));

  return {
    'GET /alerts': ({ query, may }) => {
      const isWanted = ({ state }: Alert) =>
        query.state === 'active' ? state !== 'ok' && state !== 'pending' : state === query.state;
      const seen = engine
        .all()
        .filter((alert) => isWanted(alert) && may('alert.read', alertObject(alert)) && fits(alert, query))
        .sort(byUrgency);
      return page(seen, query, (alert) => alertAsSeen(alert, may));
    },

    'GET /alerts/history': async ({ query, may, reach }) => {
      const before = query.cursor === undefined ? undefined : Number(query.cursor);
      if (before !== undefined && !Number.isSafeInteger(before))
        throw new AppError('invalid_input', {
          fields: [{ path: 'query.cursor', problem: 'is none', mend: 'Send `next` of the page before.' }],
        });
      const vm = query.vm === undefined ? null : inventory.vm(query.vm);
      const isSeen = vm !== null && may('vm.read', { type: 'vm', id: vm.id, project: vm.project, vmId: vm.id });
      const { items, hasMore, total } = await store.events({
        limit: query.limit,
        before,
        alertId: query.alert,
        severity: query.severity,
        project: query.project === undefined ? undefined : projectId(query.project),
        vmId: isSeen ? vm.id : query.vm,
        rule: query.rule,
        text: query.q,
        fromMs: query.from === undefined ? undefined : Date.parse(query.from),
        toMs: query.to === undefined ? undefined : Date.parse(query.to),
        of: reach('alert.read'),
      });
      const last = items.at(-1);
      return { items: items.map(view({ may, reach })), next: hasMore && last ? String(last.id) : null, total };
    },

    'GET /alerts/{id}': async ({ params, may, reach }) => {
      const alert = found(params.id);
      const { items } = await store.events({ limit: SHOWN_EVENTS, alertId: alert.id, of: null });
      return { ...alertAsSeen(alert, may), events: items.map(view({ may, reach })) };
    },

    'POST /alerts/{id}/acknowledge': async ({ params, body, identity, may }) =>
      alertAsSeen(await engine.acknowledge(found(params.id).id, identity.user, body.note ?? null), may),
  };
}

function byUrgency(a: Alert, b: Alert): number {
  return (
    ORDER.indexOf(a.state) - ORDER.indexOf(b.state) ||
    SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) ||
    Date.parse(b.since) - Date.parse(a.since) ||
    (a.id < b.id ? -1 : 1)
  );
}

/** How many alerts there are of each severity and state, for the metrics of the daemon. */
export function countAlerts(
  alerts: readonly Alert[],
): { labels: { severity: string; state: string }; value: number }[] {
  return SEVERITIES.flatMap((severity) =>
    ALERT_STATES.filter((state) => state !== 'ok').map((state) => ({
      labels: { severity, state },
      value: alerts.filter((alert) => alert.severity === severity && alert.state === state).length,
    })),
  );
}
