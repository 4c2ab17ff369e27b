import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Operation } from '#contract/operations.ts';
import { type VmCreateInput, vmCreateSchema } from '#contract/vms.ts';
import type { StepContext } from '#features/operations/index.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type DemoParts, demoOperation } from './demo.ts';

const OPERATION_ID = 'op-00000000000000000000000001';

interface World {
  images: Set<string>;
  vms: Map<string, VmCreateInput>;
  /** Inner operations by key. */
  inner: Map<string, Operation>;
  built: number;
  vmFails: number;
}

const inner = (id: string, isDone: boolean): Operation => ({
  id,
  kind: 'x',
  title: `Do ${id}`,
  state: isDone ? 'done' : 'failed',
  actor: 'root',
  objectType: null,
  objectId: null,
  objectName: null,
  vmId: null,
  project: null,
  steps: [],
  progress: null,
  canCancel: false,
  isDismissed: false,
  error: isDone ? null : { code: 'no_space', title: 'Full', detail: 'The disk is full.', hint: 'Free space.' },
  result: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  finishedAt: '2026-01-01T00:00:00.000Z',
  requestId: null,
});

async function inWorld(
  work: (
    world: World,
    definition: ReturnType<typeof demoOperation>,
    context: StepContext,
    scratch: string,
  ) => Promise<void>,
) {
  const scratch = await mkdtemp(join(tmpdir(), 'hyper-demo-'));
  const world: World = { images: new Set(), vms: new Map(), inner: new Map(), built: 0, vmFails: 0 };
  const once = (key: string, act: () => boolean): Operation => {
    const known = world.inner.get(key);
    if (known) return known;
    const operation = inner(key, act());
    world.inner.set(key, operation);
    return operation;
  };
  const parts: DemoParts = {
    scratch,
    async buildDisk({ outPath, onProgress }) {
      world.built += 1;
      onProgress?.(0.5, 'half');
      await writeFile(outPath, 'disk');
    },
    hasVm: (name) => world.vms.has(name),
    imageId: (name) => (world.images.has(name) ? `img-${name}` : null),
    async addImage(path, name) {
      assert.equal(await readFile(path, 'utf8'), 'disk');
      world.images.add(name);
    },
    accelProven: async () => 'tcg',
    createVm: async (input, { key }) =>
      once(key, () => {
        if (world.vmFails > 0) {
          world.vmFails -= 1;
          return false;
        }
        world.vms.set(input.name, input);
        return true;
      }),
    waitFor: async (id) => world.inner.get(id) ?? assert.fail(),
  };
  const memory = new Map<string, unknown>();
  const context: StepContext = {
    operationId: OPERATION_ID,
    actor: 'root',
    signal: new AbortController().signal,
    log: silentLogger,
    progress: () => undefined,
    remember: async (key, value) => void memory.set(key, value),
    rememberAtEnd: (key, value) => void memory.set(key, value),
    charge: async () => undefined,
    recall: (key) => memory.get(key),
  };
  try {
    await work(world, demoOperation(parts), context, scratch);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

type Definition = ReturnType<typeof demoOperation>;

/** As the runner does: a step whose work is found done is skipped. */
async function runSteps(definition: Definition, context: StepContext, from = 0) {
  for (const step of definition.steps({}).slice(from)) if (!(await step.check?.(context))) await step.act(context);
}

test('an empty machine gets the image and a small VM of it, and nothing else remains', () =>
  inWorld(async (world, definition, context, scratch) => {
    await runSteps(definition, context);
    const vm = vmCreateSchema.parse(world.vms.get('hello'));
    assert.equal(vm.vcpus, 1);
    assert.equal(vm.memoryBytes, 256 * 2 ** 20);
    assert.equal(vm.firmware, 'bios');
    assert.equal(vm.disks[0]?.imageId, 'img-hello');
    assert.equal(vm.nics.length, 1);
    assert.ok(vm.graphics && vm.start);
    assert.ok(!existsSync(join(scratch, OPERATION_ID)));
  }));

test('every step may run again from the beginning without doing anything twice', () =>
  inWorld(async (world, definition, context) => {
    await runSteps(definition, context);
    await runSteps(definition, context);
    assert.equal(world.built, 1);
    assert.equal(world.inner.size, 1);
  }));

test('a daemon killed while the VM is made finds the same inner operation again', () =>
  inWorld(async (world, definition, context) => {
    await runSteps(definition, context);
    // Killed before the step was recorded, and the inventory has not seen the VM yet.
    world.vms.clear();
    await definition.steps({})[2]?.act(context);
    assert.equal(world.inner.size, 1);
  }));

test('an inner failure is told with its own code and mend, and the next try starts a new one', () =>
  inWorld(async (world, definition, context) => {
    world.vmFails = 1;
    await assert.rejects(
      runSteps(definition, context),
      (error: Error & { code?: string; hint?: string }) =>
        error.code === 'no_space' && error.hint === 'Free space.' && /disk is full/.test(error.message),
    );
    await runSteps(definition, context);
    assert.ok(world.vms.has('hello'));
    assert.equal(world.built, 1);
  }));

test('giving up removes what was made, but not the image that is whole', () =>
  inWorld(async (world, definition, context, scratch) => {
    world.vmFails = 1;
    await assert.rejects(runSteps(definition, context));
    for (const step of [...definition.steps({})].reverse()) await step.compensate?.(context);
    assert.ok(!existsSync(join(scratch, OPERATION_ID)));
    assert.ok(world.images.has('hello'));
  }));
