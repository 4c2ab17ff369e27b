/** Starts a restore point as a test VM, once: exports its disks, lays overlays on them, isolates, starts, watches, and takes it all down
 *  again whatever happens. Nothing of the point is copied; the guest writes to overlays that nobody keeps. */

import { access, writeFile } from 'node:fs/promises';
import type { ProofSettings, ProofTimings } from '#contract/verification.ts';
import { findUefi, vmFiles } from '#features/vms/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newUuid } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { KIB } from '#kernel/units.ts';
import { type LibvirtHost, readDomain } from '#libvirt/index.ts';
import type { StateFolders } from '#platform/config.ts';
import { type NbdSource, serveNbd } from '#platform/nbd/index.ts';
import { giveToQemu, makeOverlay, type QemuUser } from '#platform/qemu-access.ts';
import type { Isolation } from './isolation.ts';
import type { OpenPoint } from './points.ts';
import { proofDomain } from './proof-domain.ts';
import { watchSerial } from './serial-watch.ts';
import { startTestVm } from './test-vm.ts';
import { type WatchedBoot, type WatchOrder, watchBoot } from './watch-boot.ts';
import type { WorkFolder, WorkFolders } from './work-folder.ts';

export interface BootLimits {
  readonly maxMemoryBytes: number;
  readonly maxVcpus: number;
}

export interface BootParts {
  readonly libvirt: Pick<LibvirtHost, 'domains' | 'agent' | 'onEvent' | 'networks'>;
  readonly isolation: Isolation;
  readonly folders: WorkFolders;
  readonly state: StateFolders;
  readonly qemuUser: () => Promise<QemuUser | null>;
  readonly limits: BootLimits;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface BootOrder
  extends Pick<WatchOrder, 'required' | 'guest' | 'probe' | 'limits' | 'signal' | 'progress'>,
    Pick<ProofSettings, 'marker' | 'hasNetwork'> {
  readonly operationId: string;
  readonly accel: 'kvm' | 'tcg';
  readonly point: OpenPoint;
}

export interface BootReport {
  readonly watched: Omit<WatchedBoot, 'timings'>;
  readonly timings: ProofTimings;
  /** Of the restore point. */
  readonly readBytes: number;
  readonly serial: { readonly text: string; readonly totalBytes: number };
  /** PNG by moment. */
  readonly pictures: ReadonlyMap<string, Buffer>;
  readonly notes: readonly string[];
  readonly network: 'isolated' | 'none';
  readonly networkNote: string | null;
}

/** @throws the signal's reason, and failures of the host before the guest was started */
export async function bootPoint(parts: BootParts, order: BootOrder): Promise<BootReport> {
  const { clock, log, libvirt, isolation, folders } = parts;
  const { operationId, point, signal } = order;
  const beganMs = clock.monotonicMs();
  const secondsSince = (ms: number) => Math.round((clock.monotonicMs() - ms) / 100) / 10;
  await using stack = new AsyncDisposableStack();
  const folder = await folders.make(operationId);
  stack.defer(() => folders.remove(operationId));

  const qemu = await parts.qemuUser();
  const served = await exportDisks(point, folder, stack, log);
  await giveToQemu(folder.socketPath, qemu, 0o660);
  const exportSeconds = secondsSince(beganMs);
  for (const { target, sizeBytes } of point.disks)
    await makeOverlay(
      folder.overlayPath(target),
      { socketPath: folder.socketPath, exportName: target, sizeBytes },
      signal,
    );

  const { network, reason } = order.hasNetwork
    ? await isolation.up(operationId)
    : { network: null, reason: 'The settings of the VM say so.' };
  stack.defer(() => isolation.down(operationId));

  const domain = proofDomain(point.definition, {
    operationId,
    uuid: newUuid(),
    accel: order.accel,
    maxMemoryKib: Math.floor(parts.limits.maxMemoryBytes / KIB),
    maxVcpus: parts.limits.maxVcpus,
    disks: point.disks.map(({ target }) => ({ target, overlayPath: folder.overlayPath(target) })),
    media: await seedsOf(point.definition, parts.state),
    network: network?.name ?? null,
    uefi: await uefiOf(point, folder, qemu),
  });
  const uuid = readDomain(domain.xml).uuid ?? '';
  const serial = watchSerial(order.marker);
  const pictures = new Map<string, Buffer>();
  const definedMs = clock.monotonicMs();
  const started = await startTestVm({ libvirt, uuid, xml: domain.xml, serial, clock, log, signal });
  stack.use(started);
  const defineSeconds = secondsSince(definedMs);

  const { timings, ...watched } = await watchBoot(
    {
      ...started.vm,
      serial,
      readBytes: served.readBytes,
      badData: served.problem,
      address: async () => (network === null ? null : isolation.addressOf(network)),
      async takePicture(which) {
        const picture = await started.picture();
        if (picture !== null) pictures.set(which, picture);
      },
    },
    { ...order, hasMarker: order.marker !== null, clock },
  );
  return {
    watched,
    timings: { exportSeconds, defineSeconds, ...timings },
    readBytes: served.readBytes(),
    serial: { text: serial.text(), totalBytes: serial.totalBytes },
    pictures,
    notes: domain.notes,
    network: network === null ? 'none' : 'isolated',
    networkNote: reason,
  };
}

/** Serves every disk of the point, counts what is read, and remembers the first read that failed. */
async function exportDisks(point: OpenPoint, folder: WorkFolder, stack: AsyncDisposableStack, log: Logger) {
  let readBytes = 0;
  let problem: string | null = null;
  const exports = new Map<string, NbdSource>();
  for (const { target } of point.disks) {
    const image = await point.openDisk(target);
    stack.defer(() => image.close());
    exports.set(target, {
      sizeBytes: image.sizeBytes,
      async read(offsetBytes, lengthBytes) {
        readBytes += lengthBytes;
        return image.read(offsetBytes, lengthBytes);
      },
      release: (bytes) => image.release?.(bytes),
      extents: (offsetBytes, lengthBytes) => image.extents(offsetBytes, lengthBytes),
    });
  }
  const server = await serveNbd({
    socketPath: folder.socketPath,
    exports,
    onReadError: (exportName, error) => {
      if (error instanceof AppError && error.code === 'point_damaged') problem ??= error.message;
      // QEMU stops the guest at the failed read; why it failed is no fault of the point.
      else log.warn({ disk: exportName, err: error }, 'a restore point could not be read while it was proven');
    },
  });
  stack.defer(() => server.close());
  return { readBytes: () => readBytes, problem: () => problem };
}

/** What cloud-init read when the VM was made, where it is still there: without it a guest takes itself for a new one. */
async function seedsOf(definition: string, state: StateFolders): Promise<ReadonlyMap<string, string>> {
  const { isOwnDisk } = vmFiles(state);
  const seeds = new Map<string, string>();
  for (const { device, source, target } of readDomain(definition).disks)
    if (device === 'cdrom' && source?.endsWith('-seed.iso') && isOwnDisk(source) && (await isThere(source)))
      seeds.set(target, source);
  return seeds;
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** @throws AppError unavailable when the host has no firmware for it */
async function uefiOf(point: OpenPoint, { nvramPath }: WorkFolder, qemu: QemuUser | null) {
  const { firmware, arch, machine, isSecureBoot } = readDomain(point.definition);
  if (firmware !== 'uefi') return null;
  const found = await findUefi({ arch: arch ?? 'x86_64', machine: machine ?? 'q35', secureBoot: isSecureBoot });
  if (found === null)
    throw new AppError('unavailable', {
      detail: 'The guest starts by UEFI, and this host has no firmware for it.',
      hint: 'Install the package `ovmf`.',
    });
  if (point.nvram !== null) {
    await writeFile(nvramPath, point.nvram, { mode: 0o600 });
    await giveToQemu(nvramPath, qemu, 0o660);
  }
  return { isSecure: isSecureBoot, codePath: found.codePath, templatePath: found.varsTemplatePath, nvramPath };
}
