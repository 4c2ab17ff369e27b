/** The routes of healing. */

import {
  HEALING_ACTION_IDS,
  type HealingAction,
  type HealingActionId,
  type HealingPause,
  healingFacts,
} from '#contract/healing.ts';
import type { Permission } from '#contract/permissions.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { vmObject } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Database } from '#platform/db/database.ts';
import { type Handlers, type ObjectRef, SYSTEM } from '#platform/feature.ts';
import type { PauseSwitch } from './pause.ts';
import { actView, type HealingStore, listActs } from './store.ts';

interface Dependencies {
  readonly db: Database;
  readonly store: HealingStore;
  readonly known: Pick<InventoryApi, 'vm'>;
  nowMs(): number;
  /** A mode is another than before. */
  changed(action: HealingActionId): Promise<void>;
  perHour(action: HealingActionId): number;
  readonly pause: Pick<PauseSwitch, 'current' | 'begin' | 'end'>;
  /** Healing was paused, or goes on (null). */
  pauseChanged(pause: HealingPause | null): void;
}

type May = (permission: Permission, object: ObjectRef) => boolean;

export function createHealingRoutes(dependencies: Dependencies): Handlers {
  const { db, store, known, nowMs, changed, perHour, pause, pauseChanged } = dependencies;
  const view = (id: HealingActionId, may: May): HealingAction => {
    const { title, meaning, defaultMode, perVm, isOptIn } = healingFacts(id);
    const vms = store.vmsWith(id).flatMap(({ vmId, mode }) => {
      const vm = known.vm(vmId);
      return vm !== null && may('vm.read', vmObject(vm)) ? [{ id: vmId, name: vm.name, mode }] : [];
    });
    return { id, title, meaning, mode: store.mode(id), defaultMode, perVm, isOptIn, perHour: perHour(id), vms };
  };
  const idOf = (idOrName: string): string => {
    const vm = known.vm(idOrName);
    if (vm === null) throw new AppError('not_found', { detail: `There is no VM "${idOrName.slice(0, 80)}".` });
    return vm.id;
  };
  const ofVm = (vmId: string) => ({
    items: HEALING_ACTION_IDS.filter((id) => healingFacts(id).perVm).map((action) => ({
      action,
      mode: store.vmMode(action, vmId)?.mode ?? null,
      effective: store.effective(action, vmId),
    })),
  });

  return {
    'GET /healing/actions': ({ may }) => ({
      items: HEALING_ACTION_IDS.map((id) => view(id, may)),
      pause: pause.current(),
    }),
    'POST /healing/pause': async ({ body, identity }) => {
      const begun = await pause.begin({ ...body, by: identity.user });
      pauseChanged(begun);
      return begun;
    },
    'DELETE /healing/pause': async () => {
      // Ended is ended, whoever was first.
      if (await pause.end()) pauseChanged(null);
      return undefined;
    },
    'PATCH /healing/actions/{id}': async ({ params, body, may }) => {
      await store.setMode(params.id, '', body.mode, nowMs());
      await changed(params.id);
      return view(params.id, may);
    },
    'GET /vms/{id}/healing': ({ params }) => ofVm(idOf(params.id)),
    'PATCH /vms/{id}/healing': async ({ params, body }) => {
      const vmId = idOf(params.id);
      if (!healingFacts(body.action).perVm)
        throw new AppError('invalid_input', {
          detail: `${body.action} is the same for all VMs.`,
          hint: `Set it for all: \`hv heal set ${body.action} observe\`.`,
        });
      await store.setMode(body.action, vmId, body.mode, nowMs());
      await changed(body.action);
      return ofVm(vmId);
    },
    'GET /healing/acts': async ({ query, may, reach }) => {
      const { action, object, result, cursor, limit } = query;
      const rows = await listActs(
        db,
        { of: reach('vm.read'), ofHost: may('host.read', SYSTEM) },
        { action, object, result, before: cursor, limit: limit + 1 },
      );
      const items = rows.slice(0, limit).map(actView);
      return { items, next: rows.length > limit ? (items.at(-1)?.id ?? null) : null };
    },
  };
}
