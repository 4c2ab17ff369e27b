/** `system.demo`: makes the hello disk, puts it into the image library and creates a VM of it, so that a new machine has something
 *  real to show. The VM is made by its own slice's operation, which this one leads; it bears being resumed anywhere. */

import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { VmCreateInput } from '#contract/vms.ts';
import { defineOperation, type OperationDefinition, type StepContext } from '#features/operations/index.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import { type BuildHelloDiskOptions, HELLO_MEMORY_MIB } from '#platform/hello-disk/index.ts';

export const DEMO_KIND = 'system.demo';

/** Name of the image and of the VM. */
const DEMO_NAME = 'hello';

/** Who asks for an inner operation, and which one it is: the same key never starts it twice. */
export interface InnerRequest {
  readonly actor: string;
  readonly key: string;
}

/** What the demo needs of other slices. */
export interface DemoParts {
  /** Where disks are made before they are published; our own, on the file system of the state folder. */
  readonly scratch: string;
  buildDisk(options: Omit<BuildHelloDiskOptions, 'cacheDir'>): Promise<void>;
  hasVm(name: string): boolean;
  /** The id of a whole image, or null. */
  imageId(name: string): string | null;
  /** Copies a finished qcow2 into the library; does nothing when the name is there already. */
  addImage(path: string, name: string): Promise<void>;
  /** Waits until it is known whether VMs may use KVM. */
  accelProven(): Promise<unknown>;
  createVm(input: VmCreateInput, request: InnerRequest): Promise<Operation>;
  /** As it is after at most so long. */
  waitFor(operationId: string, timeoutMs: number): Promise<Operation>;
}

const inputSchema = z.strictObject({});
type DemoInput = z.infer<typeof inputSchema>;

const MAKE_DISK_TIMEOUT_MS = 10 * 60_000;
const INNER_TIMEOUT_MS = 10 * 60_000;
const WAIT_STEP_MS = 1_000;

export function demoOperation(parts: DemoParts): OperationDefinition<DemoInput> {
  const folderOf = (operationId: string) => join(parts.scratch, operationId);
  const diskOf = (operationId: string) => join(folderOf(operationId), 'hello.qcow2');

  return defineOperation({
    kind: DEMO_KIND,
    permission: 'vm.create',
    input: inputSchema,
    title: () => `Make and boot the ${DEMO_NAME} guest`,
    object: () => null,
    locks: () => ['demo'],
    steps: () => [
      {
        name: 'make-disk',
        title: 'Make the disk',
        isCancellable: true,
        timeoutMs: MAKE_DISK_TIMEOUT_MS,
        check: async ({ operationId }) => parts.imageId(DEMO_NAME) !== null || (await isThere(diskOf(operationId))),
        async act({ operationId, signal, progress }) {
          await mkdir(folderOf(operationId), { recursive: true, mode: 0o700 });
          const onProgress = (ratio: number, note: string) => progress({ ratio, note });
          await parts.buildDisk({ outPath: diskOf(operationId), onProgress, signal });
        },
        // Nothing in this folder is anybody's data: it was made a moment ago from packages.
        compensate: ({ operationId }) => rm(folderOf(operationId), { recursive: true, force: true }),
      },
      {
        name: 'add-image',
        title: 'Put it into the image library',
        timeoutMs: INNER_TIMEOUT_MS,
        check: async () => parts.imageId(DEMO_NAME) !== null,
        act: ({ operationId }) => parts.addImage(diskOf(operationId), DEMO_NAME),
        // A whole image may stay: the next try uses it.
      },
      {
        name: 'create-vm',
        title: 'Create and start the VM',
        timeoutMs: INNER_TIMEOUT_MS,
        check: async () => parts.hasVm(DEMO_NAME),
        async act(context) {
          await parts.accelProven();
          await lead(parts, context, (request) => parts.createVm(vmOf(parts), request));
        },
      },
      {
        name: 'tidy-up',
        title: 'Tidy up',
        act: ({ operationId }) => rm(folderOf(operationId), { recursive: true, force: true }),
      },
    ],
    result: async () => ({ name: DEMO_NAME }),
  });
}

function vmOf(parts: DemoParts): VmCreateInput {
  const imageId = parts.imageId(DEMO_NAME);
  if (imageId === null)
    throw new AppError('not_found', { detail: `The image ${DEMO_NAME} is not in the library any more.` });
  return {
    name: DEMO_NAME,
    description: 'A small guest for a first look. Delete it whenever you like.',
    vcpus: 1,
    memoryBytes: HELLO_MEMORY_MIB * MIB,
    firmware: 'bios',
    disks: [{ imageId }],
    nics: [{}],
  };
}

const TRIES = 'vm-tries';

/** Starts the inner operation, or finds the one that an earlier life started, and follows it to its end.
 *  @throws what the inner operation failed with */
async function lead(
  { waitFor }: DemoParts,
  context: StepContext,
  start: (request: InnerRequest) => Promise<Operation>,
): Promise<void> {
  // Each try of this step has a key of its own; a crash in the middle of a try finds the same operation again.
  const tries = z.number().catch(0).parse(context.recall(TRIES));
  let inner = await start({ actor: context.actor, key: `${context.operationId}/vm/${tries}` });
  while (!FINAL_STATES.includes(inner.state) && inner.state !== 'attention') {
    context.signal.throwIfAborted();
    context.progress({ ...(inner.progress?.ratio == null ? {} : { ratio: inner.progress.ratio }), note: inner.title });
    inner = await waitFor(inner.id, WAIT_STEP_MS);
  }
  if (inner.state === 'done') return;
  await context.remember(TRIES, tries + 1);
  throw new AppError(inner.error?.code ?? 'cancelled', {
    detail: `${inner.title}: ${inner.error?.detail ?? 'it was cancelled.'}`,
    ...(inner.error === null ? {} : { hint: inner.error.hint }),
  });
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
