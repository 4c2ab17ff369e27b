/** The only way to libvirt's definitions: each is looked at in its final form, then defined. No other file may call `domains.define`
 *  or `domains.rename`; a test reads the source for that. */

import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { ImagesApi } from '#features/images/index.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { NetworksApi } from '#features/networks/index.ts';
import { isForProject, type ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { child, type LibvirtHost, parseXml } from '#libvirt/index.ts';
import { assertDomainAllowed, type Defining, type Forbidden, findForbidden } from './domain-allowed.ts';
import type { Tenant } from './domain-rules.ts';
import { withNicFilters } from './filtered-nics.ts';
import type { VmFiles } from './layout.ts';
import type { TrashStore } from './trash-store.ts';

/** What libvirt itself sends may be longer than what users may. */
const MAX_XML_BYTES = 4 * 1024 * 1024;

export interface DefineRequest extends Pick<Defining, 'isUndo'> {
  readonly vmId: string;
  /** Id of the project that the VM belongs to afterwards. */
  readonly project: string;
  /** The definition that it changes, or what was found in it; null for a new VM and for one that comes from another project. */
  readonly before: string | readonly Forbidden[] | null;
  /** Who asked for it may let a NIC go unfiltered. */
  readonly mayOpenNics?: boolean;
  readonly deadlineMs?: number;
  /** False leaves out libvirt's check against its schema. */
  readonly validate?: boolean;
}

export interface DomainDefiner {
  /** @throws definition_not_allowed and failures of libvirt */
  define(xml: string, request: DefineRequest): Promise<void>;
  /** Gives it another name in libvirt, which can be that of another project. @param xml its definition now
   *  @throws definition_not_allowed and failures of libvirt */
  rename(xml: string, to: string, request: DefineRequest): Promise<void>;
  /** What the definition has that a VM of this project may not have. */
  forbiddenIn(xml: string, vm: { readonly vmId: string; readonly project: string }): readonly Forbidden[];
}

export interface DefinerDependencies {
  readonly libvirt: Pick<LibvirtHost, 'domains'>;
  readonly known: Pick<InventoryApi, 'fileUsers' | 'describeFile' | 'row'>;
  readonly images: Pick<ImagesApi, 'object'>;
  readonly networks: Pick<NetworksApi, 'networkObject' | 'bridgeObject' | 'hasFilters'>;
  readonly projects: Pick<ProjectsApi, 'ofDomain'>;
  readonly trash: Pick<TrashStore, 'list'>;
  readonly files: VmFiles;
  readonly log: Logger;
}

export function createDomainDefiner(dependencies: DefinerDependencies): DomainDefiner {
  const { libvirt, log } = dependencies;
  const rootOf = (xml: string) => parseXml(xml, MAX_XML_BYTES);
  const forbiddenIn: DomainDefiner['forbiddenIn'] = (xml, vm) => findForbidden(rootOf(xml), tenantOf(vm, dependencies));

  const check = (root: ReturnType<typeof parseXml>, request: DefineRequest) => {
    const { vmId, project, before } = request;
    const vmName = dependencies.projects.ofDomain(child(root, 'name')?.textContent ?? '').name;
    try {
      assertDomainAllowed(root, tenantOf(request, dependencies), {
        vmName,
        project,
        before: typeof before === 'string' ? forbiddenIn(before, request) : (before ?? []),
        ...(request.isUndo === undefined ? {} : { isUndo: request.isUndo }),
      });
    } catch (error) {
      if (error instanceof AppError) log.warn({ vm: vmId, project, ...error.params }, 'a definition was refused');
      throw error;
    }
  };

  /** VMs of others keep what they have, and an undo brings back what there was. */
  const filtered = (xml: string, { vmId, project, isUndo }: DefineRequest): string => {
    const isOurs = project !== DEFAULT_PROJECT || dependencies.known.row(vmId)?.managed === true;
    return isOurs && isUndo !== true && dependencies.networks.hasFilters() ? withNicFilters(xml, MAX_XML_BYTES) : xml;
  };

  return {
    forbiddenIn,
    async define(bare, request) {
      const xml = filtered(bare, request);
      check(rootOf(xml), request);
      await libvirt.domains.define(xml, {
        ...(request.deadlineMs === undefined ? {} : { deadlineMs: request.deadlineMs }),
        ...(request.validate === undefined ? {} : { validate: request.validate }),
      });
    },
    async rename(bare, to, request) {
      const xml = filtered(bare, request);
      const root = rootOf(xml);
      const name = child(root, 'name');
      if (name) name.textContent = to;
      check(root, request);
      if (xml !== bare) await libvirt.domains.define(xml);
      await libvirt.domains.rename(request.vmId, to);
    },
  };
}

function tenantOf(
  { vmId, project, mayOpenNics }: Pick<DefineRequest, 'vmId' | 'project' | 'mayOpenNics'>,
  { known, images, networks, projects, trash, files }: DefinerDependencies,
): Tenant {
  const isOthers = (path: string) =>
    known.fileUsers(path).some((user) => user.vmId !== vmId) ||
    trash.list().some((row) => row.vmId !== vmId && row.files.some(({ from }) => from === path));
  return {
    isOwnName: (name) => projects.ofDomain(name).project === project,
    isOwnDisk: (path) => files.isOwnDisk(path) && !isOthers(path),
    isImage(path) {
      const { imageId } = known.describeFile(path);
      const object = imageId === null ? null : images.object(imageId);
      return object !== null && isForProject(object, project);
    },
    isLibraryFile: (path) => known.describeFile(path).imageId !== null,
    isOwnNvram: (path) => path === files.nvram(vmId),
    isOwnSerialLog: (path) => path === files.serialLog(vmId),
    mayOpenNics: mayOpenNics === true,
    isFiltered: project !== DEFAULT_PROJECT || networks.hasFilters(),
    hasNetwork: (name) => isForProject(networks.networkObject(name), project),
    hasBridge: (name) => isForProject(networks.bridgeObject(name), project),
  };
}
