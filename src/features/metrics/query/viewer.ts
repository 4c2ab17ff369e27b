/** Whose figures somebody may see: figures of what he may read. What does not exist any more is only for those who see all. */

import type { ApiKey } from '#contract/api.ts';
import type { Vm } from '#contract/vms.ts';
import { vmObject } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import { type ApiRequest, SYSTEM } from '#platform/feature.ts';
import type { Owner } from '../sample.ts';
import type { Book, OwnerBook } from '../store/book.ts';

export interface Inventory {
  vm(idOrName: string): Vm | null;
  named(name: string): readonly Vm[];
  /** The project of this id or name. */
  project(idOrName: string): { readonly id: string } | null;
}

export type Asker = Pick<ApiRequest<ApiKey>, 'may'>;

export interface Viewer {
  sees(owner: Owner): boolean;
  /** @throws not_found, forbidden */
  require(entity: string): readonly OwnerBook[];
}

export function createViewer({ may }: Asker, known: Inventory, book: Book, hostId: string): Viewer {
  const seesHost = may('metrics.read', SYSTEM) && may('host.read', SYSTEM);
  const seesAll = seesHost && may('vm.read', SYSTEM);
  const seesVm = (vm: Vm) => may('vm.read', vmObject(vm)) && may('metrics.read', vmObject(vm));
  const sees = (owner: Owner): boolean => {
    if (owner.type === 'host') return seesHost;
    const vm = known.vm(owner.id);
    return vm === null || vm.id !== owner.id ? seesAll : seesVm(vm);
  };
  const noSuch = (id: string) =>
    new AppError('not_found', { detail: `There is no VM "${id.slice(0, 80)}".`, hint: 'See `hv vm list`.' });

  const vmCalled = (text: string): Owner => {
    const byId = known.vm(text);
    if (byId?.id === text) {
      if (!seesVm(byId)) throw noSuch(text);
      return { type: 'vm', id: byId.id };
    }
    const slash = text.indexOf('/');
    const project = slash < 0 ? null : known.project(text.slice(0, slash));
    const named =
      project === null
        ? known.named(text)
        : known.named(text.slice(slash + 1)).filter((vm) => vm.project === project.id);
    const found = named.filter(seesVm);
    if (found.length > 1)
      throw new AppError('ambiguous_name', {
        detail: `${found.length} VMs are called "${text.slice(0, 80)}".`,
        hint: 'Name it as PROJECT/NAME, or use its id; the list shows both.',
      });
    const id = found[0]?.id ?? text;
    if (found.length === 0 && !seesAll) throw noSuch(text);
    return { type: 'vm', id };
  };

  return {
    sees,
    require(entity) {
      if (entity === 'vm') return [...book.owners()].filter(({ owner }) => owner.type === 'vm' && sees(owner));
      if (entity.startsWith('vm:')) {
        const owner = vmCalled(entity.slice(3));
        const found = book.recall(owner);
        if (found !== null) return [found];
        if (known.vm(owner.id) !== null) return [];
        throw noSuch(entity.slice(3));
      }
      if (entity !== 'host' && entity !== `host:${hostId}`) {
        const problem = `"${entity.slice(0, 60)}" is neither host nor vm:NAME.`;
        const mend = 'Use host, vm for all VMs, or vm:NAME.';
        throw new AppError('invalid_input', {
          detail: `query.entity: ${problem}`,
          hint: mend,
          fields: [{ path: 'query.entity', problem, mend }],
        });
      }
      if (!seesHost)
        throw new AppError('forbidden', {
          detail: 'Figures of the host need the permissions host.read and metrics.read on the system.',
        });
      const host = book.recall({ type: 'host', id: hostId });
      return host === null ? [] : [host];
    },
  };
}
