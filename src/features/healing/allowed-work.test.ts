import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { defineOperation, type OperationsApi } from '#features/operations/index.ts';
import { type AllowedKind, type AllowedKinds, createHands, type Work } from './allowed-work.ts';

const FOLDER = new URL('.', import.meta.url).pathname;

const unused = () => {
  throw new Error('not asked for here');
};
const journal = (started: string[]): OperationsApi => ({
  register: (definition) => ({ definition }),
  start: async ({ definition }) => {
    started.push(definition.kind);
    throw new Error('started');
  },
  chargeTo: unused,
  repeated: unused,
  get: unused,
  cancel: unused,
  retry: unused,
  dismiss: unused,
  openFor: unused,
  isLocked: unused,
  isHeld: unused,
  newest: unused,
  counts: unused,
  countIn: unused,
  waitFor: unused,
});
const kind = <Input>(name: string, input: z.ZodType<Input>) => ({
  definition: defineOperation<Input>({
    kind: name,
    permission: 'vm.power',
    input,
    title: () => name,
    object: () => null,
    locks: () => [],
    steps: () => [],
  }),
});
const vm = z.object({ vmId: z.string(), name: z.string() });
const folder = z.object({ folder: z.string() });
const KINDS: AllowedKinds = {
  'vm.start': kind('vm.start', vm),
  'vm.resume': kind('vm.resume', vm),
  'healing.disk-pause': kind('healing.disk-pause', folder.extend({ isHeld: z.boolean() })),
  'healing.disk-reserve': kind('healing.disk-reserve', folder),
  'healing.disk-free': kind('healing.disk-free', folder),
  'healing.pool-start': kind('healing.pool-start', z.object({ poolId: z.string(), name: z.string() })),
  'healing.nic-up': kind('healing.nic-up', vm),
  'healing.service-start': kind('healing.service-start', z.object({ unit: z.string() })),
  'healing.agent-sync': kind('healing.agent-sync', vm),
  'healing.guest-trim': kind('healing.guest-trim', vm),
  'healing.monitor-evidence': kind('healing.monitor-evidence', vm),
};

test('healing starts what it names, and can be given no other kind under that name', async () => {
  const started: string[] = [];
  const input = { vmId: 'a', name: 'web1' };
  const hands = createHands(journal(started), KINDS);
  await assert.rejects(
    hands.start({ kind: 'vm.start', input }, { actId: 'heal-1', project: null, action: 'vm-restart' }),
    /started/,
  );
  assert.deepEqual(started, ['vm.start']);
  for (const forbidden of ['vm.stop', 'vm.delete', 'vm.reset', 'vm.purge', 'vm.edit'])
    assert.throws(() => createHands(journal([]), { ...KINDS, 'vm.start': kind(forbidden, vm) }), /healing may start/);
  // @ts-expect-error no work can name a stop
  const stop: Work = { kind: 'vm.stop', input };
  assert.ok(stop);
  // @ts-expect-error nor a deletion
  const deletion: AllowedKind = 'vm.delete';
  assert.ok(deletion);
});

/** What each file may ask of libvirt. A file that is not here may ask nothing. */
const LIBVIRT_CALLS: Readonly<Record<string, readonly string[]>> = {
  'index.ts': [
    'libvirt.agent.command',
    'libvirt.agent.trim',
    'libvirt.domains.controlInfo',
    'libvirt.domains.diskErrors',
    'libvirt.onEvent',
    'libvirt.pools',
  ],
};

test('the sources of healing ask libvirt for nothing but this, and start operations at one place', async () => {
  const files = (await readdir(FOLDER, { recursive: true })).filter((name) => /(?<!\.test)\.ts$/.test(name));
  assert.ok(files.length > 15);
  for (const name of files) {
    const text = await readFile(join(FOLDER, name), 'utf8');
    const calls = new Set([...text.matchAll(/(?<![#/\w])libvirt\.[A-Za-z]+(?:\.[A-Za-z]+)?/g)].map(([call]) => call));
    assert.deepEqual([...calls].sort(), LIBVIRT_CALLS[name] ?? [], name);
    if (name !== 'allowed-work.ts') assert.doesNotMatch(text, /(?:operations|journal)\.start\(/, name);
    assert.doesNotMatch(text, /\.(?:destroy|undefine|reset|purge|define)\(/, name);
    const removesFiles = /\b(?:rm|rmdir|unlink|truncate)\(/.test(text);
    assert.equal(/\brun(?:Program)?\(\w+, \{/.test(text), name === join('work', 'nic-up.ts'), `${name} runs programs`);
    assert.equal(/\bunits\.start\(/.test(text), name === join('work', 'service-start.ts'), `${name} starts services`);
    assert.equal(removesFiles, ['disks.ts', join('work', 'evidence.ts')].includes(name), `${name} removes files`);
  }
});
