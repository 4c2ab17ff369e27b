/** The answer to `GET /metrics`: what the asker may see, as text. What is measured is put into words once a tick for all who see the same;
 *  the few families of the program itself are of this moment. */

import type { AccessApi } from '#features/access/index.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { MetricsApi } from '#features/metrics/index.ts';
import { vmObject } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import { type Identity, type MetricFamily, SYSTEM } from '#platform/feature.ts';
import { CONTENT_TYPES, formatFor, renderFamilies, TEXT_END, type TextFormat } from './text.ts';

export interface PageRequest {
  readonly identity: Identity;
  /** The header. */
  readonly accept: string | null;
  /** Under whose names: `libvirt` for those of Tinkoff/libvirt-exporter, undefined for ours. */
  readonly compat: unknown;
}

export interface Page {
  readonly contentType: string;
  readonly body: string;
}

export interface PageParts {
  readonly access: Pick<AccessApi, 'decide' | 'holds'>;
  readonly metrics: Pick<MetricsApi, 'rawFamilies' | 'libvirtExporterFamilies'>;
  readonly inventory: Pick<InventoryApi, 'vms' | 'pools'>;
  /** Families of the program itself. */
  families(): readonly MetricFamily[];
  hostName(): string;
}

interface View {
  readonly seesHost: boolean;
  /** null = all. */
  readonly vms: ReadonlySet<string> | null;
}

/** Askers with different rights at once, times formats; a page of 200 VMs has 0.7 MB. */
const MAX_KEPT = 6;

export function createPages({ access, metrics, inventory, families, hostName }: PageParts) {
  const kept = new Map<string, string>();

  const viewOf = (who: Identity): View => {
    const mayAll = (permission: 'metrics.read' | 'host.read' | 'vm.read') =>
      access.decide(who, permission, SYSTEM).allow;
    const seesHost = mayAll('metrics.read') && mayAll('host.read');
    if (seesHost && mayAll('vm.read')) return { seesHost, vms: null };
    const seen = inventory.vms().filter((vm) => {
      const object = vmObject(vm);
      return access.decide(who, 'vm.read', object).allow && access.decide(who, 'metrics.read', object).allow;
    });
    return { seesHost, vms: new Set(seen.map(({ id }) => id)) };
  };

  /** The right is asked for each time; only the words are kept. */
  const measured = (view: View, format: TextFormat, isCompat: boolean): string => {
    const seen = view.vms === null ? 'all' : [...view.vms].sort().join();
    const key = `${format} ${isCompat} ${view.seesHost} ${seen}`;
    const known = kept.get(key);
    if (known !== undefined) return known;
    const found = isCompat
      ? metrics.libvirtExporterFamilies({
          vms: inventory.vms().filter(({ id }) => view.vms === null || view.vms.has(id)),
          pools: view.seesHost ? inventory.pools() : [],
        })
      : metrics.rawFamilies().map((family) => seenOf(family, view));
    const text = renderFamilies(found, format, isCompat ? null : hostName());
    if (kept.size >= MAX_KEPT) kept.clear();
    kept.set(key, text);
    return text;
  };

  return {
    /** @throws forbidden, invalid_input */
    page({ identity, accept, compat }: PageRequest): Page {
      if (!access.holds(identity, 'metrics.read'))
        throw new AppError('forbidden', { detail: 'This needs the permission metrics.read.' });
      if (compat !== undefined && compat !== 'libvirt')
        throw new AppError('invalid_input', {
          detail: 'query.compat: there are no such names.',
          hint: 'Use libvirt for the names of Tinkoff/libvirt-exporter, or leave it out.',
          fields: [{ path: 'query.compat', problem: 'there are no such names', mend: 'Use libvirt, or leave it out.' }],
        });
      const view = viewOf(identity);
      const format = formatFor(accept);
      const own = view.seesHost && compat === undefined ? families() : [];
      const body = measured(view, format, compat !== undefined) + renderOwn(own, format, hostName()) + TEXT_END[format];
      return { contentType: CONTENT_TYPES[format], body };
    },
    /** New figures were measured. */
    ticked: () => kept.clear(),
  };
}

/** Figures without the label `uuid` are of the host. */
function seenOf(family: MetricFamily, { seesHost, vms }: View): MetricFamily {
  if (vms === null) return family;
  const samples = family.samples.filter(({ labels }) => {
    const uuid = labels?.['uuid'];
    return uuid === undefined ? seesHost : vms.has(uuid);
  });
  return { ...family, samples };
}

/** The names that every program has, `process_…`, have no labels of ours. */
function renderOwn(families: readonly MetricFamily[], format: TextFormat, host: string): string {
  const isCommon = ({ name }: MetricFamily) => name.startsWith('process_');
  return (
    renderFamilies(families.filter(isCommon), format, null) +
    renderFamilies(
      families.filter((family) => !isCommon(family)),
      format,
      host,
    )
  );
}
