/** The routes of postures, retention and protected restore points. */

import type { Posture, VmPosture } from '#contract/protection.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { vmObject } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import type { ApiRequest, Handlers } from '#platform/feature.ts';
import { worstPosture } from '../posture.ts';
import type { KeepChoice } from '../pruning/keeping.ts';
import type { KeptPoints } from '../pruning/kept-points.ts';
import type { AcceptedDisks } from './accepted-disks.ts';
import type { Standing } from './standing.ts';

export interface StandingRouteDependencies {
  readonly standing: Standing;
  readonly kept: KeptPoints;
  readonly accepted: AcceptedDisks;
  readonly clock: Clock;
  readonly known: Pick<InventoryApi, 'vm'>;
  choose(): readonly KeepChoice[];
  /** Why nothing would go now; null = it would. */
  doubt(): string | null;
  /** @throws not_found */
  repository(idOrName: string): { readonly id: string; readonly name: string };
  repositoryName(id: string): string;
  findProject(idOrName: string): { readonly id: string } | null;
  prune: (
    repository: { readonly id: string; readonly name: string },
    request: ApiRequest<'POST /backup-retention/run'>,
  ) => ReturnType<NonNullable<Handlers['POST /backup-retention/run']>>;
  pointChanged(pointId: string): void;
  vmChanged(vm: { readonly id: string; readonly project: string }): void;
}

export function createStandingRoutes(dependencies: StandingRouteDependencies): Handlers {
  const { standing, kept, accepted, clock, known } = dependencies;
  const postureOf = (idOrName: string) => {
    const vm = known.vm(idOrName);
    const posture = vm === null ? null : standing.of(vm.id);
    if (posture === null) throw new AppError('not_found', { detail: `There is no VM "${idOrName.slice(0, 80)}".` });
    return posture;
  };
  return {
    'GET /backup-posture': ({ query, may }) => {
      const seen = standing
        .all()
        .filter(({ vmId: id, vmName: name, project }) => may('backup.read', vmObject({ id, name, project })));
      const project =
        query.project === undefined ? null : (dependencies.findProject(query.project)?.id ?? query.project);
      const text = query.q?.toLowerCase() ?? '';
      const rows = seen.filter(
        (row) =>
          (query.posture === undefined || row.posture === query.posture) &&
          (project === null || row.project === project) &&
          row.vmName.toLowerCase().includes(text),
      );
      return {
        ...page(
          rows.map((row) => ({ ...row, id: row.vmId })),
          query,
          ({ id: _id, ...row }): VmPosture => row,
        ),
        worst: worstPosture(seen.map(({ posture }) => posture)),
        counts: countsOf(seen),
        orphans: standing
          .orphans()
          .filter(({ vmId: id, vmName: name, project: of }) => may('backup.read', vmObject({ id, name, project: of }))),
      };
    },
    'GET /vms/{id}/backup-posture': ({ params }) => postureOf(params.id),
    'PUT /vms/{id}/accepted-disks': async ({ params, body, identity }) => {
      const { vmId, vmName, project, disksLeftOut } = postureOf(params.id);
      const strange = body.disks.find((target) => !disksLeftOut.includes(target));
      if (strange !== undefined)
        throw new AppError('invalid_input', {
          detail: `"${strange.slice(0, 80)}" is none of the disks that the newest restore point of ${vmName} leaves out${disksLeftOut.length === 0 ? '' : ` (${disksLeftOut.join(', ')})`}.`,
          hint: `\`hv backup show ${vmName}\` names those with the reason.`,
        });
      await accepted.put(vmId, body.disks, { by: identity.user, reason: body.reason, at: clock.now().toISOString() });
      dependencies.vmChanged({ id: vmId, project });
    },
    'GET /backup-retention': ({ query, may }) => {
      const repositoryId = query.repository === undefined ? null : dependencies.repository(query.repository).id;
      const vmId = query.vm === undefined ? null : (known.vm(query.vm)?.id ?? query.vm);
      const choices = dependencies
        .choose()
        .filter(
          ({ point }) =>
            (repositoryId === null || point.repositoryId === repositoryId) &&
            (vmId === null || point.vmId === vmId || point.vmName === vmId) &&
            may('backup.read', vmObject({ id: point.vmId, name: point.vmName, project: point.project })),
        );
      const items = choices.map(({ point, reasons }) => ({
        pointId: point.id,
        vmId: point.vmId,
        vmName: point.vmName,
        repository: dependencies.repositoryName(point.repositoryId),
        at: point.pointInTime,
        isKept: reasons.length > 0,
        reasons: [...reasons],
      }));
      const keptCount = items.filter(({ isKept }) => isKept).length;
      return { items, kept: keptCount, going: items.length - keptCount, waits: dependencies.doubt() };
    },
    'POST /backup-retention/run': (request) =>
      dependencies.prune(dependencies.repository(request.body.repository), request),
    'POST /restore-points/{id}/protect': async ({ params, body, identity }) => {
      await kept.keep(params.id, identity.user, body.reason, clock.now().toISOString());
      dependencies.pointChanged(params.id);
    },
    'POST /restore-points/{id}/unprotect': async ({ params }) => {
      await kept.release(params.id);
      dependencies.pointChanged(params.id);
    },
  };
}

function countsOf(rows: readonly VmPosture[]) {
  const count = (posture: Posture) => rows.filter((row) => row.posture === posture).length;
  return {
    protected: count('protected'),
    attention: count('attention'),
    unknown: count('unknown'),
    unprotected: count('unprotected'),
  };
}
