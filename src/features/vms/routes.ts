/** The routes of VMs and the trash: checks what the schema cannot know, then starts an operation. */

import { access as accessFile } from 'node:fs/promises';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm, VmCreate, VmEdit } from '#contract/vms.ts';
import type { BreakGlass } from '#features/audit/index.ts';
import type { ImagesApi } from '#features/images/index.ts';
import { isOnState } from '#features/inventory/index.ts';
import type { OperationsApi } from '#features/operations/index.ts';
import { type May, projectObject } from '#features/projects/index.ts';
import { AppError, type FieldProblem } from '#kernel/errors.ts';
import { newId, newUuid } from '#kernel/ids.ts';
import { page } from '#kernel/page.ts';
import type { Handlers, Identity } from '#platform/feature.ts';
import { bytesToWrite, type CreateOrder, DEFAULT_NETWORK, nameTaken, refusal, resolveCreate } from './create-order.ts';
import { measureCopy } from './disk-files.ts';
import { type ResolvedEdit, resolveEdit } from './edit-order.ts';
import { trashObject, vmObject } from './find.ts';
import { withBreakGlass } from './forced-stop.ts';
import { diskNeed, type HostSpace, hostSpace } from './host-space.ts';
import type { VmKinds } from './kinds.ts';
import { prepareFolders } from './layout.ts';
import { createListAnswer, listVms } from './list.ts';
import type { FilterWorld } from './nic-filter-order.ts';
import { createPlan, editPlan } from './plan.ts';
import type { Accelerator } from './ports.ts';
import { type PowerVerb, requireHere, requireState } from './power-operations.ts';
import { dropSeed, hashPassword, makeSeed } from './seed.ts';
import type { VmServices } from './services.ts';
import { requireFreeMacs } from './trash-operations.ts';
import { type TrashRow, trashView } from './trash-store.ts';
import { type Usable, usableIn } from './usable.ts';

export interface VmRouteDependencies {
  readonly services: VmServices;
  readonly operations: OperationsApi;
  readonly kinds: VmKinds;
  readonly images: Pick<ImagesApi, 'find'>;
  readonly accel: Accelerator;
  /** Waits until it is known whether VMs may use KVM. */
  accelProven(): Promise<unknown>;
  readonly breakGlass: BreakGlass;
}

interface Asked {
  readonly identity: Identity;
  readonly project: string | null;
  readonly requestId: string;
  readonly idempotencyKey: string | null;
  readonly requestHash: string;
  /** Whether the one who asks may do this to an object that the route does not name. */
  readonly may: May;
}

/** Begins to create a VM, as `POST /vms` does. @throws the refusals of that route */
export type CreateVm = (request: Asked & { readonly body: VmCreate }) => Promise<Operation>;

export function createVmRoutes({
  services,
  operations,
  kinds,
  images,
  accel,
  accelProven,
  breakGlass,
}: VmRouteDependencies): {
  readonly handlers: Handlers;
  readonly create: CreateVm;
} {
  const { known, files, state, trash, projects, space: ledger } = services;

  const find = (id: string): Vm => {
    const vm = known.vm(id);
    if (!vm) throw new AppError('not_found', { detail: `There is no VM "${id.slice(0, 80)}".` });
    return vm;
  };

  const isNameTaken = (project: string) => (name: string) => known.named(name).some((vm) => vm.project === project);

  const listAnswer = createListAnswer();
  const describeFile = (path: string) => ({ name: known.describeFile(path).name });

  const usable = (project: string, may: May): Usable => usableIn(project, may, { ...services, images });

  const filterWorld = (project: string, may: May): FilterWorld => ({
    hasFilters: services.networks.hasFilters(),
    isTenants: project !== DEFAULT_PROJECT,
    mayOpenNics: may('network.configure', services.networks.networkObject(DEFAULT_NETWORK)),
    defaultFilter: services.networks.defaultFilter,
  });

  const orderFor = async (
    spec: VmCreate,
    vmId: string,
    may: May,
  ): Promise<{ order: CreateOrder; space: HostSpace }> => {
    if (spec.cloudInit) (await cloudInitDocuments()).checkCloudInit(spec.cloudInit);
    await prepareFolders(state);
    const space = await hostSpace(state.disks, ledger);
    const there = usable(spec.project, may);
    const bridges = new Set<string>();
    for (const { bridge } of spec.nics)
      if (bridge !== undefined && (await there.hasBridge(bridge))) bridges.add(bridge);
    const order = await resolveCreate(spec, vmId, {
      ...there,
      accel,
      space,
      hasTpmEmulator: await hasTpmEmulator(),
      hasBridge: (name) => bridges.has(name),
      holderOfMac(mac) {
        const holder = known.vms().find((vm) => vm.nics.some((nic) => nic.mac === mac));
        return holder ? { name: may('vm.read', vmObject(holder)) ? holder.name : null } : null;
      },
      isNameTaken: isNameTaken(spec.project),
      domainName: (name) => projects.domainName(spec.project, name),
      filters: filterWorld(spec.project, may),
    });
    return { order: await withMeasuredSources(order), space };
  };

  const resolve = async (vm: Vm, edit: VmEdit, may: May): Promise<{ resolved: ResolvedEdit; space: HostSpace }> => {
    const stored = known.storedFacts(vm.id);
    const now = known.facts(vm.id);
    const definition = known.definition(vm.id);
    if (vm.state === 'unknown' || !stored || !now || !definition) {
      throw new AppError('unavailable', { detail: `"${vm.name}" cannot be changed now: libvirt does not answer.` });
    }
    if (!vm.persistent)
      throw new AppError('wrong_state', {
        detail: `"${vm.name}" has no stored definition: it disappears when it is stopped.`,
        hint: 'Define it with the program that made it, then edit it here.',
      });
    const space = await hostSpace(state.root, ledger);
    const resolved = resolveEdit(
      edit,
      {
        vmId: vm.id,
        name: vm.name,
        now,
        stored,
        definitionHash: definition.hash,
        isOn: isOnState(vm.state),
        isAutostart: vm.autostart,
        isProtected: vm.isProtected,
        tags: vm.tags,
      },
      {
        images: usable(vm.project, may).images,
        totalMemoryBytes: space.totalMemoryBytes,
        isNameTaken: isNameTaken(vm.project),
        domainName: (name) => projects.domainName(vm.project, name),
        describeFile,
        filters: filterWorld(vm.project, may),
      },
    );
    return { resolved, space };
  };

  const power = (verb: PowerVerb) => async (request: Asked & { readonly params: { id: string } }) => {
    const before = await operations.repeated(request);
    if (before) return before;
    const vm = find(request.params.id);
    requireState(vm, verb);
    if (verb === 'start') requireHere(vm, known);
    return operations.start(
      kinds.power[verb],
      { vmId: vm.id, name: vm.name },
      { ...startRequest(request), action: `POST /vms/{id}/${verb}` },
    );
  };

  const findTrash = (id: string): TrashRow => {
    const row = trash.get(id);
    if (!row)
      throw new AppError('not_found', { detail: `There is nothing in the trash with the id "${id.slice(0, 80)}".` });
    return row;
  };

  const create: CreateVm = async (request) => {
    const before = await operations.repeated(request);
    if (before) return before;
    if (!known.isConnected)
      throw new AppError('unavailable', { detail: 'No VM can be made now: libvirt does not answer.' });
    // A VM keeps what it was made with, so one made right after a start waits for the proof.
    if (request.body.accel === 'auto') await accelProven();
    const vmId = newUuid();
    const { order } = await orderFor(request.body, vmId, request.may);
    ledger.take(await ledger.look(state.disks), diskNeed(vmId, bytesToWrite(order)));
    try {
      return await startCreate(request, order);
    } catch (error) {
      ledger.release(vmId);
      throw error;
    }
  };

  const startCreate = async (request: Parameters<CreateVm>[0], order: CreateOrder): Promise<Operation> => {
    const { vmId } = order;
    const { cloudInit } = request.body;
    const seed = files.preparedSeed(vmId);
    if (cloudInit) {
      const passwordHash = cloudInit.password === undefined ? null : await hashPassword(cloudInit.password);
      const { seedDocuments } = await cloudInitDocuments();
      await makeSeed(state.scratch, seed, seedDocuments({ vmId, vmName: order.name, cloudInit, passwordHash }));
    }
    const operation = await orDropSeed(seed, vmId, () =>
      operations.start(kinds.create, order, { ...startRequest(request), action: 'POST /vms' }),
    );
    if (operation.objectId !== vmId) ledger.release(vmId);
    return operation;
  };

  const handlers: Handlers = {
    'GET /vms': ({ query: { project, ...query }, may, reach }) => {
      const seen = reach('vm.read') === null ? known.vms() : known.vms().filter((vm) => may('vm.read', vmObject(vm)));
      if (project === undefined) return listAnswer(seen, query);
      const wanted = projects.get(project);
      return listVms(
        seen.filter((vm) => vm.project === wanted?.id),
        query,
      );
    },
    'GET /vms/{id}': ({ params }) => {
      const vm = find(params.id);
      return { json: vm, headers: { etag: `"${vm.etag}"` } };
    },
    'GET /vms/{id}/xml': ({ params }) => {
      const definition = known.definition(find(params.id).id);
      if (!definition) throw new AppError('not_found', { detail: `There is no VM "${params.id.slice(0, 80)}".` });
      return { contentType: 'application/xml; charset=utf-8', bytes: definition.xml };
    },
    'POST /vms/plan': async ({ body, may }) => {
      const { order, space } = await orderFor(body, newUuid(), may);
      // A plan is of what would be done: what the quota refuses would not.
      await services.requireRoom(services.charges.create(order));
      return createPlan({
        order,
        steps: kinds.create.definition.steps(order),
        space,
        accel: accel(),
        nameOf: (path) => describeFile(path).name,
      });
    },
    'POST /vms': create,
    'PATCH /vms/{id}': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const vm = find(request.params.id);
      requireMatch(vm, request.headers['if-match']);
      const { resolved } = await resolve(vm, request.body, request.may);
      return operations.start(kinds.edit, resolved.order, { ...startRequest(request), action: 'PATCH /vms/{id}' });
    },
    'POST /vms/{id}/plan': async ({ params, body, headers, may }) => {
      const vm = find(params.id);
      requireMatch(vm, headers['if-match']);
      const { resolved, space } = await resolve(vm, body, may);
      await services.requireRoom(services.charges.edit(resolved.order));
      return editPlan({
        resolved,
        steps: kinds.edit.definition.steps(resolved.order),
        space,
        memoryBytes: body.memoryBytes ?? vm.memoryBytes,
        accel: vm.accel === 'kvm' ? 'kvm' : 'tcg',
      });
    },
    'POST /vms/{id}/move': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const vm = find(request.params.id);
      requireMatch(vm, request.headers['if-match']);
      const asked = request.body.project;
      const target = projects.get(asked);
      if (!target) throw new AppError('not_found', { detail: `There is no project "${asked.slice(0, 80)}".` });
      // Refused in the words that were asked in: an id must not tell the name.
      request.require('vm.create', { ...projectObject(target), name: asked });
      requireMovable(vm);
      if (vm.project === target.id)
        throw new AppError('wrong_state', {
          detail: `"${vm.name}" is in that project already.`,
          hint: 'Nothing is to be done.',
        });
      if (isNameTaken(target.id)(vm.name)) throw nameTaken(vm.name);
      await requireUsable(vm, usable(target.id, request.may));
      return operations.start(
        kinds.move,
        { vmId: vm.id, name: vm.name, from: vm.project, to: target.id },
        { ...startRequest(request), action: 'POST /vms/{id}/move' },
      );
    },
    'DELETE /vms/{id}': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const vm = find(request.params.id);
      requireMatch(vm, request.headers['if-match']);
      const isStopWanted = request.query.stop === true;
      if (vm.isProtected)
        throw new AppError('vm_protected', {
          detail: `"${vm.name}" is protected, so it was not deleted.`,
          hint: `Take the protection away first: \`hv vm unprotect ${vm.name}\`.`,
        });
      if (vm.state === 'unknown')
        throw new AppError('unavailable', {
          detail: `The state of "${vm.name}" is not known: libvirt does not answer.`,
        });
      if (!vm.persistent)
        throw new AppError('wrong_state', {
          detail: `"${vm.name}" has no stored definition that could be kept.`,
          hint: 'Stop it: it disappears then.',
        });
      if (isOnState(vm.state) && !isStopWanted) {
        throw new AppError('wrong_state', {
          detail: `"${vm.name}" is ${vm.state.replace('_', ' ')}.`,
          hint: 'Shut it down first, or delete it with its power cut (`hv vm delete NAME --stop`).',
          params: { state: vm.state },
        });
      }
      return operations.start(
        kinds.delete,
        { vmId: vm.id, name: vm.name, trashId: newId('trash'), isStopWanted },
        { ...startRequest(request), action: 'DELETE /vms/{id}' },
      );
    },
    'POST /vms/{id}/start': power('start'),
    'POST /vms/{id}/stop': withBreakGlass(power('stop'), breakGlass, services),
    'POST /vms/{id}/reboot': power('reboot'),
    'POST /vms/{id}/reset': power('reset'),
    'POST /vms/{id}/pause': power('pause'),
    'POST /vms/{id}/resume': power('resume'),
    'POST /vms/{id}/shutdown': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const vm = find(request.params.id);
      requireState(vm, 'shutdown');
      const input = { vmId: vm.id, name: vm.name, timeoutSeconds: request.body.timeoutSeconds };
      return operations.start(kinds.shutdown, input, { ...startRequest(request), action: 'POST /vms/{id}/shutdown' });
    },
    'GET /trash': ({ query, may }) => {
      const all = trash.list().filter((row) => may('vm.read', trashObject(row, projects)));
      return page(all, query, (row) => trashView(row, projects.ofDomain));
    },
    'POST /trash/{id}/restore': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      const row = findTrash(request.params.id);
      const holder = known.vm(row.vmId) ?? known.vm(row.name);
      if (holder) {
        throw new AppError('already_exists', {
          detail: `There is a VM "${holder.name}" already.`,
          hint: 'Rename or delete that one first, then restore.',
        });
      }
      requireFreeMacs(row, services);
      return operations.start(kinds.restore, trashInput(row, projects.ofDomain), {
        ...startRequest(request),
        action: 'POST /trash/{id}/restore',
      });
    },
    'DELETE /trash/{id}': async (request) => {
      const before = await operations.repeated(request);
      if (before) return before;
      return operations.start(kinds.purge, trashInput(findTrash(request.params.id), projects.ofDomain), {
        ...startRequest(request),
        action: 'DELETE /trash/{id}',
      });
    },
  };
  return { handlers, create };
}

/** Loaded with the first VM that wants it: YAML takes memory that a daemon at rest need not hold. */
const cloudInitDocuments = () => import('./cloud-init.ts');

function startRequest({ identity, project, requestId, idempotencyKey, requestHash }: Asked): Omit<Asked, 'may'> {
  return { identity, project, requestId, idempotencyKey, requestHash };
}

export function trashInput(
  row: TrashRow,
  ofDomain: (name: string) => { readonly name: string },
): { trashId: string; vmId: string; name: string; domainName: string } {
  return { trashId: row.id, vmId: row.vmId, name: ofDomain(row.name).name, domainName: row.name };
}

/** @throws AppError wrong_state, unavailable */
function requireMovable(vm: Vm): void {
  if (vm.state === 'unknown')
    throw new AppError('unavailable', { detail: `The state of "${vm.name}" is not known: libvirt does not answer.` });
  if (!vm.persistent)
    throw new AppError('wrong_state', {
      detail: `"${vm.name}" has no stored definition that could be moved.`,
      hint: 'Define it with the program that made it, then move it.',
    });
  if (isOnState(vm.state))
    throw new AppError('wrong_state', {
      detail: `"${vm.name}" is ${vm.state.replace('_', ' ')}.`,
      hint: 'A VM can be moved only while it is off: shut it down first.',
      params: { state: vm.state },
    });
}

/** The one who moves it must be allowed to make such a VM there. @throws AppError invalid_input with what stands in the way */
async function requireUsable(vm: Vm, there: Usable): Promise<void> {
  const problems: FieldProblem[] = [];
  const refuse = (problem: string) =>
    problems.push({ path: 'project', problem, mend: 'ask an administrator to give it to that project' });
  for (const { sourceType, source } of vm.nics) {
    if (source === null) continue;
    if (sourceType === 'network' && !there.hasNetwork(source)) refuse(`it has no network "${source}"`);
    if (sourceType === 'bridge' && !(await there.hasBridge(source))) refuse(`it has no bridge "${source}"`);
  }
  if (!there.hasPool && vm.disks.some(({ device }) => device === 'disk')) refuse('it has no pool for the disks');
  for (const { imageId, source, target } of vm.disks)
    if (imageId !== null && there.images.get(imageId) === null)
      problems.push({
        path: 'project',
        problem: `it has no image "${source}"`,
        mend: `take it out of the drive ${target} first`,
      });
  if (problems.length > 0) throw refusal(problems);
}

/** @throws AppError conflict when the client saw an older VM */
function requireMatch(vm: Vm, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim().replace(/^W\//, '').replaceAll('"', ''));
  if (tags.includes(vm.etag)) return;
  throw new AppError('conflict', { detail: `"${vm.name}" changed since it was read.` });
}

/** A seed that no operation took does not stay. */
async function orDropSeed(seed: string, vmId: string, start: () => Promise<Operation>): Promise<Operation> {
  let operation: Operation;
  try {
    operation = await start();
  } catch (error) {
    await dropSeed(seed);
    throw error;
  }
  // The same key came twice at the same moment: the other one's operation is the answer.
  if (operation.objectId !== vmId) await dropSeed(seed);
  return operation;
}

/** Copies are weighed by qemu-img: a compressed image grows when it is copied. */
async function withMeasuredSources(order: CreateOrder): Promise<CreateOrder> {
  const disks: CreateOrder['disks'] = [];
  for (const disk of order.disks) {
    disks.push(
      disk.source ? { ...disk, source: { ...disk.source, bytes: await measureCopy(disk.source, disk.format) } } : disk,
    );
  }
  return { ...order, disks };
}

async function hasTpmEmulator(): Promise<boolean> {
  for (const folder of ['/usr/bin', '/usr/local/bin', '/run/current-system/sw/bin']) {
    try {
      await accessFile(`${folder}/swtpm`);
      return true;
    } catch {
      // Not in this folder; the next one may have it.
    }
  }
  return false;
}
