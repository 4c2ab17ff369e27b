/** The routes of VMs and the trash: checks what the schema cannot know, then starts an operation. */

import { access as accessFile } from 'node:fs/promises';
import type { Operation } from '#contract/operations.ts';
import type { Vm, VmCreate, VmEdit } from '#contract/vms.ts';
import type { BreakGlass } from '#features/audit/index.ts';
import { isOnState } from '#features/inventory/index.ts';
import type { OperationsApi } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { newId, newUuid } from '#kernel/ids.ts';
import type { Handlers, Identity } from '#platform/feature.ts';
import { bytesToWrite, type CreateOrder, resolveCreate } from './create-order.ts';
import { measureCopy } from './disk-files.ts';
import { type ResolvedEdit, resolveEdit } from './edit-order.ts';
import { trashObject, vmObject } from './find.ts';
import { withBreakGlass } from './forced-stop.ts';
import { diskNeed, type HostSpace, hostSpace } from './host-space.ts';
import type { VmKinds } from './kinds.ts';
import { prepareFolders } from './layout.ts';
import { createListAnswer, listVms } from './list.ts';
import { createPlan, editPlan } from './plan.ts';
import type { Accelerator, ImageLibrary } from './ports.ts';
import { type PowerVerb, requireState } from './power-operations.ts';
import { dropSeed, hashPassword, makeSeed } from './seed.ts';
import type { VmServices } from './services.ts';
import { requireFreeMacs } from './trash-operations.ts';
import { type TrashRow, trashView } from './trash-store.ts';

export interface VmRouteDependencies {
  readonly services: VmServices;
  readonly operations: OperationsApi;
  readonly kinds: VmKinds;
  readonly images: ImageLibrary;
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
  const { known, networks, files, state, trash, projects, space: ledger } = services;

  const find = (id: string): Vm => {
    const vm = known.vm(id);
    if (!vm) throw new AppError('not_found', { detail: `There is no VM "${id.slice(0, 80)}".` });
    return vm;
  };

  const isNameTaken = (project: string) => (name: string) => known.named(name).some((vm) => vm.project === project);

  const listAnswer = createListAnswer();
  const describeFile = (path: string) => ({ name: known.describeFile(path).name });

  const orderFor = async (spec: VmCreate, vmId: string): Promise<{ order: CreateOrder; space: HostSpace }> => {
    if (spec.cloudInit) (await cloudInitDocuments()).checkCloudInit(spec.cloudInit);
    await prepareFolders(state);
    const space = await hostSpace(state.disks, ledger);
    const bridges = new Set<string>();
    for (const { bridge } of spec.nics)
      if (bridge !== undefined && (await networks.hasBridge(bridge))) bridges.add(bridge);
    const order = await resolveCreate(spec, vmId, {
      images,
      accel,
      space,
      hasTpmEmulator: await hasTpmEmulator(),
      hasNetwork: networks.hasNetwork,
      hasBridge: (name) => bridges.has(name),
      holderOfMac: (mac) => known.vms().find((vm) => vm.nics.some((nic) => nic.mac === mac))?.name ?? null,
      isNameTaken: isNameTaken(spec.project),
      domainName: (name) => projects.domainName(spec.project, name),
    });
    return { order: await withMeasuredSources(order), space };
  };

  const resolve = async (vm: Vm, edit: VmEdit): Promise<{ resolved: ResolvedEdit; space: HostSpace }> => {
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
      },
      {
        images,
        totalMemoryBytes: space.totalMemoryBytes,
        isNameTaken: isNameTaken(vm.project),
        domainName: (name) => projects.domainName(vm.project, name),
        describeFile,
      },
    );
    return { resolved, space };
  };

  const power = (verb: PowerVerb) => async (request: Asked & { readonly params: { id: string } }) => {
    const before = await operations.repeated(request);
    if (before) return before;
    const vm = find(request.params.id);
    requireState(vm, verb);
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
    const { order } = await orderFor(request.body, vmId);
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
    'POST /vms/plan': async ({ body }) => {
      const { order, space } = await orderFor(body, newUuid());
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
      const { resolved } = await resolve(vm, request.body);
      return operations.start(kinds.edit, resolved.order, { ...startRequest(request), action: 'PATCH /vms/{id}' });
    },
    'POST /vms/{id}/plan': async ({ params, body, headers }) => {
      const vm = find(params.id);
      requireMatch(vm, headers['if-match']);
      const { resolved, space } = await resolve(vm, body);
      return editPlan({
        resolved,
        steps: kinds.edit.definition.steps(resolved.order),
        space,
        memoryBytes: body.memoryBytes ?? vm.memoryBytes,
        accel: vm.accel === 'kvm' ? 'kvm' : 'tcg',
      });
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
      const from = query.cursor === undefined ? 0 : Math.max(0, all.findIndex((row) => row.id === query.cursor) + 1);
      const items = all.slice(from, from + query.limit).map((row) => trashView(row, projects.ofDomain));
      return { items, next: from + query.limit < all.length ? (items.at(-1)?.id ?? null) : null, total: all.length };
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
      requireFreeMacs(row, known);
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

function startRequest({ identity, project, requestId, idempotencyKey, requestHash }: Asked): Asked {
  return { identity, project, requestId, idempotencyKey, requestHash };
}

export function trashInput(
  row: TrashRow,
  ofDomain: (name: string) => { readonly name: string },
): { trashId: string; vmId: string; name: string; domainName: string } {
  return { trashId: row.id, vmId: row.vmId, name: ofDomain(row.name).name, domainName: row.name };
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
