/** Creates a VM. Everything it makes is named by the operation's id or the UUID chosen before, so each step can tell what is done already. */

import { rm } from 'node:fs/promises';
import { imageLock } from '#features/images/index.ts';
import { factsOf, filterUse } from '#features/inventory/index.ts';
import { defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { KIB } from '#kernel/units.ts';
import { buildDomainXml, type DiskSpec, type DomainSpec } from '#libvirt/index.ts';
import { bytesOfDisk, type CreateOrder, createOrderSchema, nameTaken } from './create-order.ts';
import { exists, makeDisk, moveFile, quarantineFile } from './disk-files.ts';
import { prepareFolders, type VmFiles } from './layout.ts';
import { dropSeed } from './seed.ts';
import type { VmServices } from './services.ts';

/** The first definition after a start of libvirtd waits until it has looked at each QEMU: seconds, on a busy host many. */
export const DEFINE_MS = 60_000;

export function createVmOperation(services: VmServices): OperationDefinition<CreateOrder> {
  return defineOperation({
    kind: 'vm.create',
    permission: 'vm.create',
    input: createOrderSchema,
    title: (order) => `Create ${order.name}`,
    object: (order) => ({ type: 'vm', id: order.vmId, name: order.name }),
    locks: (order) => [
      `vm:${order.vmId}`,
      `vm-name:${domainName(order)}`,
      ...order.nics.map((nic) => `mac:${nic.mac}`),
    ],
    shares: (order) => order.imageIds.map(imageLock),
    charges: services.charges.create,
    steps: (order) => createSteps(order, services),
    result: async (order) => ({ vmId: order.vmId, name: order.name }),
  });
}

function createSteps(order: CreateOrder, services: VmServices): Step[] {
  const { access, known, libvirt, definer, networks, storage, projects, files, state, space, clock } = services;
  const diskPaths = (operationId: string) => order.disks.map((disk, n) => files.disk(operationId, n, disk.format));
  const networkNames = [...new Set(order.nics.flatMap((nic) => nic.network ?? []))];

  const prepare: Step = {
    name: 'prepare',
    title: 'Check the name and prepare the storage',
    async act(context) {
      const holder = await access.holderOfName(domainName(order));
      if (holder !== null && holder !== order.vmId) throw nameTaken(order.name);
      await prepareFolders(state);
      await storage.ensureOwnPool(context.signal);
    },
    // The seed was prepared with the request: it goes even when its own step was not reached.
    compensate: () => dropSeed(files.preparedSeed(order.vmId)),
  };

  const disks: Step = {
    name: 'disks',
    title: order.disks.length === 1 ? 'Make the disk' : 'Make the disks',
    timeoutMs: null,
    isCancellable: true,
    check: async ({ operationId }) =>
      (await Promise.all(diskPaths(operationId).map(exists))).every((isThere) => isThere),
    async act(context) {
      const bytes = order.disks.map(bytesOfDisk);
      const from = (n: number) => bytes.slice(n).reduce((sum, each) => sum + each, 0);
      // Promised with the request; a restart has forgotten it.
      space.expect(await space.look(state.disks), order.vmId, from(0));
      try {
        for (const [n, path] of diskPaths(context.operationId).entries()) {
          const disk = order.disks[n];
          if (!disk) continue;
          const { format, sizeBytes, source } = disk;
          await makeDisk({ path, format, sizeBytes, ...(source ? { source } : {}) }, context.signal, (ratio) => {
            space.left(order.vmId, from(n) - Math.floor(ratio * (bytes[n] ?? 0)));
            context.progress({ ratio: (n + ratio) / order.disks.length });
          });
          space.left(order.vmId, from(n + 1));
        }
      } finally {
        space.release(order.vmId);
      }
    },
    async compensate({ operationId }) {
      for (const path of diskPaths(operationId)) {
        await rm(`${path}.part`, { force: true });
        await quarantineFile(path, files.quarantine(operationId));
      }
    },
  };

  const seed: Step = {
    name: 'seed',
    title: 'Put the cloud-init data in place',
    check: ({ operationId }) => exists(files.seed(operationId)),
    async act({ operationId }) {
      const prepared = files.preparedSeed(order.vmId);
      if (!(await exists(prepared))) {
        throw new AppError('files_missing', {
          detail: 'The prepared cloud-init data is gone.',
          hint: 'Create the VM again.',
        });
      }
      await moveFile(prepared, files.seed(operationId));
    },
    async compensate({ operationId }) {
      // It holds nothing but what the request said, a password hash among it: not to be kept.
      await dropSeed(files.preparedSeed(order.vmId));
      await dropSeed(files.seed(operationId));
    },
  };

  const network: Step = {
    name: 'network',
    title: 'Start the network',
    async act(context) {
      for (const name of networkNames) await networks.ensureActive(name, context.signal);
      // After the networks: their addresses are among those that guests must not take.
      const isFiltered = order.nics.some(({ filter }) => filter !== null);
      if (isFiltered && !(await networks.ensureFilters())) throw new AppError('nic_filter_unavailable');
    },
  };

  const define: Step = {
    name: 'define',
    title: 'Define the VM',
    check: () => access.isDefined(order.vmId),
    async act({ operationId }) {
      await known.rows.put({
        uuid: order.vmId,
        desired: order.isStarted ? 'running' : 'off',
        isProtected: order.isProtected,
        tags: order.tags,
        managed: true,
        createdAt: clock.now().toISOString(),
        operationId,
        moved: null,
      });
      await definer.define(buildDomainXml(domainSpec(order, operationId, files)), {
        vmId: order.vmId,
        project: projects.ofDomain(domainName(order)).project,
        before: null,
        // Asked for with the request.
        mayOpenNics: true,
        deadlineMs: DEFINE_MS,
      });
    },
    async compensate({ operationId }) {
      if (await access.isDefined(order.vmId)) {
        // Only what this operation made may go; a UUID that somebody else took since then stays.
        if (factsOf(await libvirt.domains.xml(order.vmId, { inactive: true })).operationId !== operationId) return;
        await libvirt.domains.undefine(order.vmId, { leftovers: 'delete' });
      }
      await rm(files.nvram(order.vmId), { force: true });
      await known.rows.remove(order.vmId);
      await known.refresh(order.vmId);
    },
  };

  const start: Step = {
    name: 'start',
    title: 'Start the VM',
    check: () => access.isOn(order.vmId),
    act: () => access.start(order.vmId),
    async compensate() {
      if (await access.isDefined(order.vmId)) await access.stop(order.vmId);
    },
  };

  const publish: Step = {
    name: 'publish',
    title: 'Show the VM',
    async act() {
      if (order.isAutostart) await libvirt.domains.setAutostart(order.vmId, true);
      await storage.rescanOwnPool();
      await known.refresh(order.vmId);
    },
  };

  return [
    prepare,
    ...(order.disks.length > 0 ? [disks] : []),
    ...(order.hasSeed ? [seed] : []),
    ...(networkNames.length > 0 ? [network] : []),
    define,
    ...(order.isStarted ? [start] : []),
    publish,
  ];
}

/** The definition that libvirt gets. */
export function domainSpec(order: CreateOrder, operationId: string, files: VmFiles): DomainSpec {
  const isDirect = order.kernel !== null;
  let next = 0;
  const boot = (): { bootOrder?: number } => {
    if (isDirect) return {};
    next += 1;
    return { bootOrder: next };
  };
  // There is always a drive, so that an ISO can be put in later without a restart.
  const drive: DiskSpec = { device: 'cdrom', path: order.isoPath, ...(order.isoPath === null ? {} : boot()) };
  const disks = order.disks.map(
    (disk, n): DiskSpec => ({ path: files.disk(operationId, n, disk.format), format: disk.format, ...boot() }),
  );
  const seed: DiskSpec[] = order.hasSeed ? [{ device: 'cdrom', path: files.seed(operationId) }] : [];
  return {
    name: domainName(order),
    uuid: order.vmId,
    ...(order.title === null ? {} : { title: order.title }),
    ...(order.description === null ? {} : { description: order.description }),
    virtType: order.accel === 'kvm' ? 'kvm' : 'qemu',
    memoryKib: order.memoryBytes / KIB,
    vcpus: order.vcpus,
    firmware: order.uefi
      ? {
          kind: 'uefi',
          loaderPath: order.uefi.codePath,
          nvramTemplatePath: order.uefi.varsTemplatePath,
          nvramPath: files.nvram(order.vmId),
          secureBoot: order.uefi.isSecureBoot,
        }
      : { kind: 'bios' },
    ...(order.kernel
      ? {
          directKernel: {
            kernelPath: order.kernel.path,
            ...(order.kernel.initrdPath === null ? {} : { initrdPath: order.kernel.initrdPath }),
            ...(order.kernel.commandLine === '' ? {} : { cmdline: order.kernel.commandLine }),
          },
        }
      : {}),
    disks: [drive, ...disks, ...seed],
    nics: order.nics.map((nic) => ({
      mac: nic.mac,
      source:
        nic.bridge === null ? { kind: 'network', network: nic.network ?? '' } : { kind: 'bridge', bridge: nic.bridge },
      ...(nic.filter === null ? {} : { filter: filterUse(nic.filter) }),
      ...boot(),
    })),
    graphics: order.hasGraphics ? 'vnc' : 'none',
    tpm: order.hasTpm,
    serialLogPath: files.serialLog(order.vmId),
    metadata: { op: operationId },
  };
}

const domainName = (order: CreateOrder): string => order.domainName ?? order.name;
