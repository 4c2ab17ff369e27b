/** Backs up one VM. Each step asks the world what is so already; what a crash leaves is taken up again by the journal, and what fails is
 *  undone: the job in QEMU is ended, its mark goes, and the mark of the last restore point stays good. */

import { defineOperation, type OperationDefinition, type Step, type StepContext } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { checkpointName, isCheckpointOf } from './names.ts';
import { beginBackup, type RunServices } from './run-begin.ts';
import { removeRunFolder } from './run-folder.ts';
import {
  begunSchema,
  planSchema,
  REMEMBERED,
  type RunOrder,
  runOrderSchema,
  type Way,
  waySchema,
} from './run-order.ts';
import { imageOf, lookAtVm } from './run-plan.ts';
import { describeVm, publishPoint, readAll } from './run-read.ts';

export const RUN = 'backup.run';
/** The same for a VM that is off: what it hides from alerts is more. */
export const RUN_STOPPED = 'backup.run-stopped';

export function runOperation(
  kind: typeof RUN | typeof RUN_STOPPED,
  services: RunServices,
): OperationDefinition<RunOrder> {
  return defineOperation({
    kind,
    permission: 'backup.run',
    input: runOrderSchema,
    title: ({ name }) => `Back up ${name}`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId }) => [`vm:${vmId}`],
    shares: ({ repositoryId }) => [`repository:${repositoryId}`],
    steps: (order) => runSteps(order, services),
    async result(_order, { recall }) {
      return { pointId: recall(REMEMBERED.point) };
    },
  });
}

function runSteps(order: RunOrder, services: RunServices): Step[] {
  const { vmSide, turns, sessions, folders, space, catalogue } = services;
  const { vmId, repositoryId } = order;
  const wayOf = (context: StepContext): Way => waySchema.parse(context.recall(REMEMBERED.way));
  const folderOf = (context: StepContext) => folders.of(context.operationId);
  /** After a restart it goes on with what it had. */
  const goOn = (context: StepContext) => turns.hold(context.operationId);
  const letGo = async (context: StepContext) => {
    await sessions.close(context.operationId);
    space.release(`${context.operationId}:repository`);
    space.release(`${context.operationId}:scratch`);
    turns.release(context.operationId);
  };
  const powerOff = async (context: StepContext) => {
    if (context.recall(REMEMBERED.wasStarted) !== true) return;
    // Whoever let it run meanwhile has a running VM now.
    if ((await vmSide.state(vmId)) === 'paused') await services.stop(vmId);
    await services.refresh(vmId);
  };

  const turn: Step = {
    name: 'turn',
    title: 'Wait for its turn',
    timeoutMs: null,
    isCancellable: true,
    act: (context) => turns.take(context.operationId, context.signal),
    compensate: letGo,
  };

  const plan: Step = {
    name: 'plan',
    title: 'Look at the disks',
    async act(context) {
      goOn(context);
      const repository = await services.open(repositoryId);
      // Whoever opened it too late has been given up, and nobody would close what is begun now.
      context.signal.throwIfAborted();
      // Its threads begin meanwhile. That it cannot be written to is told by the step that writes first.
      void sessions.of(context.operationId, repository).catch(() => undefined);
      const looked = await lookAtVm(order, services);
      const { operationId } = context;
      space.take(await space.look(repository.folder), {
        owner: `${operationId}:repository`,
        bytes: looked.repositoryBytes,
        place: 'backups',
        hint: 'Free space there, delete restore points that are not needed, or use another repository.',
        canWait: true,
      });
      if (looked.scratchBytes > 0)
        space.take(await space.look(services.stateFolder), {
          owner: `${operationId}:scratch`,
          bytes: looked.scratchBytes,
          place: 'state folder, where QEMU keeps what the guest overwrites while it is read',
          hint: 'Free space there.',
          canWait: true,
        });
      context.rememberAtEnd(REMEMBERED.plan, looked.plan);
      context.rememberAtEnd(REMEMBERED.way, looked.way);
    },
  };

  const power: Step = {
    name: 'power',
    title: 'Make the disks readable',
    check: async (context) => wayOf(context) !== 'paused',
    async act(context) {
      goOn(context);
      await context.remember(REMEMBERED.wasStarted, true);
      try {
        await services.startPaused(vmId, context.signal);
      } catch (error) {
        // Without memory, a device or a network it does not start; its files can be read all the same.
        context.log.info({ vm: vmId, err: error }, 'a VM that is off cannot be started to be read; its files are read');
        await powerOff(context);
        await context.remember(REMEMBERED.wasStarted, false);
        await context.remember(REMEMBERED.way, 'files');
      }
      await services.refresh(vmId);
    },
    compensate: powerOff,
  };

  const blobs: Step = {
    name: 'blobs',
    title: 'Keep the definition',
    isCancellable: true,
    async act(context) {
      goOn(context);
      // To store it takes as long as threads take to begin, in which the moment can be taken.
      await (await sessionOf(context)).describe(() => describeVm(order, services));
    },
  };

  const sessionOf = async (context: StepContext) => sessions.of(context.operationId, await services.open(repositoryId));

  const begin: Step = {
    name: 'begin',
    title: 'Take the moment',
    // Each call has an end of its own; two of these at once must not be.
    timeoutMs: null,
    async check(context) {
      if (context.recall(REMEMBERED.begun) === undefined) return false;
      const way = wayOf(context);
      return (
        way === 'files' || way === 'unchanged' || (await vmSide.runningSocket(vmId)) === folderOf(context).socketPath
      );
    },
    async act(context) {
      goOn(context);
      await beginBackup(order, wayOf(context), planSchema.parse(context.recall(REMEMBERED.plan)), context, services);
    },
    async compensate(context) {
      const folder = folderOf(context);
      if ((await vmSide.state(vmId)) !== 'gone') {
        if (context.recall(REMEMBERED.plan) !== undefined && wayOf(context) === 'running')
          await services.freezer.thawIfFrozen(vmId);
        await vmSide.end(vmId, folder.socketPath);
        // Published, it is what the next backup counts from.
        if ((await services.publishedBy(repositoryId, vmId, context.operationId)) === null)
          await vmSide.dropCheckpoint(vmId, checkpointName(repositoryId, context.operationId));
      }
      await removeRunFolder(folder);
    },
  };

  const begunOf = (context: StepContext) => begunSchema.parse(context.recall(REMEMBERED.begun));
  const isPublished = async (context: StepContext) =>
    (await services.publishedBy(repositoryId, vmId, context.operationId)) !== null;

  const read: Step = {
    name: 'read',
    title: 'Read the disks',
    timeoutMs: null,
    isCancellable: true,
    check: isPublished,
    async act(context) {
      goOn(context);
      const session = await sessionOf(context);
      await session.describe(() => describeVm(order, services));
      // Hours of reading are not begun for a point that cannot be published.
      await session.described();
      await readAll(order, wayOf(context), begunOf(context), session, context, services);
    },
  };

  const publish: Step = {
    name: 'publish',
    title: 'Publish the restore point',
    timeoutMs: null,
    async act(context) {
      goOn(context);
      const pointId = await publishPoint(
        order,
        wayOf(context),
        begunOf(context),
        await sessionOf(context),
        context,
        services,
      );
      context.rememberAtEnd(REMEMBERED.point, pointId);
    },
  };

  const end: Step = {
    name: 'end',
    title: 'Let the disks go',
    act: (context) => vmSide.end(vmId, folderOf(context).socketPath),
  };

  const parent: Step = {
    name: 'parent',
    title: 'Remove the mark of the last backup',
    async act(context) {
      const newest = await catalogue.newest(vmId, repositoryId);
      for (const name of await vmSide.checkpoints(vmId)) {
        if (!isCheckpointOf(repositoryId, name) || name === newest?.checkpoint) continue;
        try {
          await vmSide.dropCheckpoint(vmId, name);
        } catch (error) {
          // One more mark costs little; it goes with the next backup.
          context.log.warn({ vm: vmId, checkpoint: name, err: error }, 'an old mark of a backup could not be removed');
        }
      }
    },
  };

  const tidy: Step = {
    name: 'tidy',
    title: 'Clean up',
    async act(context) {
      await powerOff(context);
      await removeRunFolder(folderOf(context));
      const way = wayOf(context);
      if (way !== 'running') {
        const images = new Map<string, string | null>();
        for (const { target, source } of begunOf(context).plan.disks) images.set(target, await imageOf(source));
        await catalogue.setImages(vmId, repositoryId, images);
      }
      await letGo(context);
    },
  };

  return [turn, plan, power, blobs, begin, read, publish, end, parent, tidy];
}

/** Nothing is written to a repository of which nobody holds the key. */
export function unconfirmed(name: string): AppError {
  return new AppError('repository_unconfirmed', { detail: `The recovery key of "${name}" was not confirmed.` });
}
