/** Reads the disks of a backup that has begun, and publishes what was read. */

import type { StepContext } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { GuestIdentity } from '#platform/guest-identity.ts';
import { readNvram, readTpm } from './blobs.ts';
import { openFileDoor } from './file-door.ts';
import { createGivingWay } from './giving-way.ts';
import { readMeta } from './manifest-row.ts';
import { missedText } from './missed-changes.ts';
import { checkpointName } from './names.ts';
import type { RunServices } from './run-begin.ts';
import type { Begun, RunOrder, Way } from './run-order.ts';
import type { Description, OpenDoor, ReadResult, Session } from './run-session.ts';

const WATCH_MS = 2_000;
/** How often it is looked at how long the guest waits for its disks. */
const GUEST_MS = 1_000;

/** The definition, and what belongs to the VM beside its disks. */
export async function describeVm({ vmId }: RunOrder, services: RunServices): Promise<Description> {
  const { xml, nvramPath, hasTpm } = await services.definition(vmId);
  const blobs: Record<string, Buffer> = { domainXml: Buffer.from(xml) };
  const warnings: string[] = [];
  if (nvramPath !== null) {
    const nvram = await readNvram(nvramPath);
    if (nvram.bytes) blobs['nvram'] = nvram.bytes;
    if (nvram.problem) warnings.push(nvram.problem);
  }
  if (hasTpm) {
    const tpm = await readTpm(vmId);
    if (tpm.bytes) blobs['tpm'] = tpm.bytes;
    if (tpm.problem) warnings.push(tpm.problem);
    if (/<encryption\b[^>]*secret=/.test(xml))
      warnings.push('The TPM is encrypted with a secret of libvirt, which is not in the restore point.');
  }
  return { blobs, warnings };
}

export async function readAll(
  order: RunOrder,
  way: Way,
  begun: Begun,
  session: Session,
  context: StepContext,
  services: RunServices,
): Promise<readonly ReadResult[]> {
  const { vmSide, folders, clock } = services;
  const folder = folders.of(context.operationId);
  const requireOurs = async () => {
    if ((await vmSide.runningSocket(order.vmId)) === folder.socketPath) return;
    throw new AppError('backup_interrupted', {
      detail: `"${order.name}" was stopped, or its backup was ended by somebody else.`,
    });
  };
  const openDoor: OpenDoor = async ({ target, format, source, since }) => {
    if (way === 'unchanged') return null;
    if (way === 'files')
      return openFileDoor({ path: source, format, target, socketPath: `${folder.path}.${target}` }, clock);
    await requireOurs();
    return {
      socketPath: folder.socketPath,
      exportName: target,
      dirtyContext: since !== null ? `qemu:dirty-bitmap:backup-${target}` : null,
      close: async () => undefined,
    };
  };

  const full = new AbortController();
  const watch = setInterval(() => {
    lookAtRoom(order, services).catch((error: unknown) => full.abort(error));
  }, WATCH_MS);
  const givingWay = createGivingWay(way === 'running' ? services.guestSlowMs : null);
  let isLooking = false;
  const lookAtGuest = () => {
    if (isLooking) return;
    isLooking = true;
    void vmSide
      .requests(order.vmId)
      .then(givingWay.look, () => givingWay.look(null))
      .finally(() => {
        isLooking = false;
      });
  };
  lookAtGuest();
  const looks = setInterval(lookAtGuest, GUEST_MS);
  const signal = AbortSignal.any([context.signal, full.signal]);
  try {
    return await session.readDisks(begun.plan.disks, openDoor, { ...context, signal }, givingWay);
  } catch (error) {
    if (context.signal.aborted || full.signal.aborted) throw error;
    // A guest that goes takes its job with it: then nothing is left to try again.
    if (way === 'running' || way === 'paused') await requireOurs();
    throw error;
  } finally {
    clearInterval(watch);
    clearInterval(looks);
  }
}

async function lookAtRoom({ repositoryId }: RunOrder, { space, stateFolder, open }: RunServices): Promise<void> {
  const scratch = await space.look(stateFolder);
  if (scratch.freeBytes < scratch.floorBytes / 2) throw new AppError('backup_scratch_full');
  const { folder } = await open(repositoryId);
  const room = await space.look(folder);
  if (room.freeBytes < room.floorBytes / 2)
    throw new AppError('no_space', {
      detail: 'The file system of the repository is nearly full.',
      hint: 'Free space there, delete restore points that are not needed, or use another repository.',
    });
}

/** Publishes the restore point, once. @returns its id */
export async function publishPoint(
  order: RunOrder,
  way: Way,
  begun: Begun,
  session: Session,
  context: StepContext,
  services: RunServices,
): Promise<string> {
  const { clock, catalogue } = services;
  const { vmId, repositoryId, project } = order;
  const { operationId } = context;
  const vm = await services.meta(vmId);
  const before = await services.publishedBy(repositoryId, vmId, operationId);
  if (before !== null) {
    const { meta } = await readMeta(await services.open(repositoryId), before.id);
    await services.record(order, before, begun, meta ?? { vm, warnings: begun.warnings, missed: [] });
    return before.id;
  }
  // The guest answers while the rest is written.
  const guest = way === 'running' ? services.guestIdentity(vmId, context.signal) : Promise.resolve(null);
  // Heard of where it is waited for.
  guest.catch(() => undefined);
  await session.describe(() => describeVm(order, services));
  const described = await session.described();
  const results = await readAll(order, way, begun, session, context, services);
  const missed = results.flatMap((result) => result.missed ?? []);
  const warnings = [...missed.map(missedText), ...begun.plan.warnings, ...begun.warnings, ...described.warnings];
  const metaBlob = await session.writer.blob(Buffer.from(JSON.stringify({ vm, warnings, missed })));
  const newBytes = results.reduce((sum, { written }) => sum + written.stats.newBytes, 0);
  await context.charge([{ project, resource: 'backups', objectId: operationId, amount: newBytes }]);
  const newest = await catalogue.newest(vmId, repositoryId);
  const isMarked = (way === 'running' || way === 'paused') && begun.plan.disks.some(({ isMarked: is }) => is);
  const manifest = await session.writer.publish({
    vm: vmId,
    project,
    host: services.hostId,
    op: operationId,
    startedAt: begun.startedAt,
    pointInTime: begun.pointInTime,
    finishedAt: clock.now().toISOString(),
    consistency: begun.consistency,
    frozenMs: begun.frozenMs,
    // While it is off nothing is marked anew: what changed since the older mark holds all that changed since now.
    checkpoint: isMarked ? checkpointName(repositoryId, operationId) : (newest?.checkpoint ?? null),
    disks: results.map(({ planned, mode, reason }) => ({
      target: planned.target,
      serial: planned.serial,
      format: planned.format,
      mode,
      parent: mode === 'full' ? null : planned.parentPointId,
      reason,
    })),
    skipped: [...begun.plan.skipped],
    blobs: { ...described.blobs, meta: metaBlob },
    guest: textsOf(await guest),
    tool: await services.tool(),
  });
  await services.record(order, manifest, begun, { vm, warnings, missed });
  return manifest.id;
}

/** What is not known is left out. */
function textsOf(guest: GuestIdentity | null): Record<string, string> | null {
  if (guest === null) return null;
  return Object.fromEntries(Object.entries(guest).filter((entry): entry is [string, string] => entry[1] !== null));
}
